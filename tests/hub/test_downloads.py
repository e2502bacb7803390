"""Files of a Hub that fails: whatever goes wrong, a file is whole and the listed one afterwards, or not there."""

import contextlib
import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import server
import yaml
from huggingface_hub import close_session, constants, errors

from langneurons.artifacts import locks
from langneurons.corpus.documents import read_documents
from langneurons.corpus.quality import DocumentFilter
from langneurons.corpus.sources import Wikipedia, download_wikipedia_shard
from langneurons.hub import downloads
from langneurons.hub import requests as hub_requests
from langneurons.hub.command import main
from langneurons.hub.downloads import Repository, fetch, fetch_all, list_files, write_manifest
from langneurons.hub.errors import hub_faults
from langneurons.models import sources
from langneurons.models.sources import download_snapshot
from langneurons.sections import HubModel

ROOT = Path(__file__).parents[2]
COMMIT = "a" * 40
WHERE = Repository("model", "someone/model", COMMIT)
LARGE, SMALL = "model-00001-of-00002.safetensors", "config.json"
SIZE = 300_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files as a model's repository has them; those of weights hold noise."""
    folder = tmp_path_factory.mktemp("repository")
    draw = random.Random(3)
    for name in (LARGE, "model-00002-of-00002.safetensors"):
        (folder / name).write_bytes(draw.randbytes(SIZE))
    for name in (SMALL, "tokenizer.json", "tokenizer_config.json", "tokenizer_code.py", "pytorch_model.bin"):
        (folder / name).write_text('{"of": "' + name * 30 + '"}\n', encoding="utf-8")
    (folder / "original").mkdir()
    (folder / "original/params.json").write_text("{}\n", encoding="utf-8")
    return folder


@pytest.fixture
def online(monkeypatch, tmp_path):
    """Have this process's client talk to a Hub; waits take no time and are kept in ``hub.waits``.

    What one download leaves for the others of a run, in the working directory, is each test's own.
    """
    monkeypatch.chdir(tmp_path)

    @contextlib.contextmanager
    def to(hub: server.Hub):
        with hub:
            template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
            hub.waits = []
            monkeypatch.setattr(hub_requests, "time", SimpleNamespace(sleep=hub.waits.append, time=time.time))
            yield hub

    return to


@pytest.fixture
def hub(folder, online):
    """A Hub with one model."""
    with online(server.Hub([server.Repository("models", WHERE.name, COMMIT, folder)])) as hub:
        yield hub


def listed(name):
    (file,) = [file for file in list_files(WHERE) if file.path == name]
    return file


def parts(hub, name=LARGE):
    return [part for file, part in hub.parts if file == name]


def only(folder, *names):
    """Beside them locks alone, which stay until this process ends."""
    assert sorted(p.name for p in folder.iterdir() if p.suffix != ".lock") == sorted(names)


def test_the_listing_has_the_hubs_digests(hub, folder):
    large, small = (folder / LARGE).read_bytes(), (folder / SMALL).read_bytes()
    assert [file.path for file in list_files(WHERE)] == sorted(p.name for p in folder.iterdir() if p.is_file())
    assert (listed(LARGE).size, listed(LARGE).digest) == (SIZE, hashlib.sha256(large).hexdigest())
    expected = subprocess.run(["git", "hash-object", str(folder / SMALL)], capture_output=True, text=True, check=True)
    assert (listed(SMALL).size, listed(SMALL).digest) == (len(small), expected.stdout.strip())


@pytest.mark.parametrize("name", [LARGE, SMALL])
def test_a_file_comes_whole(hub, folder, tmp_path, name):
    content = (folder / name).read_bytes()
    assert fetch(WHERE, listed(name), tmp_path / "it") == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "it").read_bytes() == content
    only(tmp_path, "it")


@pytest.mark.parametrize("offset", random.Random(7).sample(range(1, SIZE), 10))
def test_a_dropped_connection_is_gone_on_from(hub, folder, tmp_path, offset):
    hub.faults = [server.Fault(LARGE, drop=offset)]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert parts(hub) == [None, f"bytes={offset}-"]
    only(tmp_path, "it")


def test_many_drops_are_one_file(hub, folder, tmp_path):
    """As long as bytes arrive no number of cuts is too many."""
    offsets = sorted(random.Random(8).sample(range(1, SIZE), 20))
    hub.faults = [server.Fault(LARGE, drop=offset) for offset in offsets]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert parts(hub) == [None, *(f"bytes={offset}-" for offset in offsets)]


def test_a_hub_that_ignores_the_part_asked_for_begins_anew(hub, folder, tmp_path):
    hub.faults = [server.Fault(LARGE, drop=1000), server.Fault(LARGE, whole=True)]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert parts(hub) == [None, "bytes=1000-"]


@pytest.mark.parametrize(("name", "byte"), [(LARGE, 0), (LARGE, SIZE - 1), (LARGE, 77_777), (SMALL, 5)])
def test_a_wrong_byte_is_fetched_again(hub, folder, tmp_path, name, byte):
    hub.faults = [server.Fault(name, wrong=byte, times=2)]
    fetch(WHERE, listed(name), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / name).read_bytes()
    assert parts(hub, name) == [None] * 3
    only(tmp_path, "it")


@pytest.mark.parametrize("name", [LARGE, SMALL])
def test_three_wrong_files_are_one_error_and_no_file(hub, tmp_path, name):
    (tmp_path / "it").write_bytes(b"what was there")
    hub.faults = [server.Fault(name, wrong=3, times=9)]
    with pytest.raises(ValueError, match=rf"someone/model@a+: {name} arrived 3 times with another digest"):
        fetch(WHERE, listed(name), tmp_path / "it")
    assert parts(hub, name) == [None] * 3
    only(tmp_path)


def test_wrong_bytes_before_a_cut_are_found_after_it(hub, folder, tmp_path):
    hub.faults = [server.Fault(LARGE, wrong=10, drop=5000)]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert parts(hub) == [None, "bytes=5000-", None]


@pytest.mark.parametrize("content", [b"", b"x", b"x" * SIZE, b"x" * (SIZE + 1)])
def test_what_lies_there_is_checked(hub, folder, tmp_path, content):
    """A file or part of an earlier call, or of anybody."""
    file = listed(LARGE)
    for name in ("it", f"it.{file.digest[:16]}.partial"):
        (tmp_path / name).write_bytes(content)
    fetch(WHERE, file, tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    only(tmp_path, "it")


def test_a_file_that_is_there_is_not_fetched(hub, folder, tmp_path):
    fetch_all(WHERE, [listed(LARGE), listed(SMALL)], tmp_path)
    before = list(hub.parts)
    again = fetch_all(WHERE, [listed(LARGE), listed(SMALL)], tmp_path)
    assert hub.parts == before
    assert [f.sha256 for f in again] == [hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in (LARGE, SMALL)]


def test_a_fault_of_the_hub_passes(hub, folder, tmp_path):
    hub.faults = [server.Fault(LARGE, status=500), server.Fault(LARGE, status=503), server.Fault(LARGE, status=502)]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert hub.waits == [1, 2, 4]


def test_a_fault_of_the_listing_passes(hub, folder):
    hub.faults = [server.Fault("tree", status=500)]
    assert [file.path for file in list_files(WHERE)] == sorted(p.name for p in folder.iterdir() if p.is_file())


def test_a_hub_that_stays_down_is_one_error(hub, tmp_path):
    hub.faults = [server.Fault(LARGE, status=500, times=99)]
    with pytest.raises(ValueError, match="the Hub answers 500 to http://.*; try again later"), hub_faults():
        fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert hub.waits == list(hub_requests.WAITS)
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry-After": "17"}, 17), ({"RateLimit": '"resolvers";r=0;t=23'}, 23), ({}, 1)]
)
def test_the_hub_is_waited_for_as_it_asks(hub, folder, tmp_path, headers, seconds):
    hub.faults = [server.Fault(LARGE, status=429, headers=headers)]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert hub.waits == [seconds]


def test_a_wait_too_long_is_told(hub, tmp_path):
    hub.faults = [server.Fault(LARGE, status=429, headers={"Retry-After": "86400"})]
    with pytest.raises(ValueError, match="the Hub answers 429"), hub_faults():
        fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert hub.waits == []


def test_a_refusal_is_not_repeated(hub, tmp_path):
    hub.faults = [server.Fault(LARGE, status=403, times=99)]
    file = listed(LARGE)
    before = len(hub.requests)
    with pytest.raises(ValueError, match="the Hub answers 403 to .* check HF_TOKEN"), hub_faults():
        fetch(WHERE, file, tmp_path / "it")
    assert len(hub.requests) - before == 1


def test_a_slow_hub_is_waited_for(hub, folder, tmp_path):
    hub.faults = [server.Fault(LARGE, pause=0.02)]
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert parts(hub) == [None]


def test_a_silent_hub_is_asked_again(hub, folder, tmp_path, monkeypatch):
    file = listed(LARGE)
    monkeypatch.setattr(hub_requests, "TIMEOUT", 0.2)
    hub.faults = [server.Fault(LARGE, pause=1.0)]
    fetch(WHERE, file, tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()
    assert hub.waits == [1]


def test_a_hub_that_is_gone_is_one_error(hub, tmp_path):
    file = listed(LARGE)
    hub.stop()
    with pytest.raises(ValueError, match=r"the Hub cannot be reached \(ConnectError"), hub_faults():
        fetch(WHERE, file, tmp_path / "it")
    assert hub.waits == list(hub_requests.WAITS)


def test_a_disk_that_fills_is_one_error(hub, folder, tmp_path):
    """/dev/full has no room for anything."""
    file = listed(LARGE)
    partial = tmp_path / f"it.{file.digest[:16]}.partial"
    partial.symlink_to("/dev/full")
    with pytest.raises(ValueError, match=rf"the disk is full after 0 of the 300,000 bytes of {LARGE}; make room"):
        fetch(WHERE, file, tmp_path / "it")
    assert not (tmp_path / "it").exists()
    partial.unlink()
    fetch(WHERE, file, tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()


def test_the_free_disk_is_looked_at_first(hub, tmp_path, monkeypatch, capsys):
    usage = namedtuple("Usage", "free")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage(SIZE - 1))
    with pytest.raises(ValueError, match=r"someone/model@a+ needs 300,000 bytes, .* has 299,999 bytes free; make room"):
        fetch_all(WHERE, [listed(LARGE)], tmp_path)
    assert hub.parts == []
    assert "1 files, 300,000 bytes, of which 0 bytes are here" in capsys.readouterr().out
    # What is here already needs no room.
    (tmp_path / f"{LARGE}.{listed(LARGE).digest[:16]}.partial").write_bytes(b"x")
    fetch_all(WHERE, [listed(LARGE)], tmp_path)


def test_a_killed_download_of_a_model_goes_on(hub, folder, tmp_path, monkeypatch):
    """The files hold noise, so nothing looks into them."""
    for name in ("check_config", "check_files"):
        monkeypatch.setattr(sources, name, lambda *_: None)
    hub.faults = [server.Fault("model-00002-of-00002.safetensors", pause=0.05, piece=4096)]
    code = (
        "from langneurons.models import sources\n"
        "sources.check_config = sources.check_files = lambda *_: None\n"
        f"sources.download_snapshot({WHERE.name!r}, {COMMIT!r}, 'models/it', 'models/it.manifest.tsv')"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub.endpoint, "PYTHONPATH": str(ROOT / "src"), "HF_HOME": str(tmp_path / "home")}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    beside = tmp_path / "models/.it.download"
    until = time.monotonic() + 60
    while not sum(p.stat().st_size for p in beside.glob("model-00002*.partial")) and time.monotonic() < until:
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = beside.glob("*.partial")
    kept = partial.stat().st_size
    assert 0 < kept < SIZE and not (tmp_path / "models/it").exists()
    hub.parts.clear()
    download_snapshot(WHERE.name, COMMIT, tmp_path / "models/it", tmp_path / "models/it.manifest.tsv")
    assert hub.parts == [
        ("model-00002-of-00002.safetensors", f"bytes={kept}-"),
        ("tokenizer.json", None),
        ("tokenizer_config.json", None),
    ]
    wanted = [SMALL, LARGE, "model-00002-of-00002.safetensors", "tokenizer.json", "tokenizer_config.json"]
    only(tmp_path / "models/it", *wanted, "langneurons.json")  # the seal: what it is, and its files' checksums
    only(tmp_path / "models", "it", "it.manifest.tsv")
    contents = [(folder / name).read_bytes() for name in wanted]
    assert [(tmp_path / "models/it" / name).read_bytes() for name in wanted] == contents
    lines = (tmp_path / "models/it.manifest.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["repository", "revision", "file", "bytes", "sha256"]
    assert [line.split("\t") for line in lines[1:]] == [
        [WHERE.name, COMMIT, name, str(len(content)), hashlib.sha256(content).hexdigest()]
        for name, content in zip(wanted, contents, strict=True)
    ]


def test_a_shard_made_otherwise_fetches_nothing_anew(tmp_path, online):
    repository, out = tmp_path / "repository", tmp_path / "corpus/0000.parquet"
    (repository / "20231101.hi").mkdir(parents=True)
    texts = {"a": ["नदी", "river", "x"], "b": ["गाँव", "village"]}
    for name, held in texts.items():
        table = pa.table({"id": [f"{name}{i}" for i in range(len(held))], "text": held})
        pq.write_table(table, repository / f"20231101.hi/{name}.parquet")
    where = Repository("dataset", "wikimedia/wikipedia", COMMIT)

    def taken(seed=42, **settings):
        others = [out.with_suffix(f".{kind}.tsv") for kind in ("quality", "manifest")]
        wikipedia = Wikipedia(where, "20231101", "hi", "hi", 1, None, seed)
        download_wikipedia_shard(wikipedia, 0, DocumentFilter("hi", **settings), out, *others)
        return sorted(text for _, text in read_documents(out))

    with online(server.Hub([server.Repository("datasets", where.name, COMMIT, repository)])) as hub:
        first = taken()
        ((file, _),) = hub.parts
        assert first == sorted(texts[file[0]])
        assert taken(min_own_script=0.5) == [first[-1]]
        assert len(hub.parts) == 1
        other = next(seed for seed in range(50) if taken(seed) != first)
        assert [name for name, _ in hub.parts] == [file, {"a": "b", "b": "a"}[file[0]] + ".parquet"]
        assert [p.name for p in out.with_suffix(".source").iterdir()] == [hub.parts[1][0]]
        # A file that changed on the disk is not taken for the right one.
        (place,) = out.with_suffix(".source").iterdir()
        place.write_bytes(place.read_bytes()[:-1] + b"?")
        assert taken(other) == sorted(texts[hub.parts[1][0][0]])
        assert len(hub.parts) == 3


def test_a_manifest_of_nothing_has_its_header(tmp_path):
    write_manifest(tmp_path / "m.tsv", [])
    assert (tmp_path / "m.tsv").read_text(encoding="utf-8") == "repository\trevision\tfile\tbytes\tsha256\n"


def test_an_unexpected_error_of_the_disk_passes(hub, tmp_path):
    (tmp_path / "gone").write_text("a file, no directory")
    with pytest.raises(OSError):
        fetch(WHERE, listed(LARGE), tmp_path / "gone/it")


@pytest.fixture
def model_hub(online, tmp_path):
    """A Hub with a model of 3 float32 numbers, whose config.json is a Llama's, and a data set."""
    folder = tmp_path / "served"
    (folder / "data").mkdir(parents=True)
    config = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    config |= {"max_position_embeddings": 512, "num_hidden_layers": 1, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(12))
    repositories = [
        server.Repository("models", "someone/My_Model-1B", COMMIT, folder),
        server.Repository("datasets", "someone/texts", COMMIT, folder / "data"),
    ]
    with online(server.Hub(repositories)) as hub:
        yield hub


def test_the_entry_of_a_model_is_yaml_of_a_valid_section(model_hub, capsys):
    assert main(["model", "someone/My_Model-1B"]) == 0
    ((key, entry),) = yaml.safe_load(capsys.readouterr().out)["models"].items()
    assert key == "my-model-1b"
    section = HubModel.model_validate(entry)
    assert (section.repository, section.revision) == ("someone/My_Model-1B", COMMIT)
    assert (section.title, section.parameters, section.architecture) == ("My Model 1B", 3, "llama")


def test_the_hub_s_own_count_of_parameters_goes_first(model_hub, capsys):
    body = json.dumps({"sha": COMMIT, "safetensors": {"total": 1_235_814_400}}).encode()
    model_hub.faults = [server.Fault("revision", status=200, headers={"Content-Type": "application/json"}, body=body)]
    assert main(["model", "someone/My_Model-1B"]) == 0
    ((_, entry),) = yaml.safe_load(capsys.readouterr().out)["models"].items()
    assert float(entry["parameters"]) == 1.24e9


def test_a_model_that_no_job_could_use_has_no_entry(model_hub, capsys):
    file = model_hub.repositories[0].folder / "config.json"
    file.write_text(json.dumps({"model_type": "mamba"}))
    assert main(["model", "someone/My_Model-1B"]) == 1
    printed = capsys.readouterr()
    line = printed.err.splitlines()[-1]  # before it: how far the download is
    assert printed.out == ""
    assert line.startswith("error: someone/My_Model-1B/config.json: model_type 'mamba' is not a known architecture")


def test_the_entry_of_a_data_set_has_its_commit(model_hub, capsys):
    assert main(["dataset", "someone/texts"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"hub": {"repository": "someone/texts", "revision": COMMIT}}


def test_the_commit_of_a_branch_is_printed(hub, capsys):
    assert main(["commit", WHERE.name]) == 0
    assert capsys.readouterr().out == f"{COMMIT}  {WHERE.name}\n"
    assert main(["commit", "datasets/nobody/nothing"]) == 1
    assert main(["commit", "nothing"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("error: nobody/nothing is not at https://huggingface.co/datasets/nobody/nothing")
    assert told[1].startswith("error: 'nothing' is no repository; write owner/name")


def test_a_signed_address_is_not_told():
    request = httpx2.Request("GET", "https://cdn.example/f?X-Signature=secret")
    response = httpx2.Response(403, request=request)
    with pytest.raises(ValueError, match=r"answers 403 to https://cdn\.example/f;") as told, hub_faults():
        raise errors.HfHubHTTPError("no", response=response)
    assert "secret" not in str(told.value)


def test_a_model_that_cannot_be_used_is_refused_before_its_weights_come(tmp_path, online):
    """A Mixtral was downloaded, fine-tuned and evaluated before collection refused it."""
    source = tmp_path / "repository"
    source.mkdir()
    (source / SMALL).write_text('{"model_type": "mixtral", "num_local_experts": 8}', encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (source / name).write_bytes(b"{}")
    with online(server.Hub([server.Repository("models", WHERE.name, COMMIT, source)])) as hub:
        with pytest.raises(ValueError, match=r"config\.json: model_type 'mixtral' is a mixture of experts"):
            download_snapshot(WHERE.name, COMMIT, tmp_path / "models/it", tmp_path / "models/it.manifest.tsv")
        assert [name for name, _ in hub.parts] == [SMALL]
    assert not (tmp_path / "models/it").exists()


def listing(*entries, **headers):
    """A listing that the Hub answers with, in place of its own."""
    content = json.dumps(list(entries)).encode()
    return server.Fault("tree", status=200, headers={"Content-Type": "application/json"} | headers, body=content)


ENTRY = {"type": "file", "oid": "0" * 40, "size": 3, "path": "config.json"}


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        (
            {"Content-Type": "text/html; charset=utf-8"},
            b"<html>Sign in</html>",
            "answers with text/html instead of JSON",
        ),
        ({}, b"", "answers with nothing instead of JSON"),
        ({}, b"\xff\xfe{", "instead of JSON"),
        ({}, b'{"error": "no"}', "is not a list of files"),
        ({}, b"[1, 2]", "is not a list of files"),
        ({}, b"null", "is not a list of files"),
        ({"Content-Encoding": "gzip"}, b"no gzip", "an answer of the Hub cannot be read"),
    ],
)
def test_what_is_no_listing_is_one_error(hub, headers, body, told):
    hub.faults = [server.Fault("tree", status=200, headers=headers, body=body, times=9)]
    with pytest.raises(ValueError, match=told) as error, hub_faults():
        list_files(WHERE)
    assert "\n" not in str(error.value)
    assert hub.waits == []


@pytest.mark.parametrize("key", ["path", "size", "oid", "lfs"])
@pytest.mark.parametrize("value", [None, -1, "", "x" * 41, [], {"size": 3}])
def test_a_listing_that_lacks_something_is_one_error(hub, key, value):
    if (key, value) in [("path", "x" * 41), ("lfs", None)] or (key == "lfs" and not isinstance(value, dict)):
        return
    hub.faults = [listing(ENTRY | {key: value})]
    with pytest.raises(ValueError, match=r"someone/model@a+: the Hub lists .* without its (path|size|checksum)"):
        list_files(WHERE)
    hub.faults = [listing({name: held for name, held in ENTRY.items() if name != key})]
    if key != "lfs":
        with pytest.raises(ValueError, match="without its"):
            list_files(WHERE)


@pytest.mark.parametrize("path", ["../it", "/etc/it", "a/../../it", "..", ".", "a/b", "config.json/..", "a\0b"])
def test_a_listing_leads_nowhere_else(hub, tmp_path, path):
    hub.faults = [listing(ENTRY | {"path": path})]
    with pytest.raises(ValueError, match="which is not a file in the repository"):
        fetch_all(WHERE, list_files(WHERE), tmp_path / "here")
    hub.faults = [listing(ENTRY | {"path": path})]
    with pytest.raises(ValueError, match="which is not a file in data"):
        list_files(WHERE, "data")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_one_error(hub, tmp_path):
    hub.faults = [listing(ENTRY | {"path": "é" * 150})]
    with pytest.raises(
        ValueError, match=r"someone/model@a+: the name é+… has 300 bytes, more than .*; the file cannot"
    ):
        fetch_all(WHERE, list_files(WHERE), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_listing_of_pages_is_read_to_its_end(hub):
    tree = f"/api/models/{WHERE.name}/tree/{COMMIT}"
    hub.faults = [
        listing(ENTRY, Link=f'<{hub.endpoint}{tree}?cursor=2>; rel="next"'),
        listing(ENTRY | {"path": "b"}, Link=f'<{tree}?cursor=3>; rel="next"'),
        listing(ENTRY | {"path": "a"}),
    ]
    assert [file.path for file in list_files(WHERE)] == ["a", "b", "config.json"]


def test_pages_in_a_circle_are_one_error(hub):
    link = f'<{hub.endpoint}/api/models/{WHERE.name}/tree/{COMMIT}?cursor=2>; rel="next"'
    hub.faults = [listing(ENTRY, Link=link) for _ in range(5)]
    with pytest.raises(ValueError, match=r"someone/model@a+: the pages of the Hub's listing form a loop"):
        list_files(WHERE)


@pytest.mark.parametrize("how", ["page", "redirect"])
def test_another_host_gets_no_token(hub, folder, online, monkeypatch, how):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.tokens = frozenset({"hf_secret"})
    with server.Hub([server.Repository("models", WHERE.name, COMMIT, folder)], frozenset({"hf_secret"})) as other:
        address = f"{other.endpoint}/api/models/{WHERE.name}/tree/{COMMIT}?recursive=false"
        hub.faults = [
            listing(ENTRY | {"path": "a"}, Link=f'<{address}>; rel="next"')
            if how == "page"
            else server.Fault("tree", status=307, headers={"Location": address})
        ]
        assert {file.path for file in list_files(WHERE)} >= {LARGE, SMALL}
        assert len(hub.authorized) == 1 and len(other.requests) == 1
        assert other.authorized == []


def test_a_file_elsewhere_is_fetched_without_the_token(hub, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.tokens = frozenset({"hf_secret"})
    fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert {endpoint for endpoint, _ in hub.authorized} == {hub.endpoint}
    assert (tmp_path / "it").read_bytes() == (folder / LARGE).read_bytes()


@pytest.mark.parametrize("what", ["tree", "file"])
def test_redirects_in_a_circle_are_one_error(hub, tmp_path, what):
    file = listed(SMALL)
    address = f"/api/models/{WHERE.name}/tree/{COMMIT}" if what == "tree" else f"/{WHERE.name}/resolve/{COMMIT}/{SMALL}"
    name = "tree" if what == "tree" else SMALL
    hub.faults = [server.Fault(name, status=302, headers={"Location": address}, times=99)]
    with pytest.raises(ValueError, match=r"the Hub's redirects form a loop, from http://127\.0\.0\.1"), hub_faults():
        list_files(WHERE) if what == "tree" else fetch(WHERE, file, tmp_path / "it")
    assert hub.waits == []


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("hf_abcdé", r"HF_TOKEN: character 8 of the token is U\+00E9"),
        ("hf_ab cd", r"HF_TOKEN: character 6 of the token is U\+0020"),
        ("hf_ab\ncd", "HF_TOKEN holds a line break within the token"),
        ("hf_ab\r\ncd\n", "HF_TOKEN holds a line break within the token"),
        ("hf_\u200bab", r"HF_TOKEN: character 4 of the token is U\+200B"),
    ],
)
def test_a_token_that_cannot_be_sent_is_one_error(hub, tmp_path, monkeypatch, token, told):
    file = listed(SMALL)
    monkeypatch.setenv("HF_TOKEN", token)
    for call in (lambda: list_files(WHERE), lambda: fetch(WHERE, file, tmp_path / "it")):
        with pytest.raises(ValueError, match=told) as error, hub_faults():
            call()
        assert "\n" not in str(error.value) and token not in str(error.value)


def test_a_token_in_a_file_is_looked_at_too(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_bytes(b"hf_ab\xe9\n")
    with pytest.raises(ValueError, match=r"/token: character 6 of the token is"), hub_faults():
        list_files(WHERE)
    (tmp_path / "token").write_bytes(b"hf_good\n")
    hub.tokens = frozenset({"hf_good"})
    list_files(WHERE)
    assert len(hub.authorized) == 1


@pytest.mark.parametrize(
    ("variable", "address", "told"),
    [
        ("HTTPS_PROXY", "http://:bad", "HTTPS_PROXY is not the address of a proxy"),
        ("http_proxy", "ftp://me:secret@proxy", "http_proxy is not the address of a proxy"),
        ("ALL_PROXY", "http://me:secret@proxy:port", "ALL_PROXY is not the address of a proxy"),
        ("HTTP_PROXY", "nonsense.invalid", r"cannot be reached \(ConnectError.*and the proxy of HTTP_PROXY \(nonsense"),
        ("HTTP_PROXY", "http://me:secret@127.0.0.1:9", r"cannot be reached .*proxy of HTTP_PROXY \(http://127"),
    ],
)
def test_a_broken_proxy_is_one_error(hub, monkeypatch, variable, address, told):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, address)
    close_session()
    try:
        with pytest.raises(ValueError, match=told) as error, hub_faults():
            list_files(WHERE)
    finally:
        close_session()
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_one_download_waits_for_a_network_that_is_gone_and_the_others_of_the_run_do_not(hub, tmp_path, monkeypatch):
    file = listed(SMALL)
    hub.stop()
    close_session()  # connections that are open stay so
    with pytest.raises(ValueError, match=r"cannot be reached \(ConnectError"), hub_faults():
        fetch(WHERE, file, tmp_path / "it")  # no run of Snakemake: nothing is kept
    (tmp_path / ".snakemake").mkdir()
    with pytest.raises(ValueError, match=r"cannot be reached \(ConnectError"), hub_faults():
        fetch(WHERE, file, tmp_path / "it")
    assert hub.waits == 2 * list(hub_requests.WAITS)
    hub.waits.clear()
    for call in (lambda: fetch(WHERE, file, tmp_path / "it"), lambda: list_files(WHERE)):
        with pytest.raises(ValueError, match=r"s ago another download of this run .* after waiting 63 s, so this one"):
            call()
    # Some time later one asks again, and waits no more than that.
    os.utime(hub_requests.GONE, (time.time() - 100,) * 2)
    with pytest.raises(ValueError, match="100 s ago"):
        list_files(WHERE)
    assert time.time() - hub_requests.GONE.stat().st_mtime < 50
    assert hub.waits == []


def test_a_hub_that_answers_again_ends_that(hub, tmp_path, monkeypatch):
    (tmp_path / ".snakemake").mkdir()
    hub_requests.GONE.touch()
    os.utime(hub_requests.GONE, (time.time() - 100,) * 2)
    list_files(WHERE)
    assert not hub_requests.GONE.exists()


def test_a_cut_during_a_download_is_waited_for(hub, folder, tmp_path, monkeypatch):
    """A Hub that does answer, but badly, is none that is gone: the next download waits as long."""
    (tmp_path / ".snakemake").mkdir()
    hub.faults = [server.Fault(LARGE, status=500, times=7)]
    with pytest.raises(ValueError, match="the Hub answers 500"), hub_faults():
        fetch(WHERE, listed(LARGE), tmp_path / "it")
    assert not hub_requests.GONE.exists()


HOLD = """
import sys
from langneurons.artifacts.locks import hold
hold(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def holder(place):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(place)], env=environment, **pipes)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_two_processes_do_not_download_into_one_directory(hub, folder, tmp_path, ends):
    """A part's name is shared, to be gone on with; the lock vanishes with the process."""
    beside, file = tmp_path / ".it.download", listed(LARGE)
    with holder(beside) as process:
        assert (tmp_path / ".it.download.lock").is_file()
        before = len(hub.parts)
        for call in (lambda: fetch_all(WHERE, [file], beside), lambda: fetch(WHERE, file, beside / LARGE)):
            told = rf"\.it\.download: process {process.pid} of \S+ is downloading into it now; let it end"
            with pytest.raises(ValueError, match=told):
                call()
        assert len(hub.parts) == before and not beside.exists()
        if ends == "killed":
            process.kill()
        else:
            process.stdin.close()
        process.wait()
    assert (tmp_path / ".it.download.lock").exists() == (ends == "killed")
    fetch_all(WHERE, [file], beside)
    fetch_all(WHERE, [file], beside)  # the same process may again
    only(beside, LARGE)


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch, capsys):
    def flock(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    locks.hold(tmp_path / "it")
    assert "this file system has no locks (No locks available)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "told"),
    [(b"<html>", "instead of JSON"), (b"[]", "has no commit of main"), (b'{"sha": 3}', "has no commit")],
)
def test_an_answer_without_a_commit_is_one_line(hub, capsys, body, told):
    hub.faults = [server.Fault("revision", status=200, body=body)]
    assert main(["commit", WHERE.name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {WHERE.name}") and told in line


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://localhost:99999", "Port out of range 0-65535"),
        ("http://name:secret@[::1", "Invalid IPv6 URL"),
        ("http://name:secret@host:x", "Port could not be cast to integer value as 'x'"),
        ("huggingface.co", "it has no http:// or https:// with a host"),
        ("", "it has no http:// or https:// with a host"),
    ],
)
def test_an_address_of_the_hub_that_is_none_is_one_line(address, told):
    """In a process of its own: huggingface_hub parses the address when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": address, "PYTHONPATH": str(ROOT / "src")}
    for code in (
        "import sys; from langneurons.hub.command import main; sys.exit(main(['commit', 'owner/name']))",
        "from langneurons.hub.downloads import Repository; from langneurons.hub.access import obstacle; "
        "sys.exit(obstacle([Repository('model', 'owner/name', 40 * 'c')]))",
    ):
        command = [sys.executable, "-c", f"import sys; {code}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and line.removeprefix("error: ").startswith(
            f"HF_ENDPOINT is not the address of a Hub ({told}); write https://HOST or http://HOST:PORT, or unset it"
        )
        assert "secret" not in line


def test_jobs_that_ask_no_hub_need_no_address_of_it():
    code = (
        "from langneurons.runner.environment import prepare_environment; prepare_environment(False); "
        "import huggingface_hub.constants"
    )
    environment = os.environ | {"HF_ENDPOINT": "http://[::1", "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
