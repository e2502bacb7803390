"""Interventions against a forward pass edited by hand, and everything that must be an error."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from artifact_files import changed_parquet, statistic_file
from torch.nn import functional

from langneurons.interventions.base import UnknownIntervention, find, known, operation, statistics_of
from langneurons.interventions.hook import intervene
from langneurons.interventions.values import intervention_values
from langneurons.models.neurons import find_neurons

NEURONS = {0: np.array([3, 40]), 2: np.array([47, 0, 7])}
VALUES = {0: np.array([1.5, -0.25]), 2: np.array([0.0, 2.0, -3.0])}
IDS = torch.tensor([[5, 9, 33, 2, 61, 7], [1, 1, 12, 50, 3, 20]])


@pytest.fixture
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=63,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def with_lora(model):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["gate_proj", "q_proj"], init_lora_weights=False))
    return adapted.eval()


def by_hand(model, ids, site, neurons=NEURONS, values=VALUES, change=lambda own, value: torch.full_like(own, value)):
    """Logits of the model with each MLP's forward written out and edited, without any hook.

    ``change(own, value)``: what a neuron ``[blocks, tokens]`` becomes; without it, ``value``.
    """
    for layer in find_neurons(model).layers:

        def edited(x, layer=layer):
            columns = list(x.unbind(-1))
            for neuron, value in zip(neurons.get(layer.index, ()), values.get(layer.index, ()), strict=True):
                columns[neuron] = change(columns[neuron], float(value))
            return torch.stack(columns, -1)

        def forward(x, layer=layer, edited=edited):
            z = layer.gate(x)
            a = functional.silu(edited(z) if site == "gate" else z)
            return layer.down((edited(a) if site == "act" else a) * layer.up(x))

        layer.mlp.forward = forward
    try:
        return model(input_ids=ids).logits
    finally:
        for layer in find_neurons(model).layers:
            del layer.mlp.forward


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize("site", ["act", "gate"])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("adapted", [False, True])
def test_equals_an_edit_by_hand(model, site, mode, adapted):
    model = with_lora(model) if adapted else model
    with mode():
        expected, plain = by_hand(model, IDS, site), model(input_ids=IDS).logits
        with intervene(model, NEURONS, VALUES, site) as record:
            found = model(input_ids=IDS).logits
            model(input_ids=IDS)
        after = model(input_ids=IDS).logits
    assert torch.equal(found, expected)
    assert (plain - expected).abs().max() > 0.1
    assert torch.equal(after, plain)
    assert record.calls == {0: 2, 2: 2}
    assert hooks(model) == 0


def test_sites_differ(model):
    with torch.no_grad():
        logits = {}
        for site in ("act", "gate"):
            with intervene(model, NEURONS, VALUES, site):
                logits[site] = model(IDS).logits
    assert (logits["act"] - logits["gate"]).abs().max() > 0.1


@pytest.mark.parametrize("site", ["act", "gate"])
def test_gradients_equal_those_of_the_edit_by_hand(model, site):
    by_hand(model, IDS, site).square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    with intervene(model, NEURONS, VALUES, site):
        model(IDS).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)
    gate = find_neurons(model).layers[2].gate.weight.grad
    assert gate[NEURONS[2]].abs().max() == 0 and gate[1].abs().max() > 0


def test_one_context_serves_inference_mode_and_then_gradients(model):
    with intervene(model, NEURONS, VALUES):
        with torch.inference_mode():
            first = model(IDS).logits.clone()
        second = model(IDS).logits
        second.sum().backward()
    assert torch.equal(first, second.detach())


@pytest.mark.parametrize("hidden_act", ["relu", "linear"])
def test_an_activation_that_saves_or_returns_its_own_tensor(model, hidden_act):
    """relu keeps its output for the backward pass; the identity returns its input, which others may still hold."""
    from transformers.activations import ACT2FN

    layer = find_neurons(model).layers[0]
    layer.mlp.act_fn = ACT2FN[hidden_act]
    seen = []
    handle = layer.gate.register_forward_hook(lambda _module, _args, output: seen.append(output))
    with torch.no_grad(), intervene(model, NEURONS, VALUES):
        x = torch.randn(2, 5, 32)
        layer.mlp(x)
        model(IDS)
    torch.testing.assert_close(seen[0], functional.linear(x, layer.gate.weight))
    handle.remove()
    with intervene(model, NEURONS, VALUES):
        model(IDS).logits.sum().backward()
    assert layer.gate.weight.grad[NEURONS[0]].abs().max() == 0


def test_generation_with_a_cache_equals_full_forwards_by_hand(model):
    ids = IDS[:1]
    with torch.no_grad(), intervene(model, NEURONS, VALUES) as record:
        found = model.generate(ids, max_new_tokens=8, do_sample=False, use_cache=True)
    expected = ids
    with torch.no_grad():
        for _ in range(8):
            token = by_hand(model, expected, "act")[:, -1].argmax(-1, keepdim=True)
            expected = torch.cat([expected, token], dim=1)
            if token == 63:
                break
        plain = model.generate(ids, max_new_tokens=8, do_sample=False)
    assert found.tolist() == expected.tolist() != plain.tolist()
    assert record.calls[0] == expected.shape[1] - ids.shape[1] > 1


def test_bfloat16(model):
    model = model.to(torch.bfloat16)
    seen = []
    layer = find_neurons(model).layers[2]
    with torch.inference_mode(), intervene(model, NEURONS, VALUES):
        handle = layer.act.register_forward_hook(lambda _module, _args, output: seen.append(output))
        model(IDS)
        handle.remove()
    assert seen[0].dtype == torch.bfloat16
    assert (seen[0][..., [47, 0, 7]].float() == torch.tensor([0.0, 2.0, -3.0])).all()


@pytest.mark.parametrize("neurons", [{}, {1: np.array([], dtype=np.int64)}])
def test_no_neurons_no_hook_no_error(model, neurons):
    with intervene(model, neurons, dict(neurons)) as record:
        assert hooks(model) == 0
    assert record.calls == {}


def test_a_hook_that_never_fired_is_an_error(model):
    with pytest.raises(RuntimeError, match=r"act never ran in layers \[0, 2\]"), intervene(model, NEURONS, VALUES):
        pass
    with pytest.raises(RuntimeError, match=r"layers \[2\]"), intervene(model, NEURONS, VALUES), torch.no_grad():
        find_neurons(model).layers[0].mlp(torch.zeros(1, 32))
    assert hooks(model) == 0


def test_an_exception_passes_and_hooks_go(model):
    with pytest.raises(KeyError, match="mine"), intervene(model, NEURONS, VALUES):
        assert hooks(model) == 2
        raise KeyError("mine")
    assert hooks(model) == 0


@pytest.mark.parametrize(
    ("neurons", "values", "message"),
    [
        ({3: [1]}, {3: [0.0]}, "layer 3 is outside the model, which has layers 0 to 2"),
        ({-1: [1]}, {-1: [0.0]}, "layer -1 is outside"),
        ({1: [5, 48]}, {1: [0.0, 0.0]}, "neuron 48 of layer 1 is outside the model, which has 0 to 47"),
        ({1: [-2]}, {1: [0.0]}, "neuron -2 of layer 1"),
        ({1: [2, 2]}, {1: [0.0, 1.0]}, "given twice"),
        ({1: [2.5]}, {1: [0.0]}, "list of integers"),
        ({1: [2, 3]}, {1: [0.0]}, "2 neurons but values of shape"),
        ({1: [2]}, {}, "1 neurons but values of shape"),
        ({1: [2]}, {1: [float("nan")]}, "not a finite number"),
        ({1: [2]}, {1: [0.0], 2: [1.0]}, r"values are given for layers \[2\]"),
    ],
)
def test_bad_requests(model, neurons, values, message):
    neurons, values = ({k: np.array(v) for k, v in each.items()} for each in (neurons, values))
    with pytest.raises(ValueError, match=message), intervene(model, neurons, values):
        pytest.fail("entered")
    assert hooks(model) == 0


def test_unknown_site(model):
    with pytest.raises(ValueError, match="site is 'up'; write one of act, gate"), intervene(model, {}, {}, "up"):
        pytest.fail("entered")


@pytest.fixture
def statistics(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "layer": pa.array(np.repeat(np.arange(3), 4), pa.int32()),
        "neuron": pa.array(np.tile(np.arange(4), 3), pa.int32()),
    }
    names = ("mean", "std", "positive", "p2.5", "p90")
    values = {name: pa.array(rng.normal(size=12)) for name in names}
    files = {
        name: statistic_file(tmp_path / f"{name}.parquet", name, columns | {name: values[name]}, language="hi")
        for name in names
    }
    return files, columns | values


@pytest.mark.parametrize("name", ["mean", "p90", "p2.5"])
def test_values_are_each_neurons_own(statistics, name):
    files, columns = statistics
    found = intervention_values(name, files, {2: np.array([3, 0]), 0: np.array([1])})
    assert found[2].tolist() == [columns[name][11].as_py(), columns[name][8].as_py()]
    assert found[0].tolist() == [columns[name][1].as_py()]
    assert found[0].dtype == np.float64


def test_zero_needs_no_statistics():
    found = intervention_values("zero", {}, {1: np.array([4, 5])})
    assert found[1].tolist() == [0.0, 0.0]


def test_values_of_no_neurons(statistics):
    assert intervention_values("mean", statistics[0], {}) == {}


@pytest.mark.parametrize(
    ("neurons", "name", "message"),
    [
        ({0: [1]}, "p75", "intervention 'p75' reads p75, of which no file is given"),
        ({0: [1]}, "std", "intervention 'std' is std, which is no intervention"),
        ({0: [1]}, "none", "intervention 'none' is none, which is no intervention"),
        ({0: [4]}, "mean", r"no neuron \(0, 4\): it holds 3 layers of 4"),
        ({3: [0]}, "mean", r"no neuron \(3, 0\)"),
        ({-1: [0]}, "mean", r"no neuron \(-1, 0\)"),
    ],
)
def test_bad_values(statistics, neurons, name, message):
    with pytest.raises(ValueError, match=message):
        intervention_values(name, statistics[0], {k: np.array(v) for k, v in neurons.items()})


def test_statistics_out_of_order_or_without_a_number(statistics, tmp_path):
    files, columns = statistics
    changed_parquet(files["mean"], "statistics", lambda table, facts: (table.slice(1), facts), tmp_path / "cut.parquet")
    with pytest.raises(ValueError, match="cut.parquet: rows are not one per neuron"):
        intervention_values("mean", {"mean": tmp_path / "cut.parquet"}, {0: np.array([1])})
    values = columns["mean"].to_pylist()
    values[9] = float("nan")
    statistic_file(tmp_path / "nan.parquet", "mean", columns | {"mean": pa.array(values)})
    with pytest.raises(ValueError, match=r"nan\.parquet: mean is NaN at layer 2, neuron 1 \(1 of 12 values"):
        intervention_values("mean", {"mean": tmp_path / "nan.parquet"}, {0: np.array([1])})


# Operations


def test_a_name_is_read_by_one_operation_and_has_one_spelling():
    assert find("zero") == ("constant", "zero") and statistics_of("zero") == []
    assert find("p2.5") == ("constant", "p2.5") and statistics_of("p2.5") == ["p2.5"]
    assert find("x-0.5") == ("scale", -0.5) and statistics_of("x-0.5") == []
    assert find("add-1*mean") == ("add", (-1.0, "mean")) and statistics_of("add-1*mean") == ["mean"]
    for name in known(["p5", "p90"]):
        find(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p90.0", "^is p90.0; write p90$"),
        ("p090", "^is p090; write p90$"),
        ("x2.0", "^has 2.0; write 2$"),
        ("x-0", "^has -0; write 0$"),
        ("x0.12345678", "^has 0.12345678; write a number with 6 digits at most$|write 0.123457$"),
        ("x1", "changes nothing; write none"),
        ("x0", "^is x0; write zero$"),
        ("add0*mean", "changes nothing; write none"),
        ("add0.50*p90", "^has 0.50; write 0.5$"),
        ("add1*p90.0", "^is p90.0; write p90$"),
    ],
)
def test_another_spelling_is_refused_with_what_to_write(name, message):
    with pytest.raises(ValueError, match=message):
        find(name)


@pytest.mark.parametrize(
    "name", ["", "none", "std", "x", "xp90", "add", "add2", "add2*", "add*p90", "add2*zero", "2x", "mean/p90", "p90@a"]
)
def test_what_is_no_intervention(name):
    with pytest.raises(UnknownIntervention):
        find(name)


CHANGES = {
    "x": (operation("scale").apply, lambda own, v: own * v),
    "add": (operation("add").apply, lambda own, v: own + v),
}


@pytest.mark.parametrize("site", ["act", "gate"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("adapted", [False, True])
def test_an_operation_equals_an_edit_by_hand_and_so_do_its_gradients(model, site, change, adapted):
    model = with_lora(model) if adapted else model
    apply, by_formula = CHANGES[change]
    expected = by_hand(model, IDS, site, change=by_formula)
    expected.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    with torch.inference_mode():
        plain = model(IDS).logits
        with intervene(model, NEURONS, VALUES, site, apply):
            torch.testing.assert_close(model(IDS).logits, expected.detach(), rtol=0, atol=1e-6)
    with intervene(model, NEURONS, VALUES, site, apply) as record:
        found = model(IDS).logits
        found.square().sum().backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert (found - plain).abs().max() > 0.1 and record.calls == {0: 1, 2: 1} and hooks(model) == 0
    for name, parameter in model.named_parameters():
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


def test_generation_under_an_operation_equals_full_forwards_by_hand(model):
    apply, by_formula = CHANGES["add"]
    with torch.no_grad(), intervene(model, NEURONS, VALUES, "act", apply):
        found = model.generate(IDS[:1], max_new_tokens=8, do_sample=False, use_cache=True)
    expected = IDS[:1]
    with torch.no_grad():
        for _ in range(8):
            token = by_hand(model, expected, "act", change=by_formula)[:, -1].argmax(-1, keepdim=True)
            expected = torch.cat([expected, token], dim=1)
            if token == 63:
                break
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("change", CHANGES)
def test_an_operation_is_rounded_to_bfloat16_once(model, change):
    """Against float64 by numpy, rounded to bfloat16; with a factor that bfloat16 has not."""
    model = model.to(torch.bfloat16)
    apply, by_formula = CHANGES[change]
    before, after = [], []
    layer = find_neurons(model).layers[2]
    handles = [layer.act.register_forward_hook(lambda _m, _a, output: before.append(output.clone()))]
    with torch.inference_mode(), intervene(model, {2: NEURONS[2]}, {2: np.array([1.1, -0.3, 1.003])}, "act", apply):
        handles.append(layer.act.register_forward_hook(lambda _m, _a, output: after.append(output.clone())))
        model(IDS)
    for handle in handles:
        handle.remove()
    own = before[0][..., NEURONS[2]].double().numpy()
    wanted = torch.from_numpy(by_formula(own, np.array([1.1, -0.3, 1.003])).astype(np.float32)).bfloat16()
    assert after[0].dtype == torch.bfloat16
    assert torch.equal(after[0][..., NEURONS[2]], wanted)
    others = np.setdiff1d(np.arange(48), NEURONS[2])
    assert torch.equal(after[0][..., others], before[0][..., others])


def test_values_of_an_operation(statistics):
    files, columns = statistics
    found = intervention_values("add-0.5*p90", files, {2: np.array([3, 0])})
    assert found[2].tolist() == [-0.5 * columns["p90"][11].as_py(), -0.5 * columns["p90"][8].as_py()]
    assert intervention_values("x2", {}, {1: np.array([4, 5])})[1].tolist() == [2.0, 2.0]
