"""The README's study of one's own, as it stands there, on a snapshot and on text in files."""

import csv
import json
import re

import pyarrow.parquet as pq
from snakemake_calls import ROOT, snakemake

LANGUAGES = ("en", "vi", "hi")


def test_the_readmes_study_runs_as_it_stands_there(finished, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (listing,) = re.findall(r"^```yaml\n# study\.yaml\n(.*?)^```$", text, flags=re.M | re.S)
    (tmp_path / "study.yaml").write_text(listing, encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine").symlink_to(finished / "resources/models/tiny-llama")
    (tmp_path / "text").mkdir()
    for language in LANGUAGES:
        shards = sorted((finished / f"resources/corpus/{language}").glob("*.parquet"))
        rows = [row for shard in shards for row in pq.read_table(shard, columns=["id", "text"]).to_pylist()]
        lines = [json.dumps(row | {"id": f"{i}"}, ensure_ascii=False) for i, row in enumerate(rows * 8)]
        (tmp_path / f"text/{language}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # A tiny model and little text of it: a block is shorter than a real model's. The rest is as it is printed.
    sizes = ("--config", 'corpus={"tokens": 4000, "block": 64}')
    done = snakemake(tmp_path, *sizes, configs=(tmp_path / "study.yaml",), warm=True, network=False)
    assert done.returncode == 0, done.stdout[-10_000:]
    with open(tmp_path / "results/tables/perplexity_change.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["language"], row["zeroed"]) for row in rows] == [(a, b) for a in LANGUAGES for b in LANGUAGES]
    assert sum(int(row["neurons"]) for row in rows) > 0
    names = {path.name for path in (tmp_path / "results/figures").iterdir()}
    assert {"neuron_counts.mine.lape.svg", "perplexity_change.mine.lape.svg"} <= names
    assert "My model" in (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "results/mine/metrics").exists()
