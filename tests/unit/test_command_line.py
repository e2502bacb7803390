"""The command line: every command by name, with help of its own, and wrong words refused in one line."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from langneurons.__main__ import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]


def command_line(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "langneurons", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_of_its_own(name):
    done = command_line(name, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: langneurons {name}")


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plam"], "error: plam is no command; write langneurons plan, or --help\n"),
        ([], "error: write langneurons plan|hub|unlock|warm|rulegraph|docs, or --help\n"),
    ],
)
def test_an_unknown_command_is_one_line(capsys, arguments, says):
    assert main(arguments) == 2
    assert capsys.readouterr().err == says


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["docs", "--zz"], 2, "langneurons docs: error: unrecognized arguments: --zz"),
        (["docs", "a", "b"], 2, "langneurons docs: error: unrecognized arguments: b"),
        (["docs", "/nowhere"], 1, "error: /nowhere: no config/config.yaml here; run this in the repository's root"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments, status, says):
    done = command_line(*arguments)
    assert done.returncode == status and done.stderr.splitlines()[-1] == says


def test_the_installed_command_is_this_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"langneurons": "langneurons.__main__:main"}


def test_no_text_names_a_module_to_run_but_the_command_line():
    files = [*ROOT.glob("*.md"), ROOT / "Makefile", *ROOT.glob("docs/*.md"), *ROOT.glob("config/*")]
    files += ROOT.glob("src/**/*.py")
    named = [str(file) for file in files if "python -m langneurons." in file.read_text(encoding="utf-8")]
    assert named == []
