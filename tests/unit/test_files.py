"""Files that appear whole or not at all: two writers at once, killed writers, full disks."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from langneurons.files import DiskFull, write_atomically, write_directory_atomically


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    target = tmp_path / "a.txt"
    with write_atomically(target) as first:
        first.write_text("old, from a job that was left behind")
        with write_atomically(target) as second:
            second.write_text("new")
        assert target.read_text() == "new"
        first.write_text("old")
        assert target.read_text() == "new"  # an old writer cannot damage a finished file
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(KeyboardInterrupt), write_atomically(target) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_not(tmp_path):
    program = (
        "import os, sys\nfrom langneurons.files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as p:\n    p.write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.txt")], check=False).returncode == 9
    left = list(tmp_path.iterdir())
    assert len(left) == 1 and left[0].suffix == ".partial"
    with write_atomically(tmp_path / "a.txt") as first, write_atomically(tmp_path / "a.txt") as second:
        first.write_text("1")
        second.write_text("2")
        assert first.exists() and second.exists() and not left[0].exists()


def test_a_long_name(tmp_path):
    target = tmp_path / ("x" * 250)
    with write_atomically(target) as partial:
        partial.write_text("whole")
    assert target.read_text() == "whole"


def test_a_directory_takes_the_place_of_another(tmp_path):
    target = tmp_path / "adapter"
    for content in ("one", "two"):
        with write_directory_atomically(target) as partial:
            (partial / content).write_text(content)
    assert [f.name for f in target.iterdir()] == ["two"] and list(tmp_path.iterdir()) == [target]
    with pytest.raises(RuntimeError), write_directory_atomically(target) as partial:
        (partial / "three").write_text("three")
        raise RuntimeError
    assert [f.name for f in target.iterdir()] == ["two"] and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("write", [write_atomically, write_directory_atomically])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, write):
    with pytest.raises(DiskFull) as refused, write(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    message = str(refused.value)
    assert message.startswith(str(tmp_path / "a")) and "no space is left" in message and "\n" not in message
    assert not list(Path(tmp_path).iterdir())


def test_another_error_stays_itself(tmp_path):
    with pytest.raises(PermissionError), write_atomically(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no")
