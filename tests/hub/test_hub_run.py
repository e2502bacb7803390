"""A run whose text, models and tasks come from a Hub: the real client against a server of this test's own."""

import json
import re
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from repositories import DOCUMENTS, EXAMPLES, LANGUAGES, QUESTIONS, WIKIPEDIA_FILES, make_repositories
from server import Hub, Repository
from snakemake_calls import SMALLEST, job_counts, parse, snakemake

from langneurons.config import load_config
from langneurons.hub import hub_faults
from langneurons.models.loading import load_base

ROOT = Path(__file__).parents[2]
CONFIGS = (*SMALLEST, "tests/hub/hub.yaml")
LLAMA, MISTRAL = "resources/models/llama-3.1-8b", "resources/models/mistral-nemo"
QUESTION_FILES = ("resources/tasks/xquad/en.train.parquet", "resources/tasks/xquad/vi.test.parquet")
TARGETS = ("results/tables/xnli.tsv", MISTRAL, *QUESTION_FILES)
ADMITTED, OTHER = "hf_admitted", "hf_other"
WEIGHTS_REVISION = "c" * 40

# A model a refusal: key, repository, revision, what the job's log must say.
REFUSED = {
    "gated": (
        "meta-llama/Llama-3.1-8B",
        None,
        r"is gated: accept its terms at https://huggingface\.co/\S+, .*HF_TOKEN",
    ),
    "revised": ("mistralai/Mistral-Nemo-Base-2407", "0" * 40, rf"has no revision {'0' * 40}"),
    "missing": ("nobody/nothing", "0" * 40, r"nobody/nothing is not at https://huggingface\.co/nobody/nothing"),
    "weights": ("old/weights", WEIGHTS_REVISION, r"old/weights@c+: .*no \*\.safetensors"),
}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory) -> list[Repository]:
    """The repositories that config/config.yaml names, at its revisions; and one of an old format."""
    settings = load_config(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))
    tasks = settings.tasks
    data = [settings.corpus.hub, tasks.xnli.hub, tasks.xquad.hub, tasks.xquad.squad_hub]
    revisions = {d.repository: ("datasets", d.revision) for d in data}
    revisions |= {m.repository: ("models", m.revision) for m in settings.models.values()}
    revisions |= {"old/weights": ("models", WEIGHTS_REVISION)}
    folders = make_repositories(tmp_path_factory.mktemp("repositories"))
    assert set(folders) == set(revisions)
    return [
        Repository(kind, name, revision, folders[name], name.startswith("meta-llama/"), frozenset({ADMITTED}))
        for name, (kind, revision) in revisions.items()
    ]


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """Point the client of every process started here to a hub, as ``account``."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
            patch.delenv(name, raising=False)

        def to(hub: Hub, account: str = "") -> None:
            patch.setenv("HF_ENDPOINT", hub.endpoint)
            patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf_home")))
            patch.setenv("HF_TOKEN", account)

        yield to


@pytest.fixture(scope="module")
def finished(tmp_path_factory, repositories, online):
    """(directory, hub) of a run to its end; the hub has stopped."""
    directory = tmp_path_factory.mktemp("run")
    with Hub(repositories, frozenset({ADMITTED, OTHER})) as hub:
        online(hub, ADMITTED)
        done = snakemake(directory, *TARGETS, configs=CONFIGS, warm=True)
    assert done.returncode == 0, done.stdout[-10_000:]
    return directory, hub


@pytest.fixture(scope="module")
def refused(tmp_path_factory, repositories, online):
    """(directory, finished process) of a run without a token that asks for what it cannot get."""
    directory = tmp_path_factory.mktemp("refused")
    revisions = {r.name: r.revision for r in repositories}
    models = {
        key: {"source": "hub", "title": key, "repository": name, "revision": revision or revisions[name]}
        for key, (name, revision, _) in REFUSED.items()
    }
    overlay = directory / "refused.yaml"
    overlay.write_text(
        yaml.safe_dump({"models": models, "corpus": {"hub": {"snapshot": "20200101"}}}), encoding="utf-8"
    )
    targets = [*(f"resources/models/{key}" for key in REFUSED), "resources/corpus/hi/0000.parquet"]
    with Hub(repositories) as hub:
        online(hub)
        yield directory, snakemake(directory, "--keep-going", *targets, configs=(*CONFIGS, overlay))


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_every_rule_that_uses_the_network_is_local(tmp_path):
    """Compute nodes have no network. Snakemake prints no rule's kind where the rule has a message: ask the workflow."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    told = "print('kind', rule.name, rule.script, rule.name in workflow._localrules)"
    (tmp_path / "Snakefile").write_text(f'include: "{ROOT}/Snakefile"\nfor rule in workflow.rules:\n    {told}\n')
    done = parse(tmp_path, "--dry-run", "--quiet=rules", "--snakefile", tmp_path / "Snakefile", configs=CONFIGS)
    assert done.returncode == 0, done.stdout
    kinds = re.findall(r"^kind (\w+) (\S+) (True|False)$", done.stdout, re.M)
    scripts = {rule: ROOT / "workflow/rules" / script for rule, script, _ in kinds if script != "None"}
    online = {rule for rule, script in scripts.items() if "network=True" in script.read_text(encoding="utf-8")}
    assert online == {"download_corpus_shard", "download_model", "download_xnli", "download_xquad"}
    assert online <= {rule for rule, _, kind in kinds if kind == "True"}


def test_the_table_is_there(finished):
    directory, _ = finished
    lines = (directory / "results/tables/xnli.tsv").read_text(encoding="utf-8").splitlines()
    assert {line.split("\t")[0] for line in lines[1:]} == {"Llama 3.1"}


@pytest.mark.parametrize("target", [LLAMA, MISTRAL])
def test_a_model_holds_the_wanted_files_alone(finished, repositories, target):
    directory, hub = finished
    found = {p.relative_to(directory / target).as_posix() for p in (directory / target).rglob("*") if p.is_file()}
    found.discard(".snakemake_timestamp")  # Snakemake's own, in every directory that is an output
    index = json.loads((directory / target / "model.safetensors.index.json").read_text(encoding="utf-8"))
    shards = set(index["weight_map"].values())
    assert len(shards) > 1
    wanted = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    wanted |= {"model.safetensors.index.json"} | shards
    wanted |= {"special_tokens_map.json"} if target == MISTRAL else set()
    assert found == wanted
    # Nor was anything else fetched: the weights in other formats are as large as those in use.
    (name,) = [r.name for r in repositories if r.name.split("/")[1].lower().startswith(target.split("/")[-1])]
    assert set(hub.asked_for(name)) == wanted
    (repository,) = [r for r in repositories if r.name == name]
    for file in wanted:
        assert (directory / target / file).read_bytes() == (repository.folder / file).read_bytes()


def test_a_sharded_snapshot_loads(finished):
    directory, _ = finished
    assert load_base(directory / MISTRAL).config.model_type == "mistral"


@pytest.mark.parametrize("language", LANGUAGES)
def test_shards_divide_the_articles(finished, repositories, language):
    directory, hub = finished
    shards = [rows(directory / f"resources/corpus/{language}/{i:04d}.parquet") for i in range(2)]
    (folder,) = [r.folder / f"20231101.{language}" for r in repositories if r.name == "wikimedia/wikipedia"]
    served = {row["id"]: row["text"] for file in folder.glob("*.parquet") for row in rows(file)}
    read = [row for shard in shards for row in shard]
    assert all(shards) and len({row["id"] for row in read}) == len(read)
    assert all(served[row["id"]] == row["text"] for row in read)
    # A file a shard; the one file of Hindi is shared out between both.
    files = [p for p in hub.asked_for("wikimedia/wikipedia") if f".{language}/" in p]
    assert len(files) == min(2, WIKIPEDIA_FILES[language])
    assert len(read) == DOCUMENTS * len(files)


def test_tasks_are_the_served_ones(finished, repositories):
    directory, _ = finished
    folders = {r.name: r.folder for r in repositories}
    for language, split in (("en", "train"), ("vi", "test")):
        served = rows(folders["facebook/xnli"] / language / f"{split}-00000-of-00001.parquet")
        imported = rows(directory / f"resources/tasks/xnli/{language}.{split}.parquet")
        assert len(served) == EXAMPLES[split]
        assert [{k: row[k] for k in ("premise", "hypothesis", "label")} for row in imported] == served
    train, test = (rows(directory / file) for file in QUESTION_FILES)
    for imported, served in (
        (train, rows(folders["rajpurkar/squad"] / "plain_text/train-00000-of-00001.parquet")),
        (test, rows(folders["google/xquad"] / "xquad.vi/validation-00000-of-00001.parquet")),
    ):
        assert len(served) == QUESTIONS
        assert [(r["id"], r["context"], r["answers"]) for r in imported] == [
            (r["id"], r["context"], r["answers"]["text"]) for r in served
        ]


def test_a_finished_run_needs_no_hub(finished):
    directory, hub = finished
    asked = len(hub.requests)
    done = snakemake(directory, *TARGETS, configs=CONFIGS)
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout) == {}
    assert len(hub.requests) == asked


@pytest.mark.parametrize("key", REFUSED)
def test_a_refusal_is_one_clear_line(refused, key):
    directory, done = refused
    assert done.returncode != 0
    told = (directory / f"results/logs/download_model/{key}.log").read_text(encoding="utf-8").splitlines()
    assert [line for line in told if line.startswith("error: ")] == told[-1:]
    assert re.search(REFUSED[key][2], told[-1])
    assert not any("Traceback" in line for line in told)
    assert not (directory / f"resources/models/{key}").exists()


def test_a_folder_that_is_not_there_is_one_clear_line(refused):
    directory, _ = refused
    told = (directory / "results/logs/download_corpus_shard/hi/0000.log").read_text(encoding="utf-8").splitlines()
    assert told[-1].startswith("error: wikimedia/wikipedia has no") and "20200101.hi" in told[-1]


def test_offline_is_told_as_such():
    """In this process huggingface_hub is offline (conftest.py)."""
    from langneurons.tasks.hub import download_task

    with pytest.raises(ValueError, match=r"the Hub cannot be reached .* HF_HUB_OFFLINE"), hub_faults():
        download_task("xnli", "facebook/xnli", "c" * 40, "vi", "test")


@pytest.mark.parametrize(
    ("token", "expected"), [(OTHER, "is gated: accept"), ("hf_forged", "answers 401 .* check HF_TOKEN")]
)
def test_a_token_without_access(repositories, monkeypatch, tmp_path, token, expected):
    import huggingface_hub

    from langneurons.models.sources import download_snapshot

    (gated,) = [r for r in repositories if r.gated]
    download = huggingface_hub.snapshot_download
    with Hub(repositories, frozenset({ADMITTED, OTHER})) as hub:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(
            huggingface_hub, "snapshot_download", lambda *a, **k: download(*a, **k, endpoint=hub.endpoint, token=token)
        )
        with pytest.raises(ValueError, match=expected), hub_faults():
            download_snapshot(gated.name, gated.revision, tmp_path / "model")


def test_the_server_gives_parts_of_files(repositories):
    (gated,) = [r for r in repositories if r.name == "old/weights"]
    with Hub(repositories) as hub:
        address = f"{hub.endpoint}/{gated.name}/resolve/{gated.revision}/README.md"
        with urllib.request.urlopen(urllib.request.Request(address, headers={"Range": "bytes=2-4"})) as answer:
            assert (answer.status, answer.headers["Content-Range"], answer.read()) == (206, "bytes 2-4/14", b"old")
