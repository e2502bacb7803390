"""The command line: ``langneurons COMMAND``, or ``python -m langneurons COMMAND``. Each command has ``--help``."""

from __future__ import annotations

import difflib
import importlib
import sys

COMMANDS = {
    "plan": ("langneurons.runner.plan", "what a run would do: jobs, Slurm jobs, GPU hours and disk"),
    "hub": ("langneurons.hub.command", "commits of the Hugging Face Hub, and entries of the configuration to paste"),
    "unlock": ("langneurons.runner.unlock", "free a directory that a killed Snakemake left locked"),
    "warm": ("langneurons.runner.warm", "run a command whose Python jobs start warm"),
    "rulegraph": ("langneurons.runner.rulegraph", "draw the graph of snakemake --rulegraph as SVG"),
    "docs": ("langneurons.config.document", "write the configuration's reference and schema"),
}
"""Command -> the module whose ``main(arguments)`` it runs, imported then alone, and what it is for."""


def usage() -> str:
    """What ``langneurons --help`` prints."""
    lines = [f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        ["usage: langneurons COMMAND [ARGUMENT ...]", "", "commands, each with --help of its own:", *lines]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status, or 2 where there is no such command."""
    asked = sys.argv[1:] if arguments is None else arguments
    if asked and asked[0] in ("-h", "--help"):
        print(usage())
        return 0
    if not asked or asked[0] not in COMMANDS:
        near = difflib.get_close_matches(asked[0], COMMANDS, 1) if asked else []
        problem = f"{asked[0]} is no command; " if asked else ""
        print(
            f"error: {problem}write langneurons {near[0] if near else '|'.join(COMMANDS)}, or --help", file=sys.stderr
        )
        return 2
    return importlib.import_module(COMMANDS[asked[0]][0]).main(asked[1:])


if __name__ == "__main__":
    sys.exit(main())
