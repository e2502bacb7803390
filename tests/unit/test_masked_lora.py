"""Masked LoRA against its dense definition, against PEFT's own layers, and through a file."""

import copy
import hashlib
import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from langneurons.finetuning.adapters import WEIGHTS, adapter_tensors, load_adapter, save_adapter
from langneurons.finetuning.masked_lora import add_lora, masked_layers

ROWS = {0: np.array([1, 5, 40]), 2: np.array([0, 63])}
SHAPE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
METADATA = {"base_model": "tiny", "mask": "0" * 64, "method": "lape-set1", "languages": ["vi"], "rank": 4}


def llama(task="CAUSAL_LM", dtype=torch.float32, **shape):
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    torch.manual_seed(0)
    config = LlamaConfig(**{**SHAPE, **shape}, num_labels=3)
    model = (LlamaForCausalLM if task == "CAUSAL_LM" else LlamaForSequenceClassification)(config)
    return model.to(dtype).eval()


def tokens(rows=3, length=7):
    return torch.randint(1, 97, (rows, length), generator=torch.Generator().manual_seed(1))


def fill(model, seed=7):
    """Give every trainable parameter values away from zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def four_bit(directory, dtype=torch.float32, shape=None):
    """A tiny Llama saved and loaded in nf4 with double quantisation."""
    import bitsandbytes
    from transformers import BitsAndBytesConfig, LlamaForCausalLM

    llama(**{"hidden_size": 64, "intermediate_size": 64, **(shape or {})}).save_pretrained(directory)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["lm_head"],
    )
    model = LlamaForCausalLM.from_pretrained(
        directory, quantization_config=quantization, device_map={"": "cpu"}, dtype=dtype
    )
    linear = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert linear
    for module in linear:
        module.support_avx512bf16_for_cpu = False
    return model.eval()


ALL_TARGETS = ("gate_proj", "up_proj", "down_proj")


def mask_of(name, shape):
    """M of a target module in layer ``layers.N``, as a matrix of zeros and ones."""
    indices = ROWS[int(name.split("layers.")[1].split(".")[0])]
    mask = torch.zeros(shape)
    if name.endswith("down_proj"):
        mask[:, indices] = 1
    else:
        mask[indices] = 1
    return mask


@pytest.mark.parametrize("rank", [2, 4])
def test_gradients_equal_the_dense_definition(rank):
    """W0 + (alpha / r) * (M o (B A)), with B and A dense leaves of autograd, for every kind of target, with more and
    with fewer neurons than ranks."""
    model = add_lora(llama(), rank, 2 * rank, rows=ROWS, targets=ALL_TARGETS)
    fill(model)
    layers = masked_layers(model)
    assert len(layers) == 2 * 3
    for name, layer in layers.items():
        base = layer.get_base_layer().weight.detach()
        own_a, own_b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        mask = mask_of(name, base.shape)
        rows, columns = mask.any(1), mask.any(0)
        # What the layer does not hold is arbitrary in the definition: the mask must make it not matter.
        a, b = (
            torch.randn(s, generator=torch.Generator().manual_seed(5))
            for s in ((rank, base.shape[1]), (len(base), rank))
        )
        a[:, columns], b[rows] = own_a.detach(), own_b.detach()
        a.requires_grad_(), b.requires_grad_()
        x = torch.randn(2, 5, base.shape[1], generator=torch.Generator().manual_seed(3), requires_grad=True)
        x_dense = x.detach().clone().requires_grad_()
        out, expected = layer(x), functional.linear(x_dense, base + 2.0 * (mask * (b @ a)))
        weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
        (out * weight).sum().backward()
        (expected * weight).sum().backward()
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5, msg=name)
        torch.testing.assert_close(own_a.grad, a.grad[:, columns], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(own_b.grad, b.grad[rows], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(x.grad, x_dense.grad, atol=1e-5, rtol=1e-5)
        assert a.grad[:, ~columns].abs().sum() == 0 and b.grad[~rows].abs().sum() == 0
        assert own_a.grad.abs().max() > 0 and own_b.grad.abs().max() > 0
        assert own_a.shape == (rank, columns.sum()) and own_b.shape == (rows.sum(), rank)


def test_what_is_outside_the_mask_does_not_move():
    """50 steps of AdamW with weight decay: the weights, merged, are those of the base bit for bit outside the mask."""
    model = add_lora(llama(), 4, 8, rows=ROWS, task_type="CAUSAL_LM", targets=ALL_TARGETS)
    before = {n: p.detach().clone() for n, p in model.named_parameters() if "base_layer" in n}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    ids = tokens()
    for _ in range(50):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    for name, layer in masked_layers(model).items():
        base = layer.get_base_layer().weight.detach().clone()
        mask = mask_of(name, base.shape).bool()
        delta = layer.get_delta_weight("default")
        assert torch.count_nonzero(delta[~mask]) == 0 and torch.count_nonzero(delta[mask]) == mask.sum()
        merged = copy.deepcopy(layer)
        merged.merge()
        changed = merged.get_base_layer().weight
        assert torch.equal(changed[~mask], base[~mask]) and not torch.equal(changed[mask], base[mask])
        x = torch.randn(4, base.shape[1], generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(merged(x), layer(x), atol=1e-5, rtol=1e-5)
        merged.unmerge()
        torch.testing.assert_close(merged.get_base_layer().weight, layer.get_base_layer().weight)
    now = dict(model.named_parameters())
    assert all(torch.equal(now[n], value) for n, value in before.items())


def test_optimiser_state_holds_rows_and_a_alone():
    rank = 4
    with_rows, without, everywhere = (
        add_lora(llama(), rank, 8, rows=rows, task_type="CAUSAL_LM", targets=targets)
        for rows, targets in ((ROWS, ["gate_proj"]), (None, ["gate_proj"]), (ROWS, ALL_TARGETS))
    )

    def size(model):
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        model(input_ids=tokens(), labels=tokens()).loss.backward()
        optimizer.step()
        return sum(state["exp_avg"].numel() for state in optimizer.state.values())

    # a layer's A is [rank, 32], its B [number of rows, rank]
    assert size(with_rows) - size(without) == 2 * rank * 32 + (3 + 2) * rank
    # twice that for gate_proj and up_proj; of down_proj A is [rank, number of columns], B [32, rank]
    assert size(everywhere) - size(without) == 2 * (2 * rank * 32 + (3 + 2) * rank) + (3 + 2) * rank + 2 * rank * 32


@pytest.mark.parametrize("rows", [None, {}, {1: np.array([], dtype=np.int64)}])
def test_an_empty_mask_is_attention_lora(rows):
    from peft import LoraConfig, get_peft_model

    model = add_lora(llama(), 4, 8, rows=rows, task_type="CAUSAL_LM")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    plain = get_peft_model(llama(), config)
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    assert names == [n for n, p in plain.named_parameters() if p.requires_grad]
    assert not masked_layers(model) and not any("gate_proj" in n for n in names)
    for each in (model, plain):
        fill(each)
        optimizer = torch.optim.AdamW([p for p in each.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            each(input_ids=tokens(), labels=tokens()).loss.backward()
            optimizer.step()
    assert torch.equal(model(tokens()).logits, plain(tokens()).logits)
    trained = dict(plain.named_parameters())
    assert all(torch.equal(p, trained[n]) for n, p in model.named_parameters())


def test_the_attention_part_does_not_depend_on_the_mask():
    def values(seed, rows):
        model = add_lora(llama("SEQ_CLS"), 4, 8, rows=rows, seed=seed)
        return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    torch.manual_seed(99)
    some = values(5, ROWS)
    torch.manual_seed(1)
    none, other = values(5, None), values(6, None)
    assert none.keys() < some.keys()
    assert all(torch.equal(value, some[name]) for name, value in none.items())
    assert all(torch.equal(value, other[name]) != ("lora_A" in name) for name, value in none.items())
    for name, value in some.items():
        if "lora_A" in name:  # Kaiming uniform with a = sqrt(5): bounds +- 1 / sqrt(fan in)
            bound = value.shape[1] ** -0.5
            assert 0.8 * bound < value.abs().max() <= bound
        elif "lora_B" in name:
            assert value.abs().max() == 0
    assert any("score" in name for name in some)


@pytest.mark.parametrize("target", ALL_TARGETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_full_mask_is_pefts_lora(dtype, target):
    _assert_equals_peft(lambda: llama(dtype=dtype), target)


@pytest.mark.parametrize("target", ["gate_proj", "down_proj"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_full_mask_is_pefts_lora_on_4_bits(tmp_path, dtype, target):
    _assert_equals_peft(lambda: four_bit(tmp_path, dtype), target)


def _assert_equals_peft(build, target):
    """Logits and gradients, bit for bit."""
    from peft import LoraConfig, get_peft_model

    full = {layer: np.arange(64) for layer in range(3)}
    masked = add_lora(build(), 4, 8, rows=full, task_type="CAUSAL_LM", targets=[target])
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", target]
    plain = get_peft_model(build(), LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"))
    assert len(masked_layers(masked)) == 3
    fill(masked)
    source = dict(masked.named_parameters())
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(source[name])
    ids = tokens()
    losses = [model(input_ids=ids, labels=ids) for model in (masked, plain)]
    assert torch.equal(losses[0].logits, losses[1].logits)
    for out in losses:
        out.loss.backward()
    compared = 0
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            assert parameter.dtype == source[name].dtype == torch.float32
            assert torch.equal(parameter.grad, source[name].grad), name
            compared += 1
    assert compared == 3 * 5 * 2


def test_a_full_mask_starts_as_a_part_of_it_does():
    """What is drawn for a neuron's column does not depend on which others the mask holds."""
    full, part = (
        masked_layers(add_lora(llama(), 4, 8, rows=rows, targets=["down_proj"]))
        for rows in ({0: np.arange(64), 2: np.arange(64)}, ROWS)
    )
    for (name, layer), indices in zip(part.items(), ROWS.values(), strict=True):
        assert torch.equal(full[name].dense_a("default")[:, indices], layer.lora_A["default"].weight)


@pytest.mark.parametrize(("task", "targets"), [("CAUSAL_LM", ("gate_proj",)), ("SEQ_CLS", ALL_TARGETS)])
def test_plain_peft_loads_what_was_saved(tmp_path, task, targets):
    from peft import PeftModel

    model = add_lora(llama(task), 4, 8, rows=ROWS, task_type=task, targets=targets)
    fill(model)
    save_adapter(model, tmp_path / "adapter", METADATA)
    with torch.no_grad():
        logits, base = model(tokens()).logits, llama(task)(tokens()).logits
        plain = PeftModel.from_pretrained(llama(task), tmp_path / "adapter").eval()
        ours = load_adapter(llama(task), tmp_path / "adapter")
        torch.testing.assert_close(plain(tokens()).logits, logits, atol=1e-5, rtol=0)
        assert torch.equal(ours(tokens()).logits, plain(tokens()).logits)
        assert (logits - base).abs().max() > 0.01
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())
    adapted = {n for n, _ in plain.named_modules() if n.endswith("gate_proj.lora_A.default")}
    assert {int(n.split("layers.")[1].split(".")[0]) for n in adapted} == {0, 2}
    b = adapter_tensors(model)["base_model.model.model.layers.2.mlp.gate_proj.lora_B.weight"]
    assert b.shape == (64, 4) and b.abs().sum(1).nonzero().flatten().tolist() == [0, 63]


def test_many_masked_layers_are_found_again(tmp_path):
    """PEFT shortens long lists of target modules: layer 1 must not become layer 11, nor all layers."""
    rows = {layer: np.array([layer]) for layer in range(24) if layer != 11}
    model = add_lora(llama(num_hidden_layers=24), 2, 2, rows=rows, task_type="CAUSAL_LM")
    assert len(masked_layers(model)) == 23
    fill(model)
    save_adapter(model, tmp_path / "adapter", METADATA)
    loaded = load_adapter(llama(num_hidden_layers=24), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens()).logits, model(tokens()).logits, atol=1e-5, rtol=1e-5)
    assert "base_model.model.model.layers.11.mlp.gate_proj.lora_A.default.weight" not in dict(loaded.named_parameters())


def test_a_4bit_base_loads_what_was_saved(tmp_path):
    model = add_lora(four_bit(tmp_path / "base"), 4, 8, rows=ROWS, task_type="CAUSAL_LM")
    fill(model)
    save_adapter(model, tmp_path / "adapter", METADATA)
    loaded = load_adapter(four_bit(tmp_path / "base"), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens()).logits, model(tokens()).logits, atol=1e-5, rtol=1e-5)


def test_a_bfloat16_head_trains_in_float32():
    model = add_lora(llama("SEQ_CLS", torch.bfloat16), 4, 8, rows=ROWS)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    model(input_ids=tokens(), labels=torch.tensor([0, 1, 2])).loss.backward()
    assert all(p.grad.abs().max() > 0 for n, p in model.named_parameters() if p.requires_grad and "lora_A" not in n)


def test_files_are_whole_named_and_without_paths(tmp_path):
    from safetensors import safe_open

    model = add_lora(llama("SEQ_CLS"), 4, 8, rows=ROWS)
    model.peft_config["default"].base_model_name_or_path = "/scratch/someone/model"
    directory = tmp_path / "adapter"
    directory.mkdir()
    (directory / "old").write_text("left over")
    save_adapter(model, directory, METADATA)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter"]
    files = {p.name: p.read_bytes() for p in directory.iterdir()}
    assert sorted(files) == ["adapter_config.json", "adapter_model.safetensors", "langneurons.json"]
    assert not any(b"/scratch" in content or str(tmp_path).encode() in content for content in files.values())
    seal = json.loads(files["langneurons.json"])
    assert seal.items() >= METADATA.items() and seal["kind"] == "adapter"
    assert seal["files"] == {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)[:2]}
    config = json.loads(files["adapter_config.json"])
    assert config["base_model_name_or_path"] == "tiny"
    gates = [f"model.layers.{layer}.mlp.gate_proj" for layer in ROWS]
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj", *gates]
    with safe_open(directory / "adapter_model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["langneurons"]) == METADATA
        assert file.metadata()["format"] == "pt"


def test_a_failed_save_leaves_the_old_adapter(tmp_path):
    model = add_lora(llama(), 4, 8, rows=ROWS)
    save_adapter(model, tmp_path / "adapter", METADATA)
    before = (tmp_path / "adapter" / "langneurons.json").read_bytes()
    with pytest.raises(TypeError):
        save_adapter(model, tmp_path / "adapter", {**METADATA, "odd": object()})
    assert (tmp_path / "adapter" / "langneurons.json").read_bytes() == before
    for name in ("/models/llama", "../llama", "", None):
        with pytest.raises(ValueError, match="base_model"):
            save_adapter(model, tmp_path / "other", {**METADATA, "base_model": name})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter"]


def test_bytes_depend_on_weights_and_metadata_alone(tmp_path):
    """Hash maps and sets are ordered by chance; the files must not be."""
    model = add_lora(llama("SEQ_CLS"), 4, 8, rows=ROWS)
    fill(model)
    written = set()
    for copy_number in range(10):
        metadata = METADATA if copy_number % 2 else dict(reversed(METADATA.items()))
        save_adapter(model, tmp_path / str(copy_number), metadata)
        written.add(tuple(p.read_bytes() for p in sorted((tmp_path / str(copy_number)).iterdir())))
    assert len(written) == 1
    config = json.loads(written.pop()[0])
    assert config["modules_to_save"] == ["classifier", "score"]
    fill(model, seed=8)
    save_adapter(model, tmp_path / "other", METADATA)
    assert (tmp_path / "other" / WEIGHTS).read_bytes() != (tmp_path / "0" / WEIGHTS).read_bytes()


def test_an_adapter_for_another_model_is_refused(tmp_path):
    save_adapter(add_lora(llama("SEQ_CLS"), 4, 8, rows=ROWS), tmp_path / "adapter", METADATA)
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "gone")
    with pytest.raises(ValueError, match="adapter_model.safetensors"):
        load_adapter(llama("SEQ_CLS"), tmp_path / "adapter")
    (tmp_path / "gone").rename(tmp_path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(ValueError, match="another model or task"):
        load_adapter(llama("SEQ_CLS", num_hidden_layers=2), tmp_path / "adapter")
    with pytest.raises(ValueError, match="another model or task"):
        load_adapter(llama("CAUSAL_LM"), tmp_path / "adapter")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({3: np.array([0])}, "layer 3 is outside"),
        ({-1: np.array([0])}, "layer -1 is outside"),
        ({0: np.array([64])}, "neuron 64 of layer 0"),
        ({0: np.array([-1, 3])}, "neuron -1 of layer 0"),
        ({0: np.array([3, 3])}, "ascending"),
        ({0: np.array([0.5])}, "ascending"),
    ],
)
def test_rows_outside_the_model_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        add_lora(llama(), 4, 8, rows=rows)


def test_an_unknown_task_type_or_target_is_refused():
    with pytest.raises(ValueError, match="SEQ_CLS, CAUSAL_LM"):
        add_lora(llama(), 4, 8, task_type="TOKEN_CLS")
    with pytest.raises(ValueError, match="'gates' is unknown; write some of gate_proj, up_proj, down_proj"):
        add_lora(llama(), 4, 8, rows=ROWS, targets=["gates"])
