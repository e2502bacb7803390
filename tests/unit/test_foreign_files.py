"""TSV that others wrote: quoted as pandas does, or with quotation marks as text, as XNLI's own files."""

import io
import json
import random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from task_pieces import import_xnli, import_xquad

from langneurons.artifacts.foreign_files import lines, parquet, parsed, text, tsv
from langneurons.corpus.sources import read_file

# Of XNLI's training set: marks at the start of a field, without an end, around whole fields, within.
XNLI = [
    ["premise", "hypothesis", "label"],
    ["like a a clothes hamper kind of thing", '"Those clothes hamper type of things don\'t seem like it."', "neutral"],
    ['"To break a foal!', "The foal knew it was going to break.", "neutral"],
    ['"Peace, amigo ."Don Cazar\'s raised finger silenced his man.', "Continue talking, my friend.", "contradiction"],
    ["I'm afraid something's happened to him, through your pal Boris.\"", '"Boris has hurt him."', "neutral"],
    ["This you could not do with a true wild one.", '"Doing this would be impossible." he said.', "entailment"],
]


def read(path, content):
    path.write_bytes(content.encode())
    return [fields for _, fields in tsv(path, str(path))]


def plain(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def test_marks_of_xnli_are_text(tmp_path):
    assert read(tmp_path / "a.tsv", plain(XNLI)) == XNLI
    for chosen in range(1, len(XNLI)):  # each alone, and the file that ends with it
        assert read(tmp_path / "a.tsv", plain([XNLI[0], XNLI[chosen]])) == [XNLI[0], XNLI[chosen]]
        assert read(tmp_path / "a.tsv", plain(XNLI[: chosen + 1])) == XNLI[: chosen + 1]


@pytest.mark.parametrize("quoting", [0, 1, 2])  # csv.QUOTE_MINIMAL (pandas), QUOTE_ALL, QUOTE_NONNUMERIC
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_pandas_writes_is_read_as_it_was(tmp_path, quoting, newline):
    """Random texts of hostile pieces; pandas itself is the reference for what a file holds."""
    draw = random.Random(7)
    pieces = ['"', '""', "\t", "\n", "a", "é", " ", "'", "word", "\r\n"]
    for _ in range(150):
        rows = [["".join(draw.choices(pieces, k=draw.randint(1, 6))).strip(" ") or "x" for _ in "ab"] for _ in range(4)]
        rows[0][0] = 'tab\there "quoted"'
        rows[1][1] = "two\nlines"
        frame = pd.DataFrame(rows, columns=["premise", "hypothesis"]).assign(label="neutral")
        content = frame.to_csv(sep="\t", index=False, quoting=quoting, lineterminator=newline)
        again = pd.read_csv(io.StringIO(content, newline=""), sep="\t", dtype=str, keep_default_na=False)
        found = read(tmp_path / "a.tsv", content)
        assert found == [["premise", "hypothesis", "label"], *([*row, "neutral"] for row in rows)]
        assert again["label"].tolist() == ["neutral"] * 4


def test_a_row_s_line_is_where_it_begins(tmp_path):
    (tmp_path / "a.tsv").write_text('a\tb\n1\t"x\ny\nz"\n2\tw\n')
    assert [line for line, _ in tsv(tmp_path / "a.tsv", "a.tsv")] == [1, 2, 5]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('a\tb\n"x"\ty\n', [["a", "b"], ['"x"', "y"]]),  # marks that no writer needed: text
        ('"a"\t"b"\n"x"\t"y"\n', [["a", "b"], ["x", "y"]]),  # as in the header: quoting
        ('a\tb\n"say ""x"""\ty\n', [["a", "b"], ['say "x"', "y"]]),
        ('a\tb\n"""x"""\ty\n', [["a", "b"], ['"x"', "y"]]),
        ('a\tb\n"x\ty"\tz\n', [["a", "b"], ["x\ty", "z"]]),  # without quoting it has three fields
        ('a\tb\nx"\t"y\n', [["a", "b"], ['x"', '"y']]),
        ('a\tb\n""\ty\n', [["a", "b"], ['""', "y"]]),
    ],
)
def test_marks_are_quoting_only_where_the_file_says_so(tmp_path, content, rows):
    assert read(tmp_path / "a.tsv", content) == rows


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('a\tb\tc\n"x\ty\tz\nu"\tv\tw\n', 2),  # two rows of text, or one with two lines in a field
        ('a\tb\n"say ""x"""\ty\n"x"\ty\n', 3),  # the second mark pair would not have been needed
    ],
)
def test_what_may_be_either_is_refused_with_its_line(tmp_path, content, line):
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(ValueError, match=f"key: a.tsv, line {line}: quotation marks may be text or quoting here"):
        tsv(tmp_path / "a.tsv", "key: a.tsv")


def test_a_line_ends_with_the_line_feed_alone(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffone\u2028still\x85 one\r\n\ntwo".encode())
    assert list(lines(tmp_path / "a", "a")) == [(1, "one\u2028still\x85 one"), (2, ""), (3, "two")]
    assert text(tmp_path / "a", "a") == "one\u2028still\x85 one\r\n\ntwo"


def test_json_is_read_as_python_reads_it():
    content = '{"a": [1, 2.5, "\\ud83d\\ude00", null, true], "b": {"a": 1}}'
    assert parsed(content, "x") == {"a": [1, 2.5, "😀", None, True], "b": {"a": 1}}


@pytest.mark.parametrize("damage", ["truncated", "middle", "magic"])
def test_a_damaged_parquet_file_is_named(tmp_path, damage):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": ["abc" * 100] * 50}), file, compression="zstd")
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        del content[-10:]
    elif damage == "middle":
        content[20:60] = bytes(40)
    else:
        content[:4] = b"abcd"
        content[-4:] = b"abcd"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"key: a\.parquet: is no Parquet file, or a damaged one \("):
        parquet(file, "key: a.parquet", ("x",))


def originals(directory):
    """A small file of every layout that a person may give, and its reader."""
    pairs = [{"premise": f"é {i}", "hypothesis": f'"h" {i}', "label": i % 3, "language": "en"} for i in range(20)]
    texts = [{"id": i, "text": f"नमस्ते {i}"} for i in range(20)]
    questions = [{"id": str(i), "question": "q", "answers": [{"text": "a", "answer_start": 0}]} for i in range(9)]
    squad = {"data": [{"paragraphs": [{"context": "c", "qas": questions}]}]}
    hub = [{"id": str(i), "context": "c", "question": "q", "answers": {"text": ["a"]}} for i in range(9)]
    out = directory / "out"

    def pair(path):
        import_xnli(path, out, "en")

    def question(path):
        import_xquad(path, out)

    def document(path):
        list(read_file(str(path)))

    for name, rows, reader in (("pairs", pairs, pair), ("texts", texts, document)):
        (directory / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        pq.write_table(pa.Table.from_pylist(rows), directory / f"{name}.parquet", compression="zstd")
        yield directory / f"{name}.jsonl", reader
        yield directory / f"{name}.parquet", reader
    (directory / "pairs.tsv").write_text(pd.DataFrame(pairs).to_csv(sep="\t", index=False))
    yield directory / "pairs.tsv", pair
    (directory / "squad.json").write_text(json.dumps(squad))
    yield directory / "squad.json", question
    pq.write_table(pa.Table.from_pylist(hub), directory / "hub.parquet")
    yield directory / "hub.parquet", question


def test_damaged_files_of_others_are_read_or_refused_by_name(tmp_path, capsys):
    """They carry no checksum, so that damage may pass as text; any error is one line with the file's name."""
    draw, refused = random.Random(11), 0
    for path, reader in originals(tmp_path):
        whole = path.read_bytes()
        reader(path)
        for _ in range(75):
            content, place = bytearray(whole), draw.randrange(len(whole))
            way = draw.choice(("cut", "flip", "flip", "insert", "remove"))
            if way == "cut":
                del content[place:]
            elif way == "flip":
                for _ in range(draw.choice((1, 3, 20))):
                    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            elif way == "insert":
                content[place:place] = draw.randbytes(draw.randrange(1, 30))
            else:
                del content[place : place + draw.randrange(1, 60)]
            path.write_bytes(content)
            try:
                reader(path)
            except ValueError as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 350
