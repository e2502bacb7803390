"""A run whose text, models and tasks come from a Hub: the real client against a server of this test's own.

From nothing to two tables with the Hub there; then, with the Hub stopped and the network cut, all again.
"""

import csv
import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import yaml
from repositories import DOCUMENTS, EXAMPLES, LANGUAGES, QUESTIONS, WIKIPEDIA_FILES, make_repositories
from server import Fault, Hub, Repository
from snakemake_calls import SMALLEST, job_counts, parse, planned, snakemake, without_network

from langneurons.config.load import load_config
from langneurons.hub.errors import hub_faults
from langneurons.models.loading import load_base

ROOT = Path(__file__).parents[2]
CONFIGS = (*SMALLEST, "tests/hub/hub.yaml")
LLAMA, MISTRAL = "resources/models/llama-3.1-8b", "resources/models/mistral-nemo"
QUESTION_FILES = ("resources/tasks/xquad/en.train.parquet", "resources/tasks/xquad/vi.test.parquet")
TARGETS = ("results/tables/xnli.tsv", "results/tables/xquad.tsv")
ADMITTED, OTHER = "hf_AnAccountThatWasAdmitted0123456789", "hf_other"
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
    data = [settings.corpus.hub, tasks["xnli"].hub, tasks["xquad"].hub, tasks["xquad"].squad_hub]
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
        done = snakemake(directory, "--printshellcmds", *TARGETS, configs=CONFIGS, warm=True)
    assert done.returncode == 0, done.stdout[-10_000:]
    (directory / "output").write_text(done.stdout, encoding="utf-8")
    return directory, hub


@pytest.fixture(scope="module")
def offline(finished, online, tmp_path_factory):
    """(directory, finished process) of one table from the resources on: the Hub has stopped, the network is cut."""
    directory, hub = tmp_path_factory.mktemp("offline"), finished[1]
    online(hub, ADMITTED)
    for kind in ("resources", ".snakemake"):
        shutil.copytree(finished[0] / kind, directory / kind, symlinks=True)
    return directory, snakemake(directory, TARGETS[0], configs=CONFIGS, warm=True, network=False)


@pytest.fixture(scope="module")
def refused(tmp_path_factory, repositories, online):
    """Of a run without a token that asks for what it cannot get: (directory, finished process) of its jobs, and the
    finished process of a run that asks first."""
    directory = tmp_path_factory.mktemp("refused")
    revisions = {r.name: r.revision for r in repositories}
    models = {
        key: {
            "source": "hub",
            "title": key,
            "parameters": 1e6,
            "repository": name,
            "revision": revision or revisions[name],
        }
        for key, (name, revision, _) in REFUSED.items()
    }
    overlay = directory / "refused.yaml"
    overlay.write_text(
        yaml.safe_dump({"models": models, "corpus": {"hub": {"snapshot": "20200101"}}}), encoding="utf-8"
    )
    targets = [*(f"resources/models/{key}" for key in REFUSED), "resources/corpus/hi/0000.parquet"]
    with Hub(repositories) as hub:
        online(hub)
        asked = snakemake(tmp_path_factory.mktemp("asked"), "--keep-going", *targets, configs=(*CONFIGS, overlay))
        # Without the questions at the start: what the jobs themselves say.
        done = snakemake(directory, "--keep-going", "--no-hooks", *targets, configs=(*CONFIGS, overlay))
        yield directory, done, asked


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
    assert online == {"download_corpus_shard", "download_model", "download_task"}
    assert online <= {rule for rule, _, kind in kinds if kind == "True"}


def table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.mark.parametrize(("name", "model"), [("xnli", "Llama 3.1"), ("xquad", "Mistral Nemo")])
def test_the_tables_are_there(finished, name, model):
    found = table(finished[0] / f"results/tables/{name}.tsv")
    assert {row["model"] for row in found} == {model}


@pytest.mark.parametrize("target", [LLAMA, MISTRAL])
def test_a_model_holds_the_wanted_files_alone(finished, repositories, target):
    directory, hub = finished
    found = {p.relative_to(directory / target).as_posix() for p in (directory / target).rglob("*") if p.is_file()}
    found -= {".snakemake_timestamp", "langneurons.json"}  # Snakemake's own, and the directory's seal
    index = json.loads((directory / target / "model.safetensors.index.json").read_text(encoding="utf-8"))
    shards = set(index["weight_map"].values())
    assert len(shards) > 1
    wanted = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    wanted |= {"model.safetensors.index.json"} | shards
    wanted |= {"special_tokens_map.json"} if target == MISTRAL else set()
    assert found == wanted
    # Nor was anything else fetched: the weights in other formats are as large as those in use.
    (name,) = [r.name for r in repositories if r.name.split("/")[1].lower().startswith(target.split("/")[-1])]
    assert hub.asked_for(name) == sorted([*wanted, "config.json"])  # once more before the first job: may we?
    (repository,) = [r for r in repositories if r.name == name]
    size = sum((repository.folder / file).stat().st_size for file in wanted)
    here = (repository.folder / "config.json").stat().st_size  # it comes and is checked first
    told = f"{name}@{repository.revision}: {len(wanted)} files, {size:,} bytes, of which {here:,} bytes are here"
    log = directory / f"results/logs/download_model/{target.split('/')[-1]}.log"
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if not line.startswith("config.json: ")]
    assert lines[0] == told
    assert told in (directory / "output").read_text(encoding="utf-8")  # to the person too
    for file in wanted:
        assert (directory / target / file).read_bytes() == (repository.folder / file).read_bytes()


def test_a_sharded_snapshot_loads(finished):
    directory, _ = finished
    assert load_base(directory / MISTRAL).config.model_type == "mistral"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shard_is_a_file_and_slots_without_one_are_empty(finished, repositories, language):
    directory, hub = finished
    (folder,) = [r.folder for r in repositories if r.name == "wikimedia/wikipedia"]
    asked = [path for path in hub.asked_for("wikimedia/wikipedia") if f".{language}/" in path]
    files = []
    for i in range(2):
        shard = directory / f"resources/corpus/{language}/{i:04d}.parquet"
        manifest, (quality,) = (table(shard.with_suffix(f".{kind}.tsv")) for kind in ("manifest", "quality"))
        files += [row["file"] for row in manifest]
        read = [(row["id"], row["text"]) for row in rows(shard)]
        served = [(row["id"], row["text"]) for name in files[i:] for row in rows(folder / name)]
        assert len(served) == int(quality["read"]) == DOCUMENTS * (i < WIKIPEDIA_FILES[language])
        # Of the same text the first is taken, in an order of the shard's own: any of its ids may be the one.
        texts = {text for _, text in served if len(text) >= 20}
        assert sorted(text for _, text in read) == sorted(texts)
        assert set(read) <= set(served)
        assert int(quality["kept"]) == len(read)
        log = (directory / f"results/logs/download_corpus_shard/{language}/{i:04d}.log").read_text(encoding="utf-8")
        assert ("has 1 files for 2 shards; this one stays empty" in log) == (not read)
        blocks = pq.read_table(directory / f"results/llama-3.1-8b/tokens/{language}/{i:04d}.parquet").num_rows
        assert bool(blocks) == bool(read)
    assert sorted(files) == asked and len(files) == min(2, WIKIPEDIA_FILES[language])
    share = float(quality["own_script_share"] or "nan")
    assert share > 0.9 or (language == "hi" and quality["kept"] == "0")


def test_the_filled_shards_give_the_whole_budget(finished):
    """6,000 tokens per language: two shards of 3,000, or one of all; in blocks of 64."""
    directory, _ = finished
    for language, i, budget in (("en", 0, 3000), ("en", 1, 3000), ("hi", 0, 6000), ("hi", 1, 0)):
        log = directory / f"results/logs/pack_tokens/llama-3.1-8b/{language}/{i:04d}.log"
        assert f"; the budget is {budget} tokens" in log.read_text(encoding="utf-8")


def test_manifests_say_what_was_served(finished, repositories):
    directory, _ = finished
    folders = {r.name: r for r in repositories}
    found = sorted((directory / "resources").rglob("*.manifest.tsv"))
    assert (
        len(found) == 2 + 2 * len(LANGUAGES) + 6
    )  # models; shards; of each task English to train and test, Vietnamese to test
    for path in found:
        for row in table(path):
            content = (folders[row["repository"]].folder / row["file"]).read_bytes()
            assert row["revision"] == folders[row["repository"]].revision
            assert (int(row["bytes"]), row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert not [p for p in (directory / "resources").rglob(".*") if p.name != ".snakemake_timestamp"]


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


def test_a_finished_run_needs_no_hub(finished, online):
    directory, hub = finished
    online(hub, ADMITTED)
    asked = len(hub.requests)
    done = snakemake(directory, *TARGETS, configs=CONFIGS, network=False)
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout) == {}
    assert len(hub.requests) == asked


def test_without_network_means_so():
    """Not even this machine is reached."""
    before, settings = without_network()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code = f"import socket; socket.create_connection(('127.0.0.1', {listening.getsockname()[1]}))"
        for prefix, more, reached in ((before, settings, False), ([], {}, True)):
            command = [*prefix, sys.executable, "-c", code]
            done = subprocess.run(command, env=dict(PATH="/usr/bin:/bin", **more), capture_output=True, check=False)
            assert (done.returncode == 0) == reached


def test_after_the_downloads_no_network_is_needed(finished, offline):
    """And the run gives the same bytes."""
    directory, done = offline
    assert done.returncode == 0, done.stdout[-10_000:]
    assert not [rule for rule in job_counts(done.stdout) if rule.startswith("download")]
    for kind in ("tables/xnli.*", "llama*/metrics/**/*.tsv", "llama*/activations/**/*.parquet"):
        first = {p.relative_to(finished[0]): p.read_bytes() for p in (finished[0] / "results").glob(kind)}
        assert first == {p.relative_to(directory): p.read_bytes() for p in (directory / "results").glob(kind)} != {}


def test_a_method_edited_runs_what_follows_offline(offline, tmp_path):
    directory, _ = offline
    edit = tmp_path / "edit.yaml"
    edit.write_text(yaml.safe_dump({"methods": {"lape-set1": {"top_fraction": 0.04}}}), encoding="utf-8")
    done = snakemake(directory, TARGETS[0], configs=(*CONFIGS, edit), warm=True, network=False)
    assert done.returncode == 0, done.stdout[-10_000:]
    # The mask that serves Vietnamese, the one condition with it, and the table.
    assert job_counts(done.stdout) == {"identify_neurons": 1, "evaluate": 1, "render_table": 1}
    assert planned(directory, TARGETS[0], configs=(*CONFIGS, edit)) == {}


def test_the_token_is_nowhere(finished, offline):
    """Of the runs' directories every file: logs, Snakemake's records, results, resources; and their output."""
    places = [p for directory in (finished[0], offline[0]) for p in directory.rglob("*") if p.is_file()]
    assert {"logs", ".snakemake", "tables", "resources", "output"} <= {part for p in places for part in p.parts}
    assert [p for p in places if ADMITTED.encode() in p.read_bytes()] == []
    assert ADMITTED not in offline[1].stdout


@pytest.mark.parametrize("key", REFUSED)
def test_a_refusal_is_one_clear_line(refused, key):
    directory, done, _ = refused
    assert done.returncode != 0
    told = (directory / f"results/logs/download_model/{key}.log").read_text(encoding="utf-8").splitlines()
    assert [line for line in told if line.startswith("error: ")] == told[-1:]
    assert re.search(REFUSED[key][2], told[-1])
    assert not any("Traceback" in line for line in told)
    assert not (directory / f"resources/models/{key}").exists()


def test_all_refusals_are_told_before_the_first_job(refused):
    asked = refused[2]
    assert asked.returncode != 0
    lines = asked.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.endswith("The Hub refuses what this run needs:"))
    told = lines[start + 1 : start + 1 + len(REFUSED)]
    for pattern in (pattern for _, _, pattern in REFUSED.values()):
        assert sum(bool(re.search(pattern, line)) for line in told) == 1
    assert "Downloading" not in asked.stdout and "Traceback" not in asked.stdout


def asked(repositories):
    from langneurons.hub.downloads import Repository as Asked

    return [Asked("dataset" if r.kind == "datasets" else "model", r.name, r.revision) for r in repositories]


def point_to(hub, patch):
    """Have this process's client talk to a Hub."""
    from huggingface_hub import constants

    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "ENDPOINT", hub.endpoint)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.mark.parametrize("file", ["revision", "tree"])
def test_a_hub_that_is_out_of_order_refuses_nothing(repositories, monkeypatch, file):
    from langneurons.hub import requests as hub_requests
    from langneurons.hub.access import obstacle

    monkeypatch.setattr(hub_requests, "WAITS", ())
    whole = [r for r in repositories if r.name != "old/weights"]
    with Hub([replace(r, gated=False) for r in whole]) as hub:
        point_to(hub, monkeypatch)
        hub.faults = [Fault(file, status=503, times=99)]
        assert obstacle(asked(whole)) is None
        hub.faults = []
        assert obstacle(asked(whole)) is None


def test_a_hub_that_goes_away_after_its_first_answer_refuses_nothing(repositories, monkeypatch):
    from huggingface_hub import close_session

    from langneurons.hub import access

    def ask(repository, again, real=access._ask):
        real(repository, again)
        hub.stop()
        close_session()

    monkeypatch.setattr(access, "_ask", ask)
    with Hub([r for r in repositories if r.kind == "datasets"]) as hub:
        point_to(hub, monkeypatch)
        assert access.obstacle(asked(hub.repositories)) is None


@pytest.mark.parametrize("count", [1, 172])
def test_without_a_network_there_is_one_message(repositories, monkeypatch, count):
    from langneurons.hub import access

    (model,) = [r for r in asked(repositories) if r.name.startswith("mistral")]
    monkeypatch.setattr(access, "time", SimpleNamespace(sleep=lambda seconds: None))
    with Hub(repositories) as hub:
        point_to(hub, monkeypatch)
    told = access.obstacle(count * [model])
    assert "\n" not in told
    assert told.startswith(
        f"{count} download{'s need' if count > 1 else ' needs'} the Hub, and the Hub cannot be reached"
    )
    assert "Nothing was started" in told and "snakemake TARGET" in told


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("nonsense", r"cannot be reached \(UnsupportedProtocol.*; check the network, HF_ENDPOINT"),
        ("http://:bad", r"an address of the Hub is not valid \(InvalidURL.*; check HF_ENDPOINT"),
    ],
)
def test_a_wrong_address_of_the_hub_is_told_once(repositories, monkeypatch, endpoint, told):
    from langneurons.hub.access import obstacle

    point_to(SimpleNamespace(endpoint=endpoint), monkeypatch)
    _, line = obstacle(asked(repositories)).splitlines()
    assert re.search(told, line)


def test_a_token_that_cannot_be_sent_is_told_once(repositories, monkeypatch):
    from langneurons.hub.access import obstacle

    monkeypatch.setenv("HF_TOKEN", "hf_é")
    with Hub(repositories) as hub:
        point_to(hub, monkeypatch)
        _, line = obstacle(asked(repositories)).splitlines()
    assert line.startswith("HF_TOKEN: character 4 of the token is U+00E9") and hub.requests == []


def test_a_client_that_is_offline_is_told_once():
    from langneurons.hub.access import obstacle
    from langneurons.hub.downloads import Repository as Asked

    line = obstacle([Asked("model", f"some/{name}", "c" * 40) for name in ("model", "other")])
    assert "HF_HUB_OFFLINE" in line and "\n" not in line  # conftest.py sets it


def test_a_page_instead_of_the_hub_is_one_line_each(repositories, monkeypatch):
    from langneurons.hub.access import obstacle

    data = [r for r in repositories if r.kind == "datasets"]
    with Hub(data) as hub:
        point_to(hub, monkeypatch)
        hub.faults = [Fault("revision", status=200, headers={"Content-Type": "text/html"}, body=b"<html>", times=99)]
        _, *lines = obstacle(asked(data)).splitlines()
    assert len(lines) == len(data)
    assert all("answers with text/html instead of JSON" in line for line in lines)


def test_a_run_without_a_network_stops_at_once(tmp_path, online, repositories):
    with Hub(repositories) as hub:
        online(hub, ADMITTED)
    done = snakemake(tmp_path, "--keep-going", "--retries=3", *TARGETS, configs=CONFIGS, network=False)
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if "cannot be reached" in line]
    assert len(lines) == 1, done.stdout
    counts = planned(tmp_path, *TARGETS, configs=CONFIGS)
    downloads = sum(count for rule, count in counts.items() if rule.startswith("download_"))
    assert f"{downloads} downloads need the Hub" in lines[0]
    assert "Downloading" not in done.stdout and "Traceback" not in done.stdout
    assert not (tmp_path / "resources").exists()


def test_snakemake_does_not_repeat_downloads(tmp_path):
    """The jobs do that themselves, where it helps."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    told = "print('again', rule.name, rule._restart_times)"
    (tmp_path / "Snakefile").write_text(f'include: "{ROOT}/Snakefile"\nfor rule in workflow.rules:\n    {told}\n')
    options = ("--dry-run", "--quiet=rules", "--retries=3", "--snakefile", tmp_path / "Snakefile")
    done = parse(tmp_path, *options, configs=CONFIGS)
    times = dict(re.findall(r"^again (\w+) (\d+)$", done.stdout, re.M))
    assert {rule for rule, count in times.items() if count == "0"} == {
        "download_corpus_shard",
        "download_model",
        "download_task",
    }


def test_a_folder_that_is_not_there_is_one_clear_line(refused):
    directory, *_ = refused
    told = (directory / "results/logs/download_corpus_shard/hi/0000.log").read_text(encoding="utf-8").splitlines()
    assert told[-1].startswith("error: wikimedia/wikipedia has no") and "20200101.hi" in told[-1]


def test_offline_is_told_as_such(tmp_path):
    """In this process huggingface_hub is offline (conftest.py)."""
    from langneurons.models.sources import download_snapshot

    with pytest.raises(ValueError, match=r"the Hub cannot be reached .* HF_HUB_OFFLINE"), hub_faults():
        download_snapshot("some/model", "c" * 40, tmp_path / "model", tmp_path / "manifest.tsv")


@pytest.mark.parametrize(
    ("token", "expected"), [(OTHER, "is gated: accept"), ("hf_forged", "answers 401 .* check HF_TOKEN")]
)
def test_a_token_without_access(repositories, monkeypatch, tmp_path, token, expected):
    from huggingface_hub import constants

    from langneurons.models.sources import download_snapshot

    (gated,) = [r for r in repositories if r.gated]
    with Hub(repositories, frozenset({ADMITTED, OTHER})) as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(ValueError, match=expected), hub_faults():
            download_snapshot(gated.name, gated.revision, tmp_path / "model", tmp_path / "manifest.tsv")


def test_the_server_gives_parts_of_files(repositories):
    (gated,) = [r for r in repositories if r.name == "old/weights"]
    with Hub(repositories) as hub:
        address = f"{hub.endpoint}/{gated.name}/resolve/{gated.revision}/README.md"
        with urllib.request.urlopen(urllib.request.Request(address, headers={"Range": "bytes=2-4"})) as answer:
            assert (answer.status, answer.headers["Content-Range"], answer.read()) == (206, "bytes 2-4/14", b"old")
