"""Task data from files: what is read, what is cut, and what is refused."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from task_pieces import import_xnli, import_xquad

from langneurons.tasks.files import read_task, write_task

ROWS = [
    ('He said "no"\u2028again', "He agreed", "contradiction"),
    ("नमस्ते दुनिया", "दुनिया", "entailment"),
    ("c", "c2", "neutral"),
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
        (
            b"premise\thypothesis\tlabel\na\tb\t0\na\t\xff\t0\n",
            r"line 3: not UTF-8 \(invalid start byte at byte 2\); save the file as UTF-8",
        ),
        (
            b"premise\thypothesis\tlabel\na\tb\tmaybe\n",
            "line 2: unknown label 'maybe'; write one of: entailment or 0, ne",
        ),
        (b"premise\thypothesis\tlabel\na\tb\t-1\n", "no row has a label; write one of: entailment, neutral"),
        (b"premise\thypothesis\tlabel\na\tb\tc\t0\n", "line 2: has 4 fields, the header has 3"),
    ],
)
def test_xnli_faults_name_file_and_place(tmp_path, content, message):
    source = tmp_path / "a.tsv"
    source.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        import_xnli(source, tmp_path / "out.parquet", "en")
    assert str(error.value).startswith(f"{source}")
    assert not list(tmp_path.glob("out*"))


LAYOUTS = {  # XNLI's own: its training set, its test set in two forms; names and labels as there
    "multinli.train.en.tsv": "premise\thypo\tlabel\nA dog.\tA cat.\tcontradictory\nb\tc\tneutral\n",
    "xnli.test.tsv": (
        "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpromptID\n"
        "de\tneutral\t\tEin Hund.\tb\t1\nen\tcontradiction\t\tA dog.\tA cat.\t1\nen\tneutral\t\tb\tc\t2\n"
    ),
    "xnli.test.jsonl": (
        '{"gold_label": "contradiction", "language": "en", "sentence1": "A dog.", "sentence2": "A cat."}\n\n'
        '{"gold_label": "neutral", "language": "en", "sentence1": "b", "sentence2": "c", "match": "True"}\n'
        '{"gold_label": "neutral", "language": "de", "sentence1": "b", "sentence2": "c"}\n'
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_xnli_s_own_layouts_are_read(tmp_path, name):
    (tmp_path / name).write_text("\ufeff" + LAYOUTS[name], encoding="utf-8")
    assert import_xnli(tmp_path / name, tmp_path / "out.parquet", "en") == 2
    assert read_task(tmp_path / "out.parquet", "xnli").to_pylist() == [
        {"id": "0", "premise": "A dog.", "hypothesis": "A cat.", "label": 2},
        {"id": "1", "premise": "b", "hypothesis": "c", "label": 1},
    ]


@pytest.mark.parametrize("form", ["tsv", "jsonl", "parquet"])
def test_rows_without_a_label_are_left_out_and_counted(tmp_path, form, capsys):
    """Before the share is taken: half of the four rows that have a label."""
    labels = [0, -1, 1, 2, -1, 0] if form != "tsv" else ["0", "-", "1", "2", "-1", "0"]
    rows = [{"premise": f"p{i}", "hypothesis": "h", "label": label} for i, label in enumerate(labels)]
    source = tmp_path / f"a.{form}"
    if form == "tsv":
        tsv(source, [tuple(map(str, row.values())) for row in rows])
    elif form == "jsonl":
        source.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), source)
    assert import_xnli(source, tmp_path / "out.parquet", "en", 0.5) == 2
    assert read_task(tmp_path / "out.parquet", "xnli")["premise"].to_pylist() == ["p0", "p2"]
    assert capsys.readouterr().out == f"{source}: 2 rows without a label (-1 or -) are left out; 4 have one\n"


@pytest.mark.parametrize("form", ["jsonl", "parquet", "tsv"])
def test_a_language_that_only_some_rows_have_is_refused(tmp_path, form):
    rows = [{"premise": "p", "hypothesis": "h", "label": "neutral", "language": x} for x in ("en", None, "en")]
    source = tmp_path / f"a.{form}"
    if form == "jsonl":
        del rows[1]["language"]
        source.write_text("\n".join(map(json.dumps, rows)))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    else:
        tsv(source, [tuple(x or "" for x in row.values()) for row in rows], "premise\thypothesis\tlabel\tlanguage")
    place = {"jsonl": "line 2", "parquet": "row 2", "tsv": "line 3"}[form]
    with pytest.raises(ValueError, match=f"a.{form}, {place}: has no language, and other rows have one"):
        import_xnli(source, tmp_path / "out.parquet", "en")


def test_a_column_that_stands_twice_is_refused(tmp_path):
    source = tsv(tmp_path / "a.tsv", [("a", "b", "c", "neutral")], "premise\tpremise\thypothesis\tlabel")
    with pytest.raises(ValueError, match="line 1: has the column premise twice; keep one"):
        import_xnli(source, tmp_path / "out.parquet", "en")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"premise": "a\\ud800", "hypothesis": "b", "label": 0}',
            r"line 1: premise holds \\ud800, half of a character",
        ),
        (b'\n{"premise": ' + b"[" * 50_000, "line 2: is nested too deeply"),
        (b'{"premise": "a", "hypothesis": "b", "label": NaN}', "line 1: NaN is no number of JSON"),
        (b'{"premise": "a", "hypothesis": "b", "label": 1e999}', "line 1: 1e999 is too large a number"),
        (
            b'{"premise": "a", "hypothesis": "b", "label": ' + b"1" * 5000 + b"}",
            "line 1: holds a number of too many digits",
        ),
        (b'{"premise": "a", "premise": "b"}', "line 1: the key 'premise' is duplicated in one object"),
        (b"PK\x03\x04", "is a ZIP archive"),
        (b"\xff\xfea\0", "is UTF-16, not UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    ],
)
def test_json_that_is_no_data_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.jsonl(, |: ){message}"):
        import_xnli(tmp_path / "a.jsonl", tmp_path / "out.parquet", "en")
    assert not list(tmp_path.glob("out*"))


def xnli_file(path, rows):
    """These rows (dictionaries of texts) in the format of the path's ending."""
    if path.suffix == ".tsv":
        return tsv(path, [tuple(row.values()) for row in rows], "\t".join(rows[0]))
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def pair(premise="p", hypothesis="h", label="0", **more):
    return {"premise": premise, "hypothesis": hypothesis, "label": label} | more


PLACES = [("a.tsv", "line 3"), ("a.jsonl", "line 2"), ("a.parquet", "row 2")]


@pytest.mark.parametrize(("name", "place"), PLACES[:2])
@pytest.mark.parametrize("empty", ["", "  ", "\u3000"])
@pytest.mark.parametrize("column", ["premise", "hypothesis"])
def test_an_empty_text_is_refused_with_its_line(tmp_path, name, place, empty, column):
    """As pandas writes a missing value."""
    source = xnli_file(tmp_path / name, [pair(), pair(**{column: empty}), pair()])
    with pytest.raises(ValueError, match=rf"{name}, {place}: {column} is empty .*write the text, or delete the row"):
        import_xnli(source, tmp_path / "out.parquet", "en")
    assert not (tmp_path / "out.parquet").exists()
    unlabelled = xnli_file(tmp_path / name, [pair(), pair(label="-1", **{column: empty})])
    assert import_xnli(unlabelled, tmp_path / "out.parquet", "en") == 1


def test_empty_texts_of_the_hub_are_kept_and_counted(tmp_path, capsys):
    rows = [pair(), pair(hypothesis=""), pair(" ", ""), pair()]
    source = xnli_file(tmp_path / "a.parquet", rows)
    assert import_xnli(source, tmp_path / "out.parquet", "en") == 4
    said = "2 rows have an empty text and are kept; the first is row 2 (hypothesis)"
    assert capsys.readouterr().out == f"{source}: {said}\n"
    assert read_task(tmp_path / "out.parquet", "xnli")["hypothesis"].to_pylist() == ["h", "", "", "h"]


@pytest.mark.parametrize(("name", "place"), PLACES)
@pytest.mark.parametrize("spelt", ["VI", "vi-VN", "vi_VN", " vi", "Vi-704"])
def test_a_language_that_some_rows_spell_otherwise_is_refused(tmp_path, name, place, spelt):
    """These rows were left out without a word."""
    source = xnli_file(tmp_path / name, [pair(language=one) for one in ("vi", spelt, "hi", "vi")])
    with pytest.raises(ValueError, match=rf"{name}, {place}: language is '{spelt}', and 'vi' is wanted; write 'vi'"):
        import_xnli(source, tmp_path / "out.parquet", "vi")
    assert import_xnli(source, tmp_path / "out.parquet", "hi") == 1


def test_other_languages_and_scripts_are_no_spellings(tmp_path):
    source = xnli_file(tmp_path / "a.tsv", [pair(language=one) for one in ("zh", "zh-Hant", "en", "zh-Hant")])
    assert import_xnli(source, tmp_path / "out.parquet", "zh-Hant") == 2
    assert import_xnli(source, tmp_path / "out.parquet", "zh") == 1


@pytest.mark.parametrize(
    ("column", "other"), [("label", "gold_label"), ("premise", "sentence1"), ("hypothesis", "hypo")]
)
@pytest.mark.parametrize(("name", "place"), [("a.tsv", ", line 1"), ("a.jsonl", ", line 1"), ("a.parquet", "")])
def test_two_columns_for_the_same_are_refused(tmp_path, column, other, name, place):
    source = xnli_file(tmp_path / name, [pair(**{other: "1"})])
    said = f"{name}{place}: has the columns {column} and {other}, both for the {column}; keep one"
    with pytest.raises(ValueError, match=said):
        import_xnli(source, tmp_path / "out.parquet", "en")


@pytest.mark.parametrize("mark", ["\ufdd0", "\ufdd1"])
@pytest.mark.parametrize(("name", "place"), PLACES)
def test_the_marks_of_a_template_are_refused_with_their_row(tmp_path, mark, name, place):
    source = xnli_file(tmp_path / name, [pair(), pair(f"abc{mark}")])
    with pytest.raises(ValueError, match=rf"{name}, {place}: premise: holds U\+FDD0 or U\+FDD1.*at 3 .*take them out"):
        import_xnli(source, tmp_path / "out.parquet", "en")


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
    with pytest.raises(ValueError, match="line 2: not JSON"):
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
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.json").read_bytes())
    with pytest.raises(ValueError, match="no question"):
        import_xquad(tmp_path / "b.json", out)
    (tmp_path / "b.json").write_text('{"data":\n[}')
    with pytest.raises(ValueError, match=r"b\.json, line 2: not JSON \(Expecting value at character 2\)"):
        import_xquad(tmp_path / "b.json", out)
    (tmp_path / "b.json").write_text('{"data": ' + "[" * 50_000)
    with pytest.raises(ValueError, match=r"b\.json: is nested too deeply"):
        import_xquad(tmp_path / "b.json", out)
    with pytest.raises(ValueError, match=r"question holds \\ud800, half of a character"):
        import_xquad(squad(tmp_path / "c.json", [("c1", ["1"])], **{"1": {"question": "a\ud800"}}), out)
    (tmp_path / "b.json").write_bytes(b'{"data":\n"\xe0"}')
    with pytest.raises(ValueError, match="line 2: not UTF-8"):
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
    with pytest.raises(ValueError, match=r"a\.parquet: task kind is 'xnli', 'xquad' was expected"):
        read_task(path, "xquad")
    with pytest.raises(ValueError, match=r"tasks has no entry 'squad'; did you mean 'xquad'\? \(xnli, xquad\)"):
        read_task(path, "squad")
    with pytest.raises(ValueError, match="no such file"):
        read_task(tmp_path / "none.parquet", "xnli")
    write_task(path, "xnli", {"id": ["0"], "premise": [None], "hypothesis": ["h"], "label": [1]})
    with pytest.raises(ValueError, match="missing values in premise"):
        read_task(path, "xnli")
    write_task(path, "xnli", {"id": [], "premise": [], "hypothesis": [], "label": []})
    with pytest.raises(ValueError, match="has no row"):
        read_task(path, "xnli")


QUESTION = "data[0].paragraphs[0].qas[0]"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"question": ""}, "question"),
        ({"question": " \n"}, "question"),
        ({"answers": [{"text": "a"}, {"text": " "}]}, "answers[1].text"),
        ({}, "context"),
    ],
)
def test_an_empty_text_of_xquad_is_refused_with_its_place(tmp_path, changes, what):
    source = squad(tmp_path / "a.json", [("" if what == "context" else "c", ["1"])], **{"1": changes})
    with pytest.raises(ValueError, match=re.escape(f"a.json, {QUESTION}: {what} is empty")):
        import_xquad(source, tmp_path / "out.parquet")


def test_empty_texts_in_the_hub_s_xquad(tmp_path, capsys):
    """A question is kept and counted; a context or an answer is refused."""
    rows = [{"id": str(i), "context": "c", "question": "q", "answers": {"text": ["a"]}} for i in range(4)]
    source, out = tmp_path / "a.parquet", tmp_path / "out.parquet"
    for row in rows[2:]:
        row["question"] = " "
    pq.write_table(pa.Table.from_pylist(rows), source)
    assert import_xquad(source, out) == 4
    said = "2 rows have an empty text and are kept; the first is row 3 (question)"
    assert capsys.readouterr().out == f"{source}: {said}\n"
    for change, what in (({"context": " "}, "context"), ({"answers": {"text": [""]}}, r"answers\[0\]\.text")):
        pq.write_table(pa.Table.from_pylist([rows[0], rows[1] | change]), source)
        with pytest.raises(ValueError, match=rf"a\.parquet, row 2: {what} is empty"):
            import_xquad(source, out)


@pytest.mark.parametrize("what", ["context", "question", "answers[0].text"])
def test_the_marks_of_a_template_are_refused_with_their_question(tmp_path, what):
    marked = "a\ufdd1"
    changes = {"question": {"question": marked}, "answers[0].text": {"answers": [{"text": marked}]}}.get(what, {})
    source = squad(tmp_path / "a.json", [(marked if what == "context" else "c", ["1"])], **{"1": changes})
    with pytest.raises(ValueError, match=re.escape(f"a.json, {QUESTION}: {what}: holds U+FDD0 or U+FDD1")):
        import_xquad(source, tmp_path / "out.parquet")


def test_a_question_s_own_context_is_its_paragraph_s_or_refused(tmp_path):
    out = tmp_path / "out.parquet"
    with pytest.raises(ValueError, match=re.escape(f"{QUESTION}: has another context than its paragraph; delete one")):
        import_xquad(squad(tmp_path / "a.json", [("c", ["1", "2"])], **{"1": {"context": "other"}}), out)
    assert import_xquad(squad(tmp_path / "a.json", [("c", ["1", "2"])], **{"1": {"context": "c"}}), out) == 2
    assert read_task(out, "xquad")["context"].to_pylist() == ["c", "c"]
