"""A stage's version: what changes it, and what does not."""

import ast
import importlib.util
import shutil
from pathlib import Path

import pytest

from langneurons.registry import entries

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "workflow/scripts").glob("*.py"))
ENTRIES = [(package, name) for package in ("interventions", "methods", "tables") for name in entries(package)]
TASK_JOBS = {  # of tasks' entries: those of each job, and with the line of a fact
    **{
        f"{name} {job}": (name, (), job)
        for name in entries("tasks")
        for job in ("import", "demo", "finetune", "evaluate")
    },
    "xquad evaluate vi": ("xquad", (("language", "vi"),), "evaluate"),
    "xquad evaluate hi": ("xquad", (("language", "hi"),), "evaluate"),
}
FACTS = {  # of jobs: what they use of the tables of facts
    "evaluate llama vi": ("evaluate", (("architecture", "llama"), ("language", "vi"))),
    "collect_activations llama": ("collect_activations", (("architecture", "llama"),)),
    "collect_activations phi3": ("collect_activations", (("architecture", "phi3"),)),
    "import_corpus_shard vi": ("import_corpus_shard", (("language", "vi"),)),
    "import_corpus_shard hi": ("import_corpus_shard", (("language", "hi"),)),
}


class Copy:
    """A copy of the library and the scripts, to edit."""

    def __init__(self, base: Path):
        self.base = base
        shutil.copytree(ROOT / "src", base / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copytree(ROOT / "workflow/scripts", base / "scripts", ignore=shutil.ignore_patterns("__pycache__"))

    def versions(self) -> dict[str, str]:
        """The version of every script, of every entry and of ``FACTS``, by the copy's own module: nothing cached."""
        spec = importlib.util.spec_from_file_location("copied", self.base / "src/langneurons/runner/code_version.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        scripts = {script: (script, ()) for script in SCRIPTS} | FACTS
        found = {
            name: module.version(str(self.base / f"scripts/{s}.py"), facts) for name, (s, facts) in scripts.items()
        }
        found |= {name: module.entry_version("tasks", *job) for name, job in TASK_JOBS.items()}
        return found | {".".join(entry): module.entry_version(*entry) for entry in ENTRIES}

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.base / "src/langneurons" / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} no longer holds {old!r}: choose another line to edit"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("before")).versions()


def test_every_script_has_a_version_of_its_own_code(before):
    assert len(set(before.values())) == len(SCRIPTS) + len(FACTS) + len(ENTRIES) + len(TASK_JOBS)


def test_formatting_comments_and_docstrings_change_nothing(copy, before):
    """Every file written anew from its syntax tree: all comments and all line breaks are gone."""
    for file in [*copy.base.rglob("src/langneurons/**/*.py"), *copy.base.glob("scripts/*.py")]:
        if file.name == "code_version.py":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
                node.body[0].value.value = "Said otherwise."
        file.write_text("# a comment\n" + ast.unparse(tree) + "\n", encoding="utf-8")
    assert copy.versions() == before


IDENTIFICATION = {"identify_neurons", "identify_half_neurons"}
FIGURES = {"draw_neurons", "draw_perplexity", "draw_curves"}
WORLD = "demo/lexicons/vi.toml"
DECORATED = "@(lambda f: f)\ndef "
EVALUATION = {"xquad evaluate", "xquad evaluate vi", "xquad evaluate hi"}
ARCHITECTURES = "models/architectures.py"
# Scripts that read the table of architectures, where it is not said which line.
READ_WHOLE = {
    "collect_activations",
    "download_model",
    "evaluate",
    "finetune",
    "import_model",
    "measure_perplexity",
    "pack_heldout_tokens",
    "pack_tokens",
    "quantize_model",
}
EDITS = {
    "LAPE's meaning": ("methods/lape.py", "np.log(", "np.log2(", {"methods.lape"}),
    "how a mask is made": ("methods/identify.py", "def identify(", f"{DECORATED}identify(", IDENTIFICATION),
    "what LAPE's module imports": (
        "methods/lape.py",
        "import logging",
        "import logging, os",
        {"methods.lape"},
    ),
    "a definition beside a job's that nobody calls": (
        "methods/identify.py",
        "def identify(",
        "X = 1\n\n\ndef identify(",
        set(),
    ),
    "the schema": (
        "sections/corpus.py",
        "class Perplexity(Section):",
        "class Perplexity(Section):\n    more: int = 1",
        set(),
    ),
    "a method's section": (
        "methods/lape.py",
        "    kind: Literal",
        "    more: int = 1\n    kind: Literal",
        set(),
    ),
    "a task's way to score": ("tasks/xquad.py", 'list(rows["answers"])', 'rows["answers"][:]', EVALUATION),
    "a task's way to train": (
        "tasks/pairs.py",
        "def encode(",
        f"{DECORATED}encode(",
        {"xnli finetune", "xnli evaluate"},
    ),
    "a task's section": ("tasks/xnli.py", "    kind: Literal", "    more: int = 1\n    kind: Literal", set()),
    "how a job starts": ("runner/jobs.py", "gc.disable()", "gc.enable()", set()),
    "metrics": ("tasks/metrics.py", "def normalize_answer(", f"{DECORATED}normalize_answer(", EVALUATION),
    "another architecture": (ARCHITECTURES, '    "gpt_neox": ', '    "other": _GATED,\n    "gpt_neox": ', READ_WHOLE),
    "an architecture's line": (
        ARCHITECTURES,
        '"phi3": replace(_FUSED, attention_targets=("qkv_proj", "o_proj"))',
        '"phi3": replace(_FUSED, attention_targets=("qkv_proj",))',
        READ_WHOLE | {"collect_activations phi3"},
    ),
    "a language's articles": ("tasks/metrics.py", "|những", "|nhữn", {"xquad evaluate", "xquad evaluate vi"}),
    "a language's script": (
        "corpus/scripts.py",
        '"Devanagari": "bh hi',
        '"Devanagari Latin": "bh hi',
        {"import_corpus_shard", "download_corpus_shard", "import_corpus_shard hi"},
    ),
    "figures": ("figures/neurons.py", "def save_chart(", f"{DECORATED}save_chart(", FIGURES),
    "a word of the miniature world": (WORLD, '"', '"x', {"write_demo_corpus", "write_demo_task"}),
}


@pytest.mark.parametrize(("path", "old", "new", "expected"), EDITS.values(), ids=EDITS)
def test_an_edit_changes_the_stages_that_it_concerns(copy, before, path, old, new, expected):
    copy.edit(path, old, new)
    after = copy.versions()
    assert {name for name in before if after[name] != before[name]} == expected


def test_a_definition_that_is_not_there_is_told(copy):
    copy.edit("methods/identify.py", "def identify(", "def renamed(")
    with pytest.raises(FileNotFoundError, match="methods.identify has no identify"):
        copy.versions()
