"""Task data from files: what is read, what is cut, and what is refused."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langneurons.tasks.files import read_task, write_task
from langneurons.tasks.sources import import_xnli, import_xquad

ROWS = [
    ('He said "no"\u2028again', "He agreed", "contradiction"),
    ("नमस्ते दुनिया", "दुनिया", "entailment"),
    ("c", "", "neutral"),
    ("d", "d2", "entailment"),
]


def tsv(path, rows=ROWS, header="premise\thypothesis\tlabel", newline="\n"):
    text = newline.join([header, *("\t".join(r) for r in rows)]) + newline
    path.write_bytes(text.encode())
    return path


def squad(path, paragraphs, **changes):
    qas = [
        {
            "context": context,
            "qas": [
                {"id": i, "question": f"q{i}", "answers": [{"text": f"a{i}", "answer_start": 0}] * 2}
                | changes.get(i, {})
                for i in ids
            ],
        }
        for context, ids in paragraphs
    ]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": qas}]}), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["tsv", "tsv-crlf-bom", "jsonl", "parquet", "parquet-numbers"])
def test_xnli_is_the_same_from_every_format(tmp_path, form):
    numbers = {"entailment": 0, "neutral": 1, "contradiction": 2}
    records = [{"premise": p, "hypothesis": h, "label": y} for p, h, y in ROWS]
    if form.startswith("tsv"):
        source = tsv(tmp_path / "a.tsv", newline="\r\n" if "crlf" in form else "\n")
        if "bom" in form:
            source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    elif form == "jsonl":
        source = tmp_path / "a.jsonl"
        source.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n", encoding="utf-8")
    else:
        source = tmp_path / "a.parquet"
        if form == "parquet-numbers":
            records = [r | {"label": numbers[r["label"]]} for r in records]
        pq.write_table(pa.Table.from_pylist(records), source)
    assert import_xnli(source, tmp_path / "out.parquet", "en") == 4
    table = read_task(tmp_path / "out.parquet", "xnli")
    assert table["label"].to_pylist() == [2, 0, 1, 0]
    assert table["id"].to_pylist() == ["0", "1", "2", "3"]
    assert list(zip(table["premise"].to_pylist(), table["hypothesis"].to_pylist(), strict=True)) == [
        r[:2] for r in ROWS
    ]
    assert str(table.schema.field("label").type) == "int8"


def test_xnli_numbers_as_labels_and_other_columns(tmp_path):
    source = tsv(tmp_path / "a.tsv", [("x", "2", "p", "h"), ("y", "0", "p", "h")], "genre\tlabel\tpremise\thypothesis")
    import_xnli(source, tmp_path / "out.parquet", "en")
    assert read_task(tmp_path / "out.parquet", "xnli")["label"].to_pylist() == [2, 0]


def test_xnli_column_language_selects(tmp_path):
    rows = [("hi", "p1", "h", "neutral"), ("vi", "p2", "h", "neutral"), ("hi", "p3", "h", "neutral")]
    source = tsv(tmp_path / "a.tsv", rows, "language\tpremise\thypothesis\tlabel")
    import_xnli(source, tmp_path / "out.parquet", "hi")
    assert read_task(tmp_path / "out.parquet", "xnli")["premise"].to_pylist() == ["p1", "p3"]
    with pytest.raises(ValueError, match="no row of language 'ur'; the file has: hi, vi"):
        import_xnli(source, tmp_path / "out.parquet", "ur")


@pytest.mark.parametrize(("rows", "fraction", "kept"), [(7, 0.25, 1), (10, 0.3, 3), (100, 0.29, 29), (5, 1.0, 5)])
def test_xnli_fraction_takes_the_first_rows(tmp_path, rows, fraction, kept):
    source = tsv(tmp_path / "a.tsv", [(f"p{i}", "h", "neutral") for i in range(rows)])
    assert import_xnli(source, tmp_path / "out.parquet", "en", fraction) == kept
    assert read_task(tmp_path / "out.parquet", "xnli")["premise"].to_pylist() == [f"p{i}" for i in range(kept)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"premise\thypothesis\tlabel\n", "empty but for its header"),
        (b"premise\tlabel\na\t0\n", "line 1: has no column hypothesis; it has: premise, label"),
        (b"premise\thypothesis\tlabel\na\tb\t0\na\t\xff\t0\n", r"line 3: byte 33 \(0xff\) is not UTF-8"),
        (
            b"premise\thypothesis\tlabel\na\tb\tmaybe\n",
            "line 2: unknown label 'maybe'; write one of: entailment or 0, ne",
        ),
        (b"premise\thypothesis\tlabel\na\tb\t-1\n", "line 2: unknown label '-1'"),
        (b"premise\thypothesis\tlabel\na\tb\tc\t0\n", "line 2: has 4 fields, the header has 3"),
    ],
)
def test_xnli_faults_name_file_and_place(tmp_path, content, message):
    source = tmp_path / "a.tsv"
    source.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        import_xnli(source, tmp_path / "out.parquet", "en", where="tasks.xnli.files.pattern")
    assert str(error.value).startswith(f"tasks.xnli.files.pattern: {source}")
    assert not list(tmp_path.glob("out*"))


def test_other_faults_of_files(tmp_path):
    out = tmp_path / "out.parquet"
    with pytest.raises(ValueError, match=r"none\.tsv: no such file"):
        import_xnli(tmp_path / "none.tsv", out, "en")
    with pytest.raises(ValueError, match=r"\.csv.*write a \.tsv, \.jsonl or \.parquet"):
        import_xnli(tmp_path / "a.csv", out, "en")
    (tmp_path / "a.parquet").write_bytes(b"premise")
    with pytest.raises(ValueError, match="is no Parquet file"):
        import_xnli(tmp_path / "a.parquet", out, "en")
    (tmp_path / "a.jsonl").write_text('{"premise": "a", "hypothesis": "b", "label": 0}\n{"premise": ')
    with pytest.raises(ValueError, match="line 2: is no JSON"):
        import_xnli(tmp_path / "a.jsonl", out, "en")
    (tmp_path / "a.jsonl").write_text('{"premise": null, "hypothesis": "b", "label": 0}')
    with pytest.raises(ValueError, match="line 1: premise is None; write a text"):
        import_xnli(tmp_path / "a.jsonl", out, "en")
    pq.write_table(pa.table({"premise": ["a"], "hypothesis": ["b"], "label": [True]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="row 1: unknown label True"):
        import_xnli(tmp_path / "b.parquet", out, "en")
    with pytest.raises(ValueError, match="fraction is 0"):
        import_xnli(tsv(tmp_path / "a.tsv"), out, "en", 0)
    with pytest.raises(ValueError, match="is no row; write a larger fraction"):
        import_xnli(tsv(tmp_path / "a.tsv"), out, "en", 0.1)


def test_xquad_parts_cut_at_the_same_question(tmp_path):
    source = squad(
        tmp_path / "a.json", [("c1", ["1", "2", "3"]), ("c2", ["4", "5"]), ("c3", ["6", "7", "8", "9", "10"])]
    )
    parts = {}
    for part, rows in [("all", 10), ("train", 8), ("test", 2)]:
        assert import_xquad(source, tmp_path / "out.parquet", part, 0.8) == rows
        parts[part] = read_task(tmp_path / "out.parquet", "xquad").to_pylist()
    assert parts["train"] + parts["test"] == parts["all"]
    assert [r["id"] for r in parts["test"]] == ["9", "10"]
    assert [r["paragraph"] for r in parts["all"]] == list("0001122222")
    assert parts["all"][3] == {
        "id": "4", "paragraph": "1", "context": "c2", "question": "q4", "answers": ["a4", "a4"],
    }  # fmt: skip


def test_xquad_hub_layout_equals_json(tmp_path):
    source = squad(tmp_path / "a.json", [("c1", ["1", "2"]), ("c2", ["3"])])
    answers = [{"text": [f"a{i}"] * 2, "answer_start": [0, 0]} for i in (1, 2, 3)]
    hub = {"id": ["1", "2", "3"], "context": ["c1", "c1", "c2"], "question": ["q1", "q2", "q3"], "answers": answers}
    pq.write_table(pa.table(hub), tmp_path / "hub.parquet")
    import_xquad(source, tmp_path / "one.parquet")
    import_xquad(tmp_path / "hub.parquet", tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_xquad_faults(tmp_path):
    out = tmp_path / "out.parquet"
    with pytest.raises(
        ValueError, match=r"paragraphs\[1\]\.qas\[0\]: id '1' stands already at data\[0\]\.paragraphs\[0\]"
    ):
        import_xquad(squad(tmp_path / "a.json", [("c1", ["1"]), ("c2", ["1"])]), out)
    with pytest.raises(ValueError, match="every question needs an answer"):
        import_xquad(squad(tmp_path / "a.json", [("c1", ["1"])], **{"1": {"answers": []}}), out)
    with pytest.raises(ValueError, match=r"answers\[0\]\.text is None"):
        import_xquad(squad(tmp_path / "a.json", [("c1", ["1"])], **{"1": {"answers": [{"answer_start": 3}]}}), out)
    with pytest.raises(ValueError, match="no question"):
        import_xquad(squad(tmp_path / "a.json", [("c1", [])]), out)
    (tmp_path / "b.json").write_text("[1]")
    with pytest.raises(ValueError, match="has no list 'data'"):
        import_xquad(tmp_path / "b.json", out)
    (tmp_path / "b.json").write_bytes(b'{"data":\n"\xe0"}')
    with pytest.raises(ValueError, match="line 2: byte 10"):
        import_xquad(tmp_path / "b.json", out)
    pq.write_table(pa.table({"id": ["1"], "context": ["c"], "question": ["q"]}), tmp_path / "h.parquet")
    with pytest.raises(ValueError, match="has no column answers; it has: id, context, question"):
        import_xquad(tmp_path / "h.parquet", out)
    with pytest.raises(ValueError, match="part is 'dev'; write all, train or test"):
        import_xquad(tmp_path / "h.parquet", out, "dev")
    with pytest.raises(ValueError, match="part train of 1 questions is empty"):
        import_xquad(squad(tmp_path / "a.json", [("c1", ["1"])]), out, "train")


def test_read_task_checks_the_schema(tmp_path):
    path = tmp_path / "a.parquet"
    write_task(path, "xnli", {"id": ["0"], "premise": ["p"], "hypothesis": ["h"], "label": [1]})
    assert read_task(path, "xnli").num_rows == 1
    with pytest.raises(ValueError, match=r"a\.parquet: task is 'xnli', 'xquad' was expected"):
        read_task(path, "xquad")
    with pytest.raises(ValueError, match="unknown task 'squad'; write one of: xnli, xquad"):
        read_task(path, "squad")
    with pytest.raises(ValueError, match="no such file"):
        read_task(tmp_path / "none.parquet", "xnli")
    write_task(path, "xnli", {"id": ["0"], "premise": [None], "hypothesis": ["h"], "label": [1]})
    with pytest.raises(ValueError, match="missing values in premise"):
        read_task(path, "xnli")
    write_task(path, "xnli", {"id": [], "premise": [], "hypothesis": [], "label": []})
    with pytest.raises(ValueError, match="has no row"):
        read_task(path, "xnli")
