"""Collecting from tiny models built in memory, against the same computed by hand."""

import os

import numpy as np
import pytest
import torch

from langneurons.activations import collector
from langneurons.activations.collector import collect, count_nothing
from langneurons.activations.sketch import BINS, NeuronCounts
from langneurons.activations.storage import merge_files, read_counts, write_counts

LAYERS, WIDTH, BLOCK = 2, 24, 8
SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
BLOCKS = np.random.default_rng(0).integers(0, 50, (11, BLOCK), dtype=np.int32)


def tiny(kind="Llama", dtype=torch.float64):
    """Float64 as a rule: the same z, to the float32 it is counted as, whatever the batch's size."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES, initializer_range=0.3)
    return getattr(transformers, f"{kind}ForCausalLM")(config).to(dtype).eval()


def by_hand(model, blocks=BLOCKS):
    """z of every token, ``[tokens, L, D]``: each block by itself, whole model, W x from what enters the MLP."""
    entering = {}
    layers = model.model.layers
    handles = [
        layer.mlp.register_forward_pre_hook(lambda _, args, i=i: entering.__setitem__(i, args[0]))
        for i, layer in enumerate(layers)
    ]
    rows = []
    with torch.no_grad():
        for block in blocks:
            model(input_ids=torch.tensor(block[None].astype(np.int64)))
            z = [entering[i][0] @ layer.mlp.gate_proj.weight.T for i, layer in enumerate(layers)]
            rows.append(torch.stack(z, dim=1).float().numpy())
    for handle in handles:
        handle.remove()
    return np.concatenate(rows)


def reference(z):
    counts = NeuronCounts.empty(*z.shape[1:])
    counts.update(z)
    return counts


def assert_same(counts, expected):
    assert counts.tokens == expected.tokens
    assert counts.histogram.dtype == expected.histogram.dtype
    assert (counts.histogram == expected.histogram).all()
    assert (counts.minimum == expected.minimum).all() and (counts.maximum == expected.maximum).all()
    assert counts.moments.tobytes() == expected.moments.tobytes()


@pytest.mark.parametrize("kind", ["Llama", "Mistral"])
def test_collect_counts_what_a_hand_computes(kind):
    model = tiny(kind)
    z = by_hand(model)
    counts = collect(model, BLOCKS, batch_tokens=3 * BLOCK)
    assert counts.tokens == BLOCKS.size
    assert (counts.positive == (z > 0).sum(axis=0)).all()
    np.testing.assert_allclose(counts.total, z.astype(np.float64).sum(axis=0), rtol=1e-12, atol=1e-9)
    assert_same(counts, reference(z))


def test_bfloat16_is_counted_as_it_is():
    model = tiny(dtype=torch.bfloat16)
    seen = []
    gates = [layer.mlp.gate_proj for layer in model.model.layers]
    handles = [gate.register_forward_hook(lambda _, args, z: seen.append(z)) for gate in gates]
    counts = collect(model, BLOCKS, batch_tokens=BLOCKS.size)
    for handle in handles:
        handle.remove()
    assert seen[0].dtype == torch.bfloat16 and counts.dtype == "bfloat16"
    assert_same(counts, reference(torch.stack([z.flatten(0, 1) for z in seen], dim=1).float().numpy()))


@pytest.mark.parametrize("percentiles", [(), (90.0,)])
def test_an_empty_shard_adds_nothing_to_the_others(tmp_path, percentiles):
    """Its counts need no weights, and merge with those of a full shard to the full shard's."""
    settings = (percentiles, 2, 3 * BLOCK)
    full = collect(tiny(), BLOCKS, BLOCKS.size, *settings)
    with torch.device("meta"):
        empty = count_nothing(tiny(), *settings)
    assert (full.tokens, empty.tokens, empty.batches) == (BLOCKS.size, 0, 0)
    about = {"model": "m", "language": "en", "activation": "silu"}
    for name, counts in (("0", full), ("1", empty)):
        write_counts(tmp_path / name, counts, {**about, "shards": [name]})
    for order in (["0", "1"], ["1", "0"]):
        merge_files([tmp_path / name for name in order], tmp_path / "merged")
        merged, _ = read_counts(tmp_path / "merged")
        assert_same(merged, full)
        assert merged.batches == full.batches and np.array_equal(merged.sums, full.sums)


@pytest.mark.parametrize("batch_tokens", [1, BLOCK, 2 * BLOCK + 3, 4 * BLOCK, 1000])
def test_the_batch_size_does_not_change_the_counts(batch_tokens):
    model = tiny()
    arguments = {"batch_percentiles": (90.0, 25.0), "every": 2, "reference_tokens": 3 * BLOCK}
    one = collect(model, BLOCKS, batch_tokens=BLOCKS.size, **arguments)
    other = collect(model, BLOCKS, batch_tokens=batch_tokens, **arguments)
    assert_same(other, one)
    assert other.batches == one.batches
    np.testing.assert_allclose(other.sums, one.sums, atol=2.0**-22)


def test_shards_merge_to_the_whole():
    model = tiny()
    parts = [collect(model, part, batch_tokens=2 * BLOCK) for part in (BLOCKS[:4], BLOCKS[4:5], BLOCKS[5:])]
    assert_same(NeuronCounts.merge(parts), collect(model, BLOCKS, batch_tokens=5 * BLOCK))
    one, other = NeuronCounts.merge(parts), NeuronCounts.merge(parts[::-1])
    assert one.moments.tobytes() == other.moments.tobytes()


@pytest.mark.parametrize(("every", "taken"), [(1, [0, 1, 2]), (2, [0, 2]), (3, [0]), (7, [0])])
@pytest.mark.parametrize("batch_blocks", [1, 2, 4, 11])
def test_batch_percentiles_are_numpys_over_every_nth_full_batch(every, taken, batch_blocks):
    model = tiny()
    batches = [by_hand(model, BLOCKS[3 * i : 3 * i + 3]) for i in taken]  # 11 blocks: the fourth batch is not full
    quantiles = (2.5, 50, 90, 100)
    counts = collect(model, BLOCKS, batch_blocks * BLOCK, quantiles, every, reference_tokens=3 * BLOCK)
    expected = sum(np.percentile(z.astype(np.float64), quantiles, axis=0) for z in batches)
    assert counts.batches == len(taken)
    assert (counts.percentiles, counts.every, counts.reference_tokens) == (quantiles, every, 3 * BLOCK)
    np.testing.assert_allclose(counts.sums, expected, rtol=0, atol=len(taken) * 2.0**-24)


def test_without_a_full_batch_there_are_no_batches():
    counts = collect(tiny(), BLOCKS[:2], 2 * BLOCK, (90.0,), reference_tokens=3 * BLOCK)
    assert counts.batches == 0 and not counts.sums.any()


def test_an_adapter_is_seen_through():
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(tiny(), LoraConfig(r=2, target_modules=["gate_proj"])).eval()
    plain = collect(adapted, BLOCKS, 4 * BLOCK)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    assert (collect(adapted, BLOCKS, 4 * BLOCK).histogram != plain.histogram).any()
    merged = adapted.merge_and_unload()
    np.testing.assert_allclose(collect(merged, BLOCKS, 4 * BLOCK).total, reference(by_hand(merged)).total, atol=1e-9)


def test_a_pass_ends_at_the_last_gate_and_leaves_no_hook():
    model = tiny()
    called = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, module in model.named_modules()
        if name in ("lm_head", "model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj")
    ]
    collect(model, BLOCKS, batch_tokens=BLOCKS.size)
    assert called == ["model.layers.0.mlp.down_proj"]
    for handle in handles:
        handle.remove()
    assert not any(module._forward_hooks for module in model.modules())


def test_a_gate_that_does_not_fire_is_an_error():
    model = tiny()
    mlp = model.model.layers[0].mlp
    mlp.forward = lambda x: mlp.down_proj(
        torch.nn.functional.silu(x @ mlp.gate_proj.weight.T) * mlp.up_proj(x)
    )  # as a fused kernel does
    with pytest.raises(RuntimeError, match=r"gates fired in layers \[1\]"):
        collect(model, BLOCKS, BLOCK)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_gate_that_fires_twice_is_an_error():
    model = tiny()
    mlp = model.model.layers[0].mlp
    mlp.forward = lambda x: mlp.down_proj(mlp.gate_proj(x) + mlp.gate_proj(x))
    with pytest.raises(RuntimeError, match=r"gates fired in layers \[0, 0, 1\]"):
        collect(model, BLOCKS, BLOCK)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_value_is_an_error(value):
    model = tiny()
    with torch.no_grad():
        model.model.layers[1].mlp.gate_proj.weight[5] = value
    with pytest.raises(ValueError, match="1 neurons took NaN or infinite values, the first in layer 1, neuron 5"):
        collect(model, BLOCKS, BLOCK)


def out_of_memory(model, more_than):
    """Make the second layer run out of memory on more than so many blocks; the first has been counted by then."""
    sizes = []

    def hook(module, args):
        sizes.append(len(args[0]))
        if len(args[0]) > more_than:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.model.layers[1].mlp.register_forward_pre_hook(hook)
    return sizes


def test_out_of_memory_starts_again_with_half_the_batch():
    expected = collect(tiny(), BLOCKS, BLOCK)
    model = tiny()
    sizes = out_of_memory(model, more_than=2)
    assert_same(collect(model, BLOCKS, batch_tokens=5 * BLOCK), expected)
    assert sizes == [5, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(("blocks", "tried"), [(8, [8, 4]), (1, [1])])
def test_out_of_memory_is_tried_again_only_once(blocks, tried):
    model = tiny()
    sizes = out_of_memory(model, more_than=0)
    with pytest.raises(torch.OutOfMemoryError):
        collect(model, BLOCKS, batch_tokens=blocks * BLOCK)
    assert sizes == tried


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": BLOCKS.ravel()}, r"\[blocks, tokens\]"),
        ({"blocks": BLOCKS.astype(np.float32)}, "float32"),
        ({"blocks": BLOCKS[:0]}, r"\(0, 8\)"),
        ({"blocks": BLOCKS + 10}, "this model's tokenizer"),
        ({"blocks": -BLOCKS}, "this model's tokenizer"),
        ({"batch_percentiles": (101,)}, "0 to 100"),
        ({"batch_percentiles": (90,), "reference_tokens": 3 * BLOCK + 1}, "multiple of the block"),
        ({"every": 0}, "every is 0"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        collect(tiny(), **{"blocks": BLOCKS, "batch_tokens": BLOCK, **arguments})


def test_a_model_in_training_is_refused():
    with pytest.raises(ValueError, match="eval"):
        collect(tiny().train(), BLOCKS, BLOCK)


def awkward(tokens, neurons, seed=0):
    """Values at every magnitude and border a float32 has, ``[tokens, 1, neurons]``."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 0x7F800000, (tokens, 1, neurons), dtype=np.int32)  # finite, log-uniform, denormals too
    z = bits.view(np.float32) * rng.choice(np.float32([-1, 1]), bits.shape)
    borders = np.float32([0.0, -0.0, 1e-45, -1e-45, 2.0**-10, -(2.0**-10), 2.0**11, -(2.0**11), 1.0, -1.03125])
    borders = np.concatenate([borders, np.nextafter(borders, np.float32(0)), rng.standard_normal(200) * 3])
    return np.where(rng.random(bits.shape) < 0.7, rng.choice(borders.astype(np.float32), bits.shape), z)


def test_the_counter_agrees_with_the_definition_on_every_kind_of_value():
    z = awkward(4 * 700, 600)  # more tokens and neurons than one step works on
    counter = collector._Counter(1, 600, torch.device("cpu"))
    counter.expect(len(z))
    counter.count(0, torch.tensor(z).view(4, 700, 600))
    counts, expected = counter.counts(len(z)), reference(z)
    assert (counts.histogram == expected.histogram).all()
    assert (counts.minimum == expected.minimum).all() and (counts.maximum == expected.maximum).all()


@pytest.mark.parametrize(("bytes_left", "blocks"), [(-1, 1), (0, 1), (4.1, 2), (7.9, 2), (8.1, 4), (10**6, 8)])
def test_without_a_size_the_passes_fit_half_the_free_memory(monkeypatch, bytes_left, blocks):
    """11 blocks are read in passes of a power of two; ``bytes_left`` in what a block takes."""
    block = BLOCK * 4 * (4 * WIDTH + 16 * 16)
    counts = LAYERS * WIDTH * (BINS * 4 + 6 * 8 + 2 * 4)
    free = int(counts + 4 * WIDTH * 16 + bytes_left * block)
    monkeypatch.setattr(collector, "_free_memory", lambda device: free)
    model = tiny(dtype=torch.float32)
    sizes = []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    assert collect(model, BLOCKS).tokens == BLOCKS.size
    assert sizes[0] == blocks and sum(sizes) == len(BLOCKS)


def test_free_memory_is_that_of_this_machine():
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < collector._free_memory(torch.device("cpu")) < machine


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_four_bit_models_are_counted(tmp_path, dtype):
    pytest.importorskip("bitsandbytes")
    from langneurons.models.loading import load_base

    tiny(dtype=torch.float32).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    model = load_base(tmp_path, quantization="nf4", dtype=dtype, device="cpu")
    assert type(model.model.layers[0].mlp.gate_proj).__name__ == "Linear4bit"
    seen = []
    handles = [
        layer.mlp.gate_proj.register_forward_hook(lambda _, args, z: seen.append(z.flatten(0, 1)))
        for layer in model.model.layers
    ]
    counts = collect(model, BLOCKS, batch_tokens=BLOCKS.size)
    for handle in handles:
        handle.remove()
    assert str(seen[0].dtype) == f"torch.{dtype}" and counts.dtype == dtype
    assert_same(counts, reference(torch.stack(seen, dim=1).float().numpy()))


def test_counts_move_to_the_host_before_an_int32_could_overflow():
    z = awkward(90, 4)
    counter = collector._Counter(1, 4, torch.device("cpu"), limit=40)
    most = 0
    for part in np.split(z, 9):
        counter.expect(10)
        counter.count(0, torch.tensor(part).view(1, 10, 4))
        most = max(most, int(counter.histogram.sum()) // 4)
    assert most == 40
    counts = counter.counts(90)
    assert (counts.histogram == reference(z).histogram).all() and counts.histogram.dtype == np.int32
    assert counter.moved.dtype == np.int64


def test_the_data_type_is_that_of_z():
    assert collect(tiny(dtype=torch.float32), BLOCKS, BLOCK).dtype == "float32"
    assert collect(tiny(), BLOCKS, BLOCK).dtype == "float32"  # float64 is rounded to what is counted
    with torch.device("meta"):
        assert count_nothing(tiny(), dtype="bfloat16").dtype == "bfloat16"
    with pytest.raises(RuntimeError, match=r"layer 0: z is torch\.float16; load the whole model in"):
        collect(tiny(dtype=torch.float16), BLOCKS, BLOCK)
    mixed = tiny(dtype=torch.float32)
    gate = mixed.model.layers[1].mlp.gate_proj
    gate.register_forward_hook(lambda module, args, output: output.bfloat16())
    with pytest.raises(RuntimeError, match=r"layer 1: z is torch\.bfloat16, in other layers torch\.float32"):
        collect(mixed, BLOCKS, BLOCK)


def test_tokens_that_a_layer_missed_are_an_error():
    counter = collector._Counter(2, 4, torch.device("cpu"))
    counter.count(0, torch.zeros(1, 5, 4))
    with pytest.raises(RuntimeError, match=r"layers \[1\] counted \[0\] tokens, 5 were read"):
        counter.counts(5)
    with pytest.raises(RuntimeError, match=r"layer 0: z has shape \(1, 5, 3\)"):
        counter.count(0, torch.zeros(1, 5, 3))
