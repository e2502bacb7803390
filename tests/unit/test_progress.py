import io
import sys

from langneurons.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, monkeypatch, total=40):
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(total, "tokens", "collect") as done:
        for _ in range(total):
            done()
    return stream.getvalue()


def test_plain_lines_in_a_file(monkeypatch):
    lines = run(io.StringIO(), monkeypatch).splitlines()
    assert len(lines) == 10
    assert [line.split(" tokens,")[0] for line in lines[:2]] == ["collect: 4 of 40", "collect: 8 of 40"]
    assert all(line.endswith(" tokens/s") and "\r" not in line for line in lines)


def test_a_bar_in_a_terminal(monkeypatch):
    shown = run(Terminal(), monkeypatch)
    assert "\r" in shown and "collect: 100%" in shown and "40/40" in shown


def test_nothing_to_do_prints_nothing(monkeypatch):
    assert run(io.StringIO(), monkeypatch, total=0) == ""
