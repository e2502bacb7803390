"""Which file of a Hub data set is taken, against a listing made by hand; and how many rows it must have."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from task_pieces import section

from langneurons.hub.downloads import Fetched, RemoteFile
from langneurons.registry import entry
from langneurons.tasks import hub as task_hub

FILES = {
    "facebook/xnli": ["vi/test-00000-of-00001.parquet", "vi/train-00000-of-00001.parquet", "vi/README.md"],
    "google/xquad": ["xquad.hi/validation-00000-of-00001.parquet"],
    "rajpurkar/squad": ["plain_text/train-00000-of-00001.parquet", "plain_text/validation-00000-of-00001.parquet"],
    "split/xnli": ["vi/test-00000-of-00002.parquet", "vi/test-00001-of-00002.parquet"],
}
ROWS = 7


@pytest.fixture
def downloaded(monkeypatch, tmp_path):
    """The path of a task's file in its repository; what is fetched is gone afterwards."""

    def list_files(where, folder):
        assert (where.kind, where.revision) == ("dataset", "c" * 40)
        return [RemoteFile(path, 1, "x") for path in FILES[where.name] if path.startswith(folder + "/")]

    def fetch_all(where, files, folder):
        folder.mkdir(exist_ok=True)
        for file in files:
            pq.write_table(pa.table({"id": range(ROWS)}), folder / file.path.split("/")[-1])
        return [Fetched(where, file.path, 1, "x") for file in files]

    monkeypatch.setattr(task_hub, "list_files", list_files)
    monkeypatch.setattr(task_hub, "fetch_all", fetch_all)

    def download(task, repository, language, split, rows=None):
        kind, keys = ("xquad", {"train": "squad"}) if task == "squad" else (task, {})
        of = {"repository": repository, "revision": "c" * 40, "rows": rows or {}}
        spec = section(kind, source="hub", hub=of, squad_hub=of, **keys) if kind == "xquad" else section(kind, hub=of)
        file = entry("tasks", kind).hub(spec, language, split)
        with task_hub.downloaded(file, tmp_path / "out") as (path, fetched):
            assert pq.read_metadata(path).num_rows == ROWS
        assert list(tmp_path.iterdir()) == []
        (file,) = fetched
        return file.path

    return download


@pytest.mark.parametrize(
    ("task", "repository", "language", "split", "expected"),
    [
        ("xnli", "facebook/xnli", "vi", "test", "vi/test-00000-of-00001.parquet"),
        ("xnli", "facebook/xnli", "vi", "train", "vi/train-00000-of-00001.parquet"),
        ("xquad", "google/xquad", "hi", "test", "xquad.hi/validation-00000-of-00001.parquet"),
        ("xquad", "google/xquad", "hi", "train", "xquad.hi/validation-00000-of-00001.parquet"),
        ("squad", "rajpurkar/squad", "en", "train", "plain_text/train-00000-of-00001.parquet"),
    ],
)
def test_the_right_file(downloaded, task, repository, language, split, expected):
    assert downloaded(task, repository, language, split) == expected


@pytest.mark.parametrize(("repository", "language"), [("split/xnli", "vi"), ("facebook/xnli", "hi")])
def test_no_file_or_several(downloaded, repository, language):
    with pytest.raises(ValueError, match=r"one file .*test-\*\.parquet was expected"):
        downloaded("xnli", repository, language, "test")


def test_the_number_of_rows_is_verified_against_the_split_of_the_file(downloaded):
    told = r"vi/test-.*\.parquet has 7 rows, not the 5,010 that the configuration's `rows` says"
    with pytest.raises(ValueError, match=told):
        downloaded("xnli", "facebook/xnli", "vi", "test", {"train": ROWS, "test": 5010})
    with pytest.raises(ValueError, match="has 7 rows, not the 1,190"):
        downloaded("xquad", "google/xquad", "hi", "train", {"validation": 1190})
    downloaded("xnli", "facebook/xnli", "vi", "test", {"train": 5010, "test": ROWS})
    downloaded("xquad", "google/xquad", "hi", "train", {"validation": None})
