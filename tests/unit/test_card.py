"""The code that a model card prints, run exactly as printed and without this library: the workflow's own numbers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from finetuning_runs import make_inputs, run

from langneurons.evaluation.classification import classify
from langneurons.finetuning.adapters import load_adapter
from langneurons.finetuning.card import model_card
from langneurons.models.loading import load_base
from langneurons.models.padding import pad_right

# What a person may append to the printed code: rows of different lengths, padded on the right as the card says.
READER = """
import json, sys
rows, pad = json.loads(sys.argv[1])
longest = max(map(len, rows))
ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows]).to(device)
mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]).to(device)
with torch.inference_mode():
    logits = model(input_ids=ids, attention_mask=mask).logits.float().cpu()
assert not [name for name, module in sys.modules.items() if name.split(".")[0] == "langneurons" and module]
print(json.dumps(logits.tolist()))
"""
ROWS = [[1, 50, 60, 70, 81, 33, 34], [1, 99, 2, 97], [1, 7, 8, 9, 10, 11]]
HUB = {"repository": "somebody/tiny", "revision": "0123456789" * 4}
CASES = {
    "nf4-xnli": ("xnli", "nf4", "bfloat16", {}),
    "nf4-xquad": ("xquad", "nf4", "bfloat16", HUB),
    "nf4-float32-xquad": ("xquad", "nf4", "float32", {}),
    "float32-xnli": ("xnli", "none", "float32", HUB),
    "float32-xquad": ("xquad", "none", "float32", {}),
    "bfloat16-xnli": ("xnli", "none", "bfloat16", {}),
    "bfloat16-xquad": ("xquad", "none", "bfloat16", {}),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


def printed(card: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)
    return code


def run_alone(code: str, folder: Path, *arguments: str) -> str:
    """Run code by an interpreter of its own that sees neither this checkout nor the environment's Python variables."""
    (folder / "code.py").write_text('import sys\nsys.modules["langneurons"] = None\n' + code, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-I", "code.py", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("case", CASES)
def test_the_printed_code_gives_the_workflows_numbers(case, inputs, tmp_path):
    task, quantization, dtype, hub = CASES[case]
    if quantization == "nf4":
        pytest.importorskip("bitsandbytes")
    targets = {"targets": ["gate_proj", "down_proj"]} if task == "xquad" else {}
    run(inputs, tmp_path, task=task, epochs=1, quantization=quantization, dtype=dtype, **targets, **hub)
    card = (tmp_path / "adapter/README.md").read_text(encoding="utf-8")

    place = tmp_path / "elsewhere"  # as the card says: the base by its name, the adapter in a directory
    base_place, adapter_place = place / hub.get("repository", "tiny"), place / "path/to/this/directory"
    for link, target in ((base_place, inputs / "tiny"), (adapter_place, tmp_path / "adapter")):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    pad = json.loads((tmp_path / "adapter/langneurons.json").read_text()).get("pad_token_id", 0)
    found = torch.tensor(json.loads(run_alone(printed(card) + READER, place, json.dumps([ROWS, pad]))))

    close = 1e-5 if dtype == "float32" else 8e-3  # a step of bfloat16 at 1; another layout of 4-bit weights: 0.014
    expected = workflow(inputs, tmp_path, task, quantization, dtype, pad)
    for row, ours, theirs in zip(ROWS, expected, found, strict=True):
        own = slice(None) if task == "xnli" else slice(len(row))  # of a padded row the logits of its own tokens
        torch.testing.assert_close(theirs[own], ours[own], atol=close, rtol=0)
    if quantization == "nf4":  # what loading the base in full precision would give
        assert (workflow(inputs, tmp_path, task, "none", dtype, pad) - expected).abs().max() > 0.1


def workflow(inputs: Path, out: Path, task: str, quantization: str, dtype: str, pad: int) -> torch.Tensor:
    """Logits of ROWS by the library: of each example, or of each token."""
    base = load_base(inputs / "tiny", "classification" if task == "xnli" else "causal", quantization, dtype)
    model = load_adapter(base, out / "adapter")
    if task == "xnli":
        return torch.from_numpy(classify(model, [{"input_ids": row} for row in ROWS], 100, pad))
    ids, mask = pad_right(ROWS, pad)
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask).logits.float()


METADATA = {
    "base_model": "llama-3.1-8b",
    "base_digest": "d" * 64,
    "task": "xnli",
    "task_kind": "xnli",
    "finetuning": "base",
    "seed": 1,
    "settings": {"rank": 8},
    "quantization": "nf4",
    "dtype": "bfloat16",
    "max_tokens": 255,
    "separator": "spaced_eos",
    "eos_token": "</s>",
    "pad_token_id": 5,
}
QUESTIONS = METADATA | {
    "task": "xquad",
    "task_kind": "xquad",
    "prompt": "Context: {context}\nQuestion: {question}\nAnswer:",
}


def test_a_classifier_says_that_it_writes_nothing():
    sentence = "no meaning for tools that load causal language models"
    assert sentence in model_card(METADATA) and "Pad on the right with token 5," in model_card(METADATA)
    assert sentence not in model_card(QUESTIONS)


def test_without_a_token_to_pad_with_examples_go_one_at_a_time():
    card = model_card(METADATA | {"pad_token_id": None})
    assert "model.config.pad_token_id = None" in printed(card) and "one example at a time, without padding" in card


def test_the_card_says_what_the_model_reads():
    card = model_card(METADATA)
    assert "premise, `</s>` between two spaces, hypothesis, tokenised as one text; longer ones than 255 tokens" in card
    assert "`</s>`, those of the hypothesis, either tokenised by itself" in model_card(METADATA | {"separator": "eos"})
    (prompt,) = re.findall(r"^```json\n(.*?)\n```$", model_card(QUESTIONS), re.DOTALL | re.MULTILINE)
    assert json.loads(prompt) == QUESTIONS["prompt"]


def test_the_card_names_the_attention_modules_that_were_adapted():
    assert "LoRA on `q_proj`, `k_proj`, `v_proj` and `o_proj` of every layer" in model_card(METADATA)
    card = model_card(METADATA | {"attention_targets": ["qkv_proj", "o_proj"]})
    assert "LoRA on `qkv_proj` and `o_proj` of every layer" in card


def test_a_base_that_no_hub_has_is_a_directory():
    assert "a directory `llama-3.1-8b` of the working directory holds the base model" in model_card(METADATA)
    card = model_card(METADATA | {"base_repository": "meta-llama/Llama-3.1-8B", "base_revision": "c" * 40})
    assert "working directory" not in card
    assert '"meta-llama/Llama-3.1-8B",\n    revision="' + "c" * 40 + '",' in printed(card)
