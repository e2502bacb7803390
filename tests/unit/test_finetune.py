"""A whole fine-tuning: its files, what plain PEFT makes of them, and what kills, wrong inputs and full disks leave."""

import csv
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from finetuning_runs import STEPS, make_inputs, run, run_until

from langneurons.files import DiskFull
from langneurons.finetuning import adapters
from langneurons.finetuning.adapters import load_adapter
from langneurons.methods.mask import NeuronMask
from langneurons.models.loading import load_base, snapshot_digest

PLAIN = """
import sys
sys.modules["langneurons"] = None  # importing it is an error
import json, torch
from peft import AutoPeftModelForCausalLM, AutoPeftModelForSequenceClassification
ids = torch.tensor(json.loads(sys.argv[3]))
found = []
for where, kind, more in (
    (sys.argv[1], AutoPeftModelForSequenceClassification, {"num_labels": 3}),
    (sys.argv[2], AutoPeftModelForCausalLM, {}),
):
    model = kind.from_pretrained(where, **more).eval()
    with torch.no_grad():
        found.append(model(input_ids=ids).logits.tolist())
assert not [name for name in sys.modules if name.startswith("langneurons.")]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    run(inputs, out)
    return out


@pytest.fixture(scope="module")
def answering(inputs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("answering")
    run(inputs, out, task="xquad", targets=["gate_proj", "down_proj"], epochs=1)
    return out


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_what_is_written(inputs, undisturbed):
    adapter = [f"adapter/{n}" for n in ("README.md", "adapter_config.json", "adapter_model.safetensors")]
    assert sorted(files(undisturbed)) == [*adapter, "adapter/langneurons.json", "curve.tsv"]
    assert sorted(path.name for path in undisturbed.iterdir()) == ["adapter", "curve.tsv"]
    metadata = json.loads((undisturbed / "adapter/langneurons.json").read_text())
    mask = NeuronMask.read(inputs / "mask.parquet")
    assert metadata["mask_digest"] == mask.digest() and metadata["base_digest"] == snapshot_digest(inputs / "tiny")
    assert (metadata["method"], metadata["languages"], metadata["neurons"]) == ("lape-set1", ["en", "vi"], 5)
    assert metadata["attention_targets"] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    card = (undisturbed / "adapter/README.md").read_text()
    _, front, body = card.split("---\n", 2)
    import yaml

    told = yaml.safe_load(front)
    assert told == {
        "base_model": "tiny",
        "library_name": "peft",
        "pipeline_tag": "text-classification",
        "tags": ["base_model:adapter:tiny", "lora", "transformers"],
    }
    assert "LoRA on `q_proj`, `k_proj`, `v_proj` and `o_proj` of every layer" in body
    for fact in (metadata["mask_digest"], metadata["base_digest"], "5 neurons", "en, vi", "lape-set1", "0.005"):
        assert fact in body
    with (undisturbed / "curve.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert [row["step"] for row in rows if row["validation_loss"]] == ["6", "12"]
    assert all(float(row["loss"]) > 0 and float(row["gradient_norm"]) > 0 for row in rows)


def test_the_validation_loss_is_the_mean_over_the_first_test_examples(inputs, undisturbed, answering):
    """Cross-entropy written out, an example at a time, over what plain transformers returns."""
    from langneurons.models.loading import load_tokenizer
    from langneurons.tasks.files import read_task
    from langneurons.tasks.pairs import encode as encode_pairs
    from langneurons.tasks.prompts import encode_training

    tokenizer = load_tokenizer(inputs / "tiny")
    for out, task, kind in ((undisturbed, "xnli", "classification"), (answering, "xquad", "causal")):
        model = load_adapter(load_base(inputs / "tiny", kind), out / "adapter")
        table = read_task(inputs / f"{task}.test.parquet", task)[:6]
        encode = encode_pairs if task == "xnli" else encode_training
        more = () if task == "xnli" else ("{context}\n{question}\n",)
        losses = []
        for example in encode(table, tokenizer, 300, *more).examples:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([example["input_ids"]])).logits[0].double().log_softmax(-1)
            if task == "xnli":
                losses.append(-logits[example["labels"]].item())
            else:
                gold = [(i, label) for i, label in enumerate(example["labels"]) if label != -100]
                losses += [-logits[i - 1, label].item() for i, label in gold]
        with (out / "curve.tsv").open() as file:
            last = list(csv.DictReader(file, delimiter="\t"))[-1]
        assert float(last["validation_loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def test_validation_questions_that_train_are_refused(inputs, tmp_path):
    with pytest.raises(
        ValueError, match=r"xquad\.train\.parquet: the test question with id 'train-0' is among the train"
    ):
        run(inputs, tmp_path, task="xquad", finetuning="base", validation_path=inputs / "xquad.train.parquet")
    assert not list(tmp_path.iterdir())


def test_plain_peft_alone_loads_both_kinds(inputs, undisturbed, answering):
    ids = [[1, 50, 60, 70, 81], [1, 99, 98, 97, 96]]
    # The adapter names its base "tiny": a directory of where plain PEFT is run.
    command = [sys.executable, "-c", PLAIN, str(undisturbed / "adapter"), str(answering / "adapter"), json.dumps(ids)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=inputs, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for out, kind, logits in zip(
        (undisturbed, answering), ("classification", "causal"), json.loads(done.stdout), strict=True
    ):
        base = load_base(inputs / "tiny", kind)
        with torch.no_grad():
            without = base(input_ids=torch.tensor(ids)).logits.clone()
            ours = load_adapter(base, out / "adapter")(input_ids=torch.tensor(ids)).logits
        torch.testing.assert_close(torch.tensor(logits), ours, atol=1e-5, rtol=0)
        assert (ours - without).abs().max() > 0.01


def test_three_kills_at_random_steps_leave_the_same_bytes(inputs, undisturbed, tmp_path):
    steps = sorted(random.Random(5).sample(range(4, STEPS + 1), 3))
    for step in steps:
        assert run_until(inputs, tmp_path, step) == -signal.SIGKILL
        assert not (tmp_path / "adapter").exists() and list(tmp_path.glob("checkpoints/*/checkpoint-*"))
    assert run_until(inputs, tmp_path, None) == 0
    assert files(tmp_path) == files(undisturbed)


def test_a_request_to_stop_saves_the_step_and_is_resumed(inputs, undisturbed, tmp_path):
    """SIGTERM, as SLURM sends some seconds before it kills: a checkpoint of that very step, and death by the signal."""
    assert run_until(inputs, tmp_path, 5, signal.SIGTERM) == -signal.SIGTERM
    assert {path.name for path in tmp_path.glob("checkpoints/*/*")} == {"checkpoint-3", "checkpoint-5"}
    assert run_until(inputs, tmp_path, 8, signal.SIGTERM) == -signal.SIGTERM
    run(inputs, tmp_path)
    assert files(tmp_path) == files(undisturbed)


def test_checkpoints_of_other_parameters_stay_aside(inputs, undisturbed, tmp_path, caplog):
    assert run_until(inputs, tmp_path, 8, learning_rate=1e-2) == -signal.SIGKILL
    aside = files(tmp_path / "checkpoints")
    assert aside
    run(inputs, tmp_path)
    assert "set aside, not used" in caplog.text
    left = files(tmp_path)
    assert {name: left.pop(f"checkpoints/{name}") for name in aside} == aside
    assert left == files(undisturbed)
    # Even where one lies in the run's own place: its mark names another run.
    (other,) = (tmp_path / "checkpoints").iterdir()
    shutil.rmtree(tmp_path / "adapter")
    assert run_until(inputs, tmp_path, 5) == -signal.SIGKILL
    (own,) = (path for path in (tmp_path / "checkpoints").iterdir() if path != other)
    shutil.rmtree(own / "checkpoint-3")
    shutil.copytree(other / "checkpoint-6", own / "checkpoint-6")
    run(inputs, tmp_path)
    assert (tmp_path / "adapter/adapter_model.safetensors").read_bytes() == left["adapter/adapter_model.safetensors"]


@pytest.mark.parametrize(("change", "message"), [("shape", "use the mask identified on"), ("digest", "snapshot")])
def test_a_mask_of_another_model_is_refused(inputs, tmp_path, change, message):
    import dataclasses

    mask = NeuronMask.read(inputs / "mask.parquet")
    other = {"neurons_per_layer": 256} if change == "shape" else {"model": "0" * 64}
    dataclasses.replace(mask, **other).write(tmp_path / "other.parquet", model_key="tiny")
    with pytest.raises(ValueError, match=rf"other\.parquet: mask lape-set1 .*{message}"):
        run(inputs, tmp_path, masks=[tmp_path / "other.parquet"])
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_of_another_base_is_refused(inputs, undisturbed, tmp_path):
    base = load_base(inputs / "tiny", "classification")
    with pytest.raises(ValueError, match=r"adapter: the adapter was trained on snapshot .* the model is 0000"):
        load_adapter(base, undisturbed / "adapter", "0" * 64)
    load_adapter(base, undisturbed / "adapter", snapshot_digest(inputs / "tiny"))
    shutil.copytree(undisturbed / "adapter", tmp_path / "adapter")
    (tmp_path / "adapter/langneurons.json").unlink()
    with pytest.raises(ValueError, match=r"adapter: does not say what it is \(no langneurons\.json\)"):
        load_adapter(load_base(inputs / "tiny", "classification"), tmp_path / "adapter", "0" * 64)


FACTS = {"base_model": "tiny", "task": "xnli", "finetuning": "en+vi@lape-set1", "quantization": "none"}


@pytest.mark.parametrize(
    "other",
    [
        {"base_model": "mistral"},
        {"task": "xquad"},
        {"finetuning": "base"},
        {"quantization": "nf4"},
        {"dtype": "bfloat16"},
        {"seed": 8},
        {"settings": {"rank": 2}},
    ],
)
def test_an_adapter_of_another_job_is_refused(inputs, undisturbed, other):
    base, digest = load_base(inputs / "tiny", "classification"), snapshot_digest(inputs / "tiny")
    ((name, value),) = other.items()
    said = rf"adapter: {name.replace('_', ' ')} is .*, {re.escape(repr(value))} was expected"
    with pytest.raises(ValueError, match=said):
        load_adapter(base, undisturbed / "adapter", digest, FACTS | other)
    load_adapter(base, undisturbed / "adapter", digest, FACTS)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "langneurons.json"])
def test_a_flipped_bit_of_an_adapter_is_found(inputs, undisturbed, tmp_path, name):
    shutil.copytree(undisturbed / "adapter", tmp_path / "adapter")
    path, base = tmp_path / "adapter" / name, load_base(inputs / "tiny", "classification")
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(path.parent))):
            load_adapter(base, path.parent)


def test_a_weight_that_is_not_finite_is_neither_saved_nor_loaded(inputs, undisturbed, tmp_path):
    """One NaN gave "accuracy 25.0" and empty answers with an exact match of 0."""
    from safetensors.torch import load_file, save_file

    from langneurons.artifacts.directories import open_directory, seal_directory

    model = load_adapter(load_base(inputs / "tiny", "classification"), undisturbed / "adapter")
    weight = next(p for name, p in model.named_parameters() if "lora_B" in name)
    weight.data[3, 1] = float("nan")
    message = r"adapter_model\.safetensors: .*lora_B.* is NaN at \[3, 1\]"
    with pytest.raises(ValueError, match=message):
        adapters.save_adapter(model, tmp_path / "saved", FACTS)
    assert not (tmp_path / "saved").exists()
    shutil.copytree(undisturbed / "adapter", tmp_path / "adapter")
    path = tmp_path / "adapter/adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_B" in name)
    tensors[name][3, 1] = float("nan")
    save_file(tensors, path, {"format": "pt"})
    facts, _ = open_directory(undisturbed / "adapter", "adapter")
    seal_directory(path.parent, "adapter", facts)
    with pytest.raises(ValueError, match=message):
        load_adapter(load_base(inputs / "tiny", "classification"), path.parent)


def test_other_task_data_than_said_are_refused(inputs, tmp_path):
    """The test split, or another language's examples, in the place of the training data."""
    test, train = inputs / "xnli.test.parquet", {"language": "en", "split": "train"}
    with pytest.raises(ValueError, match=r"xnli\.train\.parquet: language is 'en', 'hi' was expected"):
        run(inputs, tmp_path, train_facts=train | {"language": "hi"})
    with pytest.raises(ValueError, match=r"xnli\.test\.parquet: split is 'test', 'train' was expected"):
        run(inputs, tmp_path, train_facts=train, validation_path=test, validation_facts=train)
    with pytest.raises(ValueError, match=r"mask\.parquet: method is 'lape-set1', 'other' was expected"):
        run(inputs, tmp_path, finetuning="en@other")


def test_a_full_disk_leaves_no_adapter_and_loses_no_step(inputs, undisturbed, tmp_path, monkeypatch):
    """The device refuses the second half of the weights; once there is room, the last step is not taken again."""
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, content):
            self.file.write(bytes(content)[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path, *arguments, **options):
        file = real(path, *arguments, **options)
        return Full(file) if path.name == adapters.WEIGHTS else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(DiskFull, match=r"adapter: no space is left to write the adapter; none is left there"):
        run(inputs, tmp_path)
    monkeypatch.undo()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", "curve.tsv"}
    assert {path.name for path in tmp_path.glob("checkpoints/*/*")} >= {f"checkpoint-{STEPS}"}
    assert run_until(inputs, tmp_path, STEPS) == 0  # the step that would kill it is not taken
    assert files(tmp_path) == files(undisturbed)


def test_a_full_disk_at_a_checkpoint_keeps_the_one_before(inputs, undisturbed, tmp_path, monkeypatch):
    from langneurons.finetuning import checkpoints, trainer

    def half(model, target):
        if target.endswith("checkpoint-6"):
            Path(target).mkdir(parents=True)
            (Path(target) / checkpoints.WEIGHTS).write_bytes(b"half")
            # As safetensors says it: no OSError, no number.
            raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
        checkpoints.save_trainable(model, target)

    monkeypatch.setattr(trainer, "save_trainable", half)
    with pytest.raises(
        DiskFull, match=r"checkpoint-6: no space is left to write a checkpoint; the one before it stays"
    ):
        run(inputs, tmp_path)
    monkeypatch.undo()
    assert {path.name for path in tmp_path.glob("checkpoints/*/*")} == {"checkpoint-3"}
    run(inputs, tmp_path)
    assert files(tmp_path) == files(undisturbed)


def test_a_loss_that_is_no_number_names_step_examples_and_rate(inputs, tmp_path, monkeypatch):
    from langneurons.tasks import xnli

    collate, calls = xnli.collate, []

    def poisoned(batch, pad_id):
        calls.append([example["id"] for example in batch])
        result = collate(batch, pad_id)
        if len(calls) == 5:
            result["labels"] = result["labels"].fill_(3)  # no such label: the loss of these examples is wrong
        return result

    monkeypatch.setattr(xnli, "collate", poisoned)
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", _nan_on(3, torch.nn.functional.cross_entropy))
    with pytest.raises(FloatingPointError) as error:
        run(inputs, tmp_path)
    assert "the loss is nan at step 5, learning rate 0.00" in str(error.value)
    assert f"on examples {', '.join(calls[4])}; the last good checkpoint stays" in str(error.value)
    assert {path.name for path in tmp_path.glob("checkpoints/*/*")} == {"checkpoint-3"}
    assert not (tmp_path / "adapter").exists()


def _nan_on(label, whole):
    def cross_entropy(logits, labels, **options):
        if (labels == label).any():
            return logits.sum() * float("nan")
        return whole(logits, labels, **options)

    return cross_entropy
