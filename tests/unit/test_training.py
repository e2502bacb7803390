"""Training: the schedule by its formula, the same bytes again, interrupted or not, and what it refuses."""

import copy
import math

import datasets
import numpy as np
import pytest
import torch
from test_masked_lora import METADATA, ROWS, four_bit, llama

from langneurons.finetuning.adapters import save_adapter
from langneurons.finetuning.checkpoints import trainable_parameters
from langneurons.finetuning.masked_lora import add_lora, masked_layers
from langneurons.finetuning.training import Execution, TrainingSettings
from langneurons.finetuning.training import train as train_whole

SETTINGS = {"epochs": 3, "batch_size": 4, "learning_rate": 5e-3, "bf16": False}


def train(model, data, collator, checkpoints, validation_dataset=None, **options):
    """The curve alone; options of ``Execution`` and ``TrainingSettings`` by their names."""
    execution = {name: options.pop(name) for name in Execution.__dataclass_fields__ if name in options}
    settings = TrainingSettings(**options)
    return train_whole(model, data, collator, checkpoints, settings, validation_dataset, Execution(**execution)).curve


def examples(count=22, seed=0):
    random = np.random.default_rng(seed)
    return datasets.Dataset.from_dict(
        {
            "id": [f"e{i}" for i in range(count)],
            "input_ids": [random.integers(1, 97, random.integers(4, 9)).tolist() for _ in range(count)],
            "label": random.integers(0, 3, count).tolist(),
        }
    )


class Collator:
    """Right padding; ``task`` decides the labels. Optionally breaks at its n-th call, as a killed job would."""

    def __init__(self, task="SEQ_CLS", breaks_at=None):
        self.task, self.breaks_at, self.calls, self.seen = task, breaks_at, 0, []

    def __call__(self, batch):
        self.calls += 1
        self.seen.append([example["id"] for example in batch])
        if self.calls == self.breaks_at:
            raise KeyboardInterrupt
        length = max(len(example["input_ids"]) for example in batch)
        ids, mask = torch.zeros(len(batch), length, dtype=torch.long), torch.zeros(len(batch), length, dtype=torch.long)
        for row, example in enumerate(batch):
            ids[row, : len(example["input_ids"])] = torch.tensor(example["input_ids"])
            mask[row, : len(example["input_ids"])] = 1
        labels = torch.tensor([example["label"] for example in batch])
        if self.task == "CAUSAL_LM":
            labels = ids.masked_fill(mask == 0, -100)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def adapted(task="SEQ_CLS", rows=ROWS):
    return add_lora(llama(task), 4, 8, rows=rows, task_type=task)


def content(model, directory):
    save_adapter(model, directory, METADATA)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def values(model):
    return {name: parameter.detach().clone() for name, parameter in trainable_parameters(model).items()}


def test_schedule_and_history(tmp_path):
    """Linear warm-up, then linear decay to zero over all epochs; the loss falls."""
    model = adapted()
    history = train(
        model, examples(), Collator(), tmp_path, **SETTINGS | {"epochs": 10, "warmup_ratio": 0.1, "learning_rate": 0.01}
    )
    steps, warmup = 60, 6  # 22 examples in batches of 4: 6 steps an epoch
    assert [entry["step"] for entry in history] == list(range(1, steps + 1))
    assert set(history[0]) == {"step", "epoch", "loss", "learning_rate", "gradient_norm", "validation_loss"}
    expected = [0.01 * (s / warmup if s < warmup else (steps - s) / (steps - warmup)) for s in range(steps)]
    np.testing.assert_allclose([entry["learning_rate"] for entry in history], expected, rtol=1e-12)
    np.testing.assert_allclose([entry["epoch"] for entry in history], [s / 6 for s in range(1, steps + 1)])
    losses = [entry["loss"] for entry in history]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    assert not model.training and "_original_forward" not in model.__dict__


def test_steps_are_adamw_by_the_formula(tmp_path):
    """One batch an epoch: the Trainer's steps against AdamW, clipping and schedule written out."""
    data, settings = examples(4), {"epochs": 5, "batch_size": 4, "learning_rate": 1e-2, "max_grad_norm": 0.05}
    model, reference = adapted(), adapted()
    curve = train(model, data, Collator(), tmp_path, bf16=False, warmup_ratio=0.0, **settings)
    batch, state = Collator()(list(data)), {}
    for step in range(5):
        loss = reference(**batch).loss
        names, parameters = zip(*trainable_parameters(reference).items(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(g.double().square().sum().item() for g in gradients))
        assert norm > 0.05
        assert curve[step]["gradient_norm"] == pytest.approx(norm, rel=1e-2)
        rate = 1e-2 * (5 - step) / 5
        with torch.no_grad():
            for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
                gradient = gradient * 0.05 / norm
                m, v = state.get(name, (torch.zeros_like(gradient), torch.zeros_like(gradient)))
                m, v = 0.95 * m + 0.05 * gradient, 0.999 * v + 0.001 * gradient**2
                state[name] = m, v
                m_hat, v_hat = m / (1 - 0.95 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
                parameter.mul_(1 - rate * 0.1).sub_(rate * m_hat / (v_hat.sqrt() + 1e-8))
    moved = 0.0
    for name, parameter in values(reference).items():
        torch.testing.assert_close(trainable_parameters(model)[name].detach(), parameter, atol=2e-4, rtol=1e-3)
        moved = max(moved, (parameter - values(adapted())[name]).abs().max().item())
    assert moved > 0.01


def test_only_masked_rows_and_attention_move(tmp_path):
    model = adapted()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train(model, examples(), Collator(), tmp_path, **SETTINGS)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    for layer, indices in zip(masked_layers(model).values(), ROWS.values(), strict=True):
        delta = layer.get_delta_weight("default")
        assert sorted(delta.abs().sum(1).nonzero().flatten().tolist()) == list(indices)


@pytest.mark.parametrize("bf16", [False, True])
def test_training_twice_gives_the_same_bytes(tmp_path, bf16):
    written, histories = [], []
    for run in ("first", "second"):
        model = adapted()
        torch.manual_seed(len(written))  # whatever the global generator was
        histories.append(train(model, examples(), Collator(), tmp_path / run, **SETTINGS | {"bf16": bf16}))
        written.append(content(model, tmp_path / f"{run}-adapter"))
    assert written[0] == written[1] and histories[0] == histories[1]
    model = adapted()
    train(model, examples(), Collator(), tmp_path / "third", **SETTINGS | {"bf16": bf16, "seed": 43})
    assert content(model, tmp_path / "third-adapter") != written[0]


@pytest.mark.parametrize("breaks_at", [5, 9, 14])
def test_resuming_gives_the_same_bytes(tmp_path, breaks_at):
    """18 steps, a checkpoint every 2: broken within an epoch and after one."""
    options = SETTINGS | {"checkpoint_steps": 2}
    straight, collator = adapted(), Collator()
    history = train(straight, examples(), collator, tmp_path / "straight", **options)
    with pytest.raises(KeyboardInterrupt):
        train(adapted(), examples(), Collator(breaks_at=breaks_at), tmp_path / "broken", **options)
    assert list((tmp_path / "broken").glob("*/checkpoint-*"))
    resumed, second = adapted(), Collator()
    torch.manual_seed(1234)
    assert train(resumed, examples(), second, tmp_path / "broken", **options) == history
    assert content(resumed, tmp_path / "a") == content(straight, tmp_path / "b")
    assert second.calls < collator.calls


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = adapted()
    history = train(first, examples(), Collator(), tmp_path / "c", **SETTINGS, checkpoint_epoch=2)
    again, collator = adapted(), Collator()
    assert train(again, examples(), collator, tmp_path / "c", **SETTINGS, checkpoint_epoch=2) == history
    assert collator.calls == 0
    assert content(again, tmp_path / "a") == content(first, tmp_path / "b")


def test_checkpoint_epoch_stops_on_the_whole_schedule(tmp_path):
    whole = train(adapted(), examples(), Collator(), tmp_path / "whole", **SETTINGS)
    model = adapted()
    part = train(model, examples(), Collator(), tmp_path / "part", **SETTINGS, checkpoint_epoch=1)
    assert part == whole[:6] and len(whole) == 18
    assert part[-1]["learning_rate"] > 0.5 * SETTINGS["learning_rate"]
    # and goes on from there to the very end of the whole run
    rest = adapted()
    assert train(rest, examples(), Collator(), tmp_path / "part", **SETTINGS) == whole
    with pytest.raises(ValueError, match="checkpoint_epoch is 4"):
        train(adapted(), examples(), Collator(), tmp_path / "x", **SETTINGS, checkpoint_epoch=4)


@pytest.mark.parametrize("change", ["learning rate", "data", "mask", "base", "incomplete"])
def test_a_checkpoint_of_another_run_is_not_resumed(tmp_path, change):
    options = SETTINGS | {"checkpoint_steps": 2}
    with pytest.raises(KeyboardInterrupt):
        train(adapted(), examples(), Collator(breaks_at=9), tmp_path / "c", **options)
    data, rows, shift = examples(), ROWS, 0.0
    if change == "learning rate":
        options["learning_rate"] = 4e-3
    elif change == "data":
        data = examples(seed=1)
    elif change == "mask":
        rows = {0: np.array([1, 5, 41]), 2: np.array([0, 63])}  # the same shapes, other neurons
    elif change == "base":
        shift = 0.01
    else:
        for mark in (tmp_path / "c").glob("*/checkpoint-*/langneurons.json"):
            mark.unlink()
    fresh, kept = adapted(rows=rows), adapted(rows=rows)
    for model in (fresh, kept):
        model.get_input_embeddings().weight.data += shift  # frozen: no parameter that trains differs
    history = train(fresh, data, Collator(), tmp_path / "c", **options)
    assert history == train(kept, data, Collator(), tmp_path / "d", **options)
    assert content(fresh, tmp_path / "a") == content(kept, tmp_path / "b")


@pytest.mark.parametrize("name", ["trainable.safetensors", "optimizer.pt", "trainer_state.json", "langneurons.json"])
def test_a_damaged_checkpoint_is_not_resumed(tmp_path, caplog, name):
    """Training goes on from the one before; with a flipped bit in the weights it went on from there silently."""
    options = SETTINGS | {"checkpoint_steps": 2}
    straight = adapted()
    history = train(straight, examples(), Collator(), tmp_path / "straight", **options)
    with pytest.raises(KeyboardInterrupt):
        train(adapted(), examples(), Collator(breaks_at=9), tmp_path / "broken", **options)
    checkpoints = sorted((tmp_path / "broken").glob("*/checkpoint-*"), key=lambda path: int(path.name[11:]))
    damaged = bytearray((checkpoints[-1] / name).read_bytes())
    damaged[len(damaged) // 2] ^= 4
    (checkpoints[-1] / name).write_bytes(damaged)
    resumed, collator = adapted(), Collator()
    assert train(resumed, examples(), collator, tmp_path / "broken", **options) == history
    assert content(resumed, tmp_path / "a") == content(straight, tmp_path / "b")
    assert f"{checkpoints[-1].name} is no whole checkpoint of this run: removed" in caplog.text
    assert int(checkpoints[-2].name[11:]) > 0 and collator.calls < 18


def gradients_of_steps(monkeypatch):
    """A list that fills with the gradients of every optimiser step from now on."""
    seen, step = [], torch.optim.AdamW.step

    def recorded(self, *arguments, **options):
        seen.append([p.grad.clone() for group in self.param_groups for p in group["params"]])
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    return seen


def out_of_memory_above(model, limit):
    """As a small GPU would: no more than ``limit`` examples pass through the model."""

    def refuse(module, arguments):
        if len(arguments[0]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model.get_input_embeddings().register_forward_pre_hook(refuse)
    return model


@pytest.mark.parametrize("task", ["SEQ_CLS", "CAUSAL_LM"])
def test_a_batch_that_does_not_fit_is_added_up(tmp_path, monkeypatch, task, caplog):
    """Examples of many lengths, and a last batch of three: the mean is over all labels, not over the parts' means."""
    data, curves, gradients = examples(11), [], []
    for limit in (8, 2):
        seen = gradients_of_steps(monkeypatch)
        model = out_of_memory_above(adapted(task), limit)
        options = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-8}
        curves.append(train(model, data, Collator(task), tmp_path / str(limit), bf16=False, **options))
        gradients.append(seen)
        monkeypatch.undo()
    assert [len(steps) for steps in gradients] == [2, 2]
    for whole, parts in zip(*gradients, strict=True):
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
        assert max(one.abs().max() for one in whole) > 1e-3
    np.testing.assert_allclose(*([row["loss"] for row in curve] for curve in curves), rtol=1e-6)
    assert [r.message for r in caplog.records if "out of memory" in r.message] == [
        f"out of memory: from step 1 on, {n} examples per forward pass, gradients added up over the batch"
        for n in (4, 2)
    ]


def test_one_example_that_does_not_fit_is_an_error(tmp_path):
    with pytest.raises(torch.OutOfMemoryError):
        train(out_of_memory_above(adapted(), 0), examples(), Collator(), tmp_path, **SETTINGS)


def test_a_resumed_run_keeps_its_parts(tmp_path):
    """The last bits depend on how a batch was divided: a run that goes on where there is room divides it as before."""
    options = SETTINGS | {"checkpoint_steps": 2}
    straight = out_of_memory_above(adapted(), 2)
    train(straight, examples(), Collator(), tmp_path / "straight", **options)
    with pytest.raises(KeyboardInterrupt):
        train(out_of_memory_above(adapted(), 2), examples(), Collator(breaks_at=9), tmp_path / "broken", **options)
    resumed = adapted()
    train(resumed, examples(), Collator(), tmp_path / "broken", **options)
    assert content(resumed, tmp_path / "a") == content(straight, tmp_path / "b")


def test_gradient_checkpointing_changes_no_bit(tmp_path):
    models = adapted(), adapted()
    calls = [0, 0]
    for number, model in enumerate(models):
        act = model.get_base_model().model.layers[0].mlp.act_fn
        act.register_forward_hook(lambda *_, number=number: calls.__setitem__(number, calls[number] + 1))
        options = SETTINGS | {"epochs": 1, "gradient_checkpointing": bool(number)}
        train(model, examples(), Collator(), tmp_path / str(number), **options)
        assert not model.is_gradient_checkpointing
    assert content(models[0], tmp_path / "a") == content(models[1], tmp_path / "b")
    assert calls == [6, 12]  # forward once; twice where the backward pass computes it again


def test_length_groups_pad_less_and_resume(tmp_path):
    data, options = examples(200, seed=4), SETTINGS | {"epochs": 2, "checkpoint_steps": 20}
    lengths = dict(zip(data["id"], map(len, data["input_ids"]), strict=True))
    padded, orders = [], []
    for grouped in (False, True):
        collator = Collator()
        model = adapted()
        train(model, data, collator, tmp_path / str(grouped), **options, group_by_length=grouped)
        padded.append(sum(max(lengths[i] for i in batch) * len(batch) for batch in collator.seen))
        orders.append(collator.seen)
    assert sorted(i for batch in orders[1][:50] for i in batch) == sorted(lengths)  # each once an epoch
    assert orders[1][:50] != orders[1][50:100]  # another order every epoch
    real = 2 * sum(lengths.values())
    assert padded[1] - real < 0.2 * (padded[0] - real)
    with pytest.raises(KeyboardInterrupt):
        train(adapted(), data, Collator(breaks_at=75), tmp_path / "broken", **options, group_by_length=True)
    resumed = adapted()
    train(resumed, data, Collator(), tmp_path / "broken", **options, group_by_length=True)
    assert content(resumed, tmp_path / "a") == content(model, tmp_path / "b")


@pytest.mark.parametrize("bf16", [False, True])
def test_a_4bit_base_trains(tmp_path, bf16):
    dtype = torch.bfloat16 if bf16 else torch.float32
    base = four_bit(tmp_path / "base", dtype)
    frozen = {name: tensor.clone() for name, tensor in base.state_dict().items() if isinstance(tensor, torch.Tensor)}
    model = add_lora(base, 4, 8, rows=ROWS, task_type="CAUSAL_LM")
    options = SETTINGS | {"bf16": bf16, "epochs": 8, "learning_rate": 0.02}
    history = train(model, examples(), Collator("CAUSAL_LM"), tmp_path / "c", **options)
    assert np.mean([e["loss"] for e in history[-6:]]) < 0.97 * np.mean([e["loss"] for e in history[:6]])
    now = model.state_dict()
    for name, tensor in frozen.items():
        found = [key for key in now if key.replace(".base_layer", "") == f"base_model.model.{name}"]
        assert len(found) == 1 and torch.equal(now[found[0]], tensor), name
    for layer, indices in zip(masked_layers(model).values(), ROWS.values(), strict=True):
        assert layer.dense_b("default").abs().sum(1).nonzero().flatten().tolist() == list(indices)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The step before a checkpoint breaks the weights, after a loss that was still finite."""

    class Poison(Collator):
        def __call__(self, batch):
            if self.calls == 4:
                parameter = next(iter(trainable_parameters(model).values()))
                parameter.register_hook(lambda gradient: gradient * float("nan"))
            return super().__call__(batch)

    model = adapted()
    with pytest.raises(FloatingPointError, match=r"not finite after step 4, learning rate 0\.0\d+; the last good"):
        train(model, examples(), Poison(), tmp_path, **SETTINGS, checkpoint_steps=2)
    assert {path.name for path in tmp_path.glob("*/*")} == {"checkpoint-2"}
    assert "_original_forward" not in model.__dict__


def test_nothing_is_printed_and_the_state_is_given_back(tmp_path, capfd):
    model = adapted()
    model.config.use_cache = True
    forward = copy.copy(model.forward.__func__)
    train(model, examples(8), Collator(), tmp_path, **SETTINGS | {"bf16": True})
    out, err = capfd.readouterr()
    assert out == "" and "it/s" not in err and "{'loss'" not in err
    assert model.config.use_cache is True and model.forward.__func__.__code__ is forward.__code__
    assert not torch.are_deterministic_algorithms_enabled()
    assert model(torch.ones(1, 3, dtype=torch.long)).logits.dtype == torch.float32


def test_an_empty_data_set_and_a_frozen_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no example"):
        train(adapted(), examples().select([]), Collator(), tmp_path, **SETTINGS)
    with pytest.raises(ValueError, match="requires gradients"):
        train(llama().requires_grad_(False), examples(), Collator(), tmp_path, **SETTINGS)
