"""A disk that is full: one line that names the file, from whatever writes; what was there before stays."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from langneurons.files import DiskFull

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "langneurons"


@pytest.fixture
def full(tmp_path, request):
    """A directory on a disk of its own, without a byte free; given a number, with so many files at most."""
    place = tmp_path / "full"
    place.mkdir()
    options = f"size=64k,nr_inodes={request.param}" if hasattr(request, "param") else "size=64k"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk of the test's own can be mounted here")
    try:
        with (place / "rest").open("wb", buffering=0) as stream:
            try:
                while stream.write(bytes(4096)):
                    pass
            except OSError:
                pass
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def text(path):
    from langneurons.files import write_atomically

    with write_atomically(path) as partial:
        partial.write_text("x" * 10_000, encoding="utf-8")


def table(path):
    import pyarrow as pa

    from langneurons.artifacts.parquet import write_parquet

    write_parquet(path, pa.table({"x": np.random.default_rng(0).random(10_000)}), "test", {})


def documents(path):
    from langneurons.corpus.documents import write_documents

    write_documents(path, [(str(i), "word " * 100 + str(i)) for i in range(1000)])


def manifest(path):
    from langneurons.hub.downloads import Fetched, Repository, write_manifest

    write_manifest(path, [Fetched(Repository("model", "a/b", "c" * 40), f"f{i}", 1, "0" * 64) for i in range(100)])


def figure(path):
    import altair as alt

    from langneurons.figures.neurons import save_chart

    save_chart(alt.Chart(alt.Data(values=[{"x": 1}])).mark_point().encode(x="x:Q"), path)


def tokenizer_and_model(path):
    """The tiny model's directory: a tokenizer by its own library, weights by transformers."""
    from langneurons.corpus.documents import write_documents
    from langneurons.demo.pretraining import make_model
    from langneurons.demo.world import write_documents as texts

    corpus = path.parent.parent / "corpus/en/0000.parquet"
    write_documents(corpus, texts("en", 5, 0, 40), {"language": "en", "shard": "0000"})
    settings = {"architecture": "llama", "layers": 1, "hidden": 32, "neurons": 64, "heads": 2, "head_dim": 16}
    settings |= {"key_value_heads": 1, "vocabulary": 400, "steps": 1, "batch": 1, "block": 16, "learning_rate": 0.001}
    make_model([str(corpus)], path, settings, 0.1, 5)


WRITERS = {
    "text": (text, "it.txt"),
    "parquet": (table, "it.parquet"),
    "documents": (documents, "it.parquet"),
    "manifest": (manifest, "it.tsv"),
    "figure": (figure, "it.svg"),
    "model": (tokenizer_and_model, "model"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_writer_names_its_file_and_leaves_nothing(full, kind):
    write, name = WRITERS[kind]
    with pytest.raises(DiskFull) as told:
        write(full / name)
    assert str(told.value).startswith(f"{full / name}: no space is left to write")
    assert "\n" not in str(told.value)
    assert [p.name for p in full.iterdir()] == ["rest"]


SCRIPT = """
from types import SimpleNamespace
from langneurons.runner.jobs import job
with job(SimpleNamespace(log=[{log!r}], threads=1, config={{}})):
    {body}
"""


@pytest.mark.parametrize(
    ("log", "body", "told"),
    [
        ("full/it.log", "print('x' * 100_000, flush=True)", "{log}, or another file of this job: no space is left"),
        ("full/it.log", "print('x' * 1000)", "{log}, or another file of this job: no space is left"),
        ("full/it.log", "print('x' * 1000); raise ValueError('corpus.tokens: too few')", "corpus.tokens: too few"),
        ("it.log", "open('full/other', 'w').write('x' * 100_000)", "{log}, or another file of this job: no space"),
    ],
)
def test_a_job_ends_in_one_line(full, tmp_path, log, body, told):
    """Its log may be on that disk too: then the line is on the terminal."""
    run_job(tmp_path, tmp_path / log, body, told)


@pytest.mark.parametrize("full", [2], indirect=True)
@pytest.mark.parametrize("log", ["full/it.log", "full/logs/it.log"])
def test_a_job_that_cannot_make_its_log_ends_in_one_line(full, tmp_path, log):
    run_job(tmp_path, tmp_path / log, "raise SystemError", "{log}: no space is left")


def run_job(tmp_path, log, body, told):
    script = tmp_path / "it.py"
    script.write_text(SCRIPT.format(log=str(log), body=body), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    said = (done.stderr + (log.read_text(encoding="utf-8") if log.exists() else "")).splitlines()
    errors = [line for line in said if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith("error: " + told.format(log=log)), said
    assert not any("Traceback" in line for line in said)


# Functions that write, each under a temporary name or with the disk looked at by who calls it: (module, function).
UNDER = {"write_atomically", "write_directory_atomically", "telling_of_a_full_disk", "parquet_writer"}
WRITES = {"write_text", "write_bytes", "save_pretrained", "save_file", "ParquetWriter", "copyfile", "to_csv", "savefig"}


def test_every_writer_goes_through_the_file_module():
    """A call that writes stands in a ``with`` of the file module's, or in a function that is called from within one."""
    loose, calls_under = set(), set()
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            inside = {
                id(node)
                for block in ast.walk(function)
                if isinstance(block, ast.With) and any(_called(item.context_expr) in UNDER for item in block.items)
                for node in ast.walk(block)
            }
            for node in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                name = _called(node)
                if id(node) in inside:
                    calls_under.add(name)
                elif name in WRITES or (name == "open" and _mode(node) in ("w", "wb", "a", "ab")):
                    loose.add((path.relative_to(SOURCE).as_posix(), function.name))
    own = {
        ("files.py", "_disk_is_full"),
        ("runner/jobs.py", "_opened"),  # says it itself
        ("runner/warm.py", "_make_known"),  # of /proc
        ("hub/downloads.py", "_append"),  # its caller says it, and that the download goes on from there
        ("finetuning/checkpoints.py", "save_trainable"),  # called by transformers from within its caller's `with`
    }
    assert {(path, name) for path, name in loose - own if name not in calls_under} == set()


def _called(node: ast.AST) -> str:
    function = getattr(node, "func", None)
    return getattr(function, "attr", getattr(function, "id", ""))


def _mode(call: ast.Call) -> str:
    at = 0 if isinstance(call.func, ast.Attribute) else 1
    given = [*call.args[at : at + 1], *(k.value for k in call.keywords if k.arg == "mode")]
    return given[0].value if given and isinstance(given[0], ast.Constant) else "r"
