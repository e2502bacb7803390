"""The files of docs/extending.md as they stand there, in a finished run: they plan their own jobs alone, and run."""

import re
import shutil

import pytest
from snakemake_calls import ROOT, SMALLEST, planned, snakemake

DOCUMENT = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


def listings() -> dict[str, str]:
    """Name -> text of every listing whose first line is a comment with a file's name."""
    blocks = re.findall(r"^```\w+\n# ([\w.]+)\n(.*?)^```$", DOCUMENT, flags=re.M | re.S)
    return dict(blocks)


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory):
    """A copy of the finished run with the document's files beside it, and the configuration files."""
    run = tmp_path_factory.mktemp("extended") / "run"
    shutil.copytree(finished, run, symlinks=True)
    for name, text in listings().items():
        (run / name).write_text(text, encoding="utf-8")
    return run, (*SMALLEST, run / "most_active.yaml")


def test_every_listing_is_found():
    assert sorted(listings()) == ["cap.py", "mask_sizes.py", "most_active.py", "most_active.yaml"]


def test_they_plan_their_own_jobs_alone_and_run(extended):
    run, configs = extended
    # Two models; two conditions with an intervention, since none is finished.
    own = {"identify_neurons": 2, "evaluate": 4, "render_table": 2}
    assert planned(run, configs=configs) == own | {"write_report": 1}
    done = snakemake(run, configs=configs, warm=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert planned(run, configs=configs) == {}
    rows = (run / "results/tables/mask_sizes.tsv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "model\tmethod\tlanguage\tneurons"
    neurons = round(0.01 * 2 * 128)  # of the smallest model's
    own = [row for row in rows if "\tmost-active\t" in row]
    assert own == [
        f"{model}\tmost-active\t{code}\t{neurons}" for model in ("Tiny Llama", "Tiny Mistral") for code in ("en", "vi")
    ]
    assert planned(run, configs=SMALLEST) == {"write_report": 1}  # without them the run is what it was


def test_an_edit_of_one_reruns_what_it_concerns(extended):
    run, configs = extended
    if planned(run, configs=configs):
        pytest.skip("the run with the extensions did not finish")
    method, table = run / "most_active.py", run / "mask_sizes.py"
    before = method.read_text(encoding="utf-8"), table.read_text(encoding="utf-8")
    method.write_text(before[0].replace("np.argsort(-share", "np.argsort(share"), encoding="utf-8")
    assert planned(run, configs=configs) == {"identify_neurons": 2, "evaluate": 4, "render_table": 2, "write_report": 1}
    method.write_text(before[0].replace("The most active neurons of", "Most active neurons of"), encoding="utf-8")
    assert planned(run, configs=configs) == {}
    table.write_text(before[1].replace('["Model", "Method"', '["Model", "By"'), encoding="utf-8")
    assert planned(run, configs=configs) == {"render_table": 1, "write_report": 1}
    table.write_text(before[1], encoding="utf-8")
    cap = run / "cap.py"
    cap.write_text(cap.read_text(encoding="utf-8").replace("minimum", "maximum"), encoding="utf-8")
    assert planned(run, configs=configs) == {"evaluate": 2, "render_table": 1, "write_report": 1}
