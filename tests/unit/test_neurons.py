"""Finding the feed-forward modules: what they compute must be what the model computes.

``FAMILIES`` says anew, from each forward in transformers, how z and the MLP's output follow from the weights; the
statistics and the interventions are verified against that.
"""

import copy
import functools
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch.nn import functional

from langneurons.activations.collector import collect
from langneurons.finetuning.masked_lora import add_lora
from langneurons.interventions.hook import intervene
from langneurons.models.architectures import ARCHITECTURES
from langneurons.models.neurons import find_neurons

LAYERS, WIDTH = 3, 48
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ACTIVATIONS = {
    "silu": lambda z: z / (1 + torch.exp(-z)),
    "gelu": functional.gelu,
    "gelu_new": lambda z: 0.5 * z * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (z + 0.044715 * z**3))),
    "relu": lambda z: z.clamp(min=0),
    "relu2": lambda z: z.clamp(min=0) ** 2,
}
ACTIVATIONS["gelu_pytorch_tanh"] = ACTIVATIONS["gelu_new"]


@dataclass(frozen=True)
class Family:
    """A tiny model, and the names of the weights from which z, a and the MLP's output are computed here."""

    classes: str  # of transformers: {}Config, {}ForCausalLM
    sizes: dict = field(default_factory=dict)
    layers: str = "model.layers"
    mlp: str = "mlp"
    gate: str = "gate_proj"  # z = W x + b, W the first `width` rows
    up: str | None = "up_proj"
    down: str = "down_proj"
    width: int = WIDTH
    activation: str = "silu"
    head: str = "ForCausalLM"

    def mlps(self, model):
        return [layer.get_submodule(self.mlp) for layer in model.get_submodule(self.layers)]

    def z(self, mlp, x):
        gate = getattr(mlp, self.gate)
        return functional.linear(x, gate.weight[: self.width], None if gate.bias is None else gate.bias[: self.width])

    def out(self, mlp, x):
        """The MLP's output, and what enters its down projection."""
        a = ACTIVATIONS[self.activation](self.z(mlp, x))
        if self.up == self.gate:
            a = a * functional.linear(x, getattr(mlp, self.up).weight[self.width :])
        elif self.up:
            a = a * functional.linear(x, getattr(mlp, self.up).weight, getattr(mlp, self.up).bias)
        down = getattr(mlp, self.down)
        return functional.linear(a, down.weight, down.bias), a


Fused = functools.partial(Family, gate="gate_up_proj", up="gate_up_proj")
Dense4h = functools.partial(Family, gate="dense_h_to_4h", up=None, down="dense_4h_to_h", activation="gelu")
Gemma = functools.partial(Family, activation="gelu_pytorch_tanh")
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
FAMILIES = {
    "llama": Family("Llama"),
    "mistral": Family("Mistral"),
    "qwen2": Family("Qwen2"),
    "qwen3": Family("Qwen3", {"head_dim": 8}),
    "gemma": Gemma("Gemma", {"head_dim": 8}),
    "gemma2": Gemma("Gemma2", {"head_dim": 8}),
    "gemma3_text": Gemma("Gemma3Text", {"head_dim": 8}),
    "gemma3": Gemma(
        "Gemma3",
        {"text_config": {**SIZES, "head_dim": 8}, "vision_config": VISION, "mm_tokens_per_image": 4},
        layers="model.language_model.layers",
        head="ForConditionalGeneration",
    ),
    "cohere": Family("Cohere"),
    "cohere2": Family("Cohere2"),
    "exaone4": Family("Exaone4"),
    "granite": Family("Granite", {"mlp_bias": True}),
    "helium": Family("Helium", {"head_dim": 8}),
    "olmo": Family("Olmo"),
    "olmo2": Family("Olmo2"),
    "olmo3": Family("Olmo3"),
    "smollm3": Family("SmolLM3"),
    "stablelm": Family("StableLm"),
    "phi3": Fused("Phi3"),
    "glm": Fused("Glm", {"head_dim": 8}),
    "glm4": Fused("Glm4", {"head_dim": 8}),
    "bloom": Dense4h("Bloom", {"n_layer": LAYERS, "n_head": 4}, "transformer.h", width=128, activation="gelu_new"),
    "falcon": Dense4h("Falcon", {"ffn_hidden_size": WIDTH, "bias": True}, "transformer.h"),
    "gpt_neox": Dense4h("GPTNeoX", layers="gpt_neox.layers"),
    "gptj": Family(
        "GPTJ",
        {"rotary_dim": 4, "n_inner": WIDTH},
        "transformer.h",
        gate="fc_in",
        up=None,
        down="fc_out",
        activation="gelu_new",
    ),
    "mpt": Family(
        "Mpt",
        {"d_model": 32, "n_layers": LAYERS, "n_heads": 4, "max_seq_len": 64},
        "transformer.blocks",
        "ffn",
        gate="up_proj",
        up=None,
        width=128,
        activation="gelu",
    ),
    "nemotron": Family("Nemotron", {"mlp_bias": True}, gate="up_proj", up=None, activation="relu2"),
    "opt": Family(
        "OPT",
        {"ffn_dim": WIDTH, "word_embed_proj_dim": 32},
        "model.decoder.layers",
        "",
        gate="fc1",
        up=None,
        down="fc2",
        activation="relu",
    ),
    "phi": Family("Phi", gate="fc1", up=None, down="fc2", activation="gelu_new"),
}
BLOCKS = np.random.default_rng(0).integers(3, 64, (6, 8), dtype=np.int32)
IDS = torch.from_numpy(BLOCKS.astype(np.int64))


def build(kind, name=None, **changes):
    """The family's tiny model, float32, with weights and biases large enough to matter."""
    import transformers

    family = FAMILIES[kind]
    config = getattr(transformers, f"{family.classes}Config")
    sizes = family.sizes if "text_config" in family.sizes else SIZES | family.sizes
    torch.manual_seed(0)
    classes = family.classes.removesuffix("Text") if not name else ""
    model = getattr(transformers, name or f"{classes}{family.head}")(config(**(sizes | changes))).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim > 1 or key.endswith("bias"):
                parameter.normal_(0, 0.2)
    return model


def with_lora(model):
    """A PEFT adapter on gate_proj with B not zero, so that it changes the outputs."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["gate_proj"]))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    return adapted.eval()


def record(modules, run):
    """Inputs and outputs of modules during run(), copied: some models go on in place."""
    seen = {}
    handles = [
        module.register_forward_hook(
            lambda _, args, output, key=key: seen.__setitem__(key, (args[0].clone(), output.clone()))
        )
        for key, module in modules.items()
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return seen


def entering(family, model):
    """What enters every layer's MLP while the model reads the blocks."""
    modules = {i: getattr(mlp, family.gate) for i, mlp in enumerate(family.mlps(model))}
    seen = record(modules, lambda: model(input_ids=IDS))
    return [seen[i][0] for i in range(LAYERS)]


def test_every_entry_of_the_table_is_tested():
    assert set(FAMILIES) == set(ARCHITECTURES)
    assert len(FAMILIES) >= 15


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_sites_are_those_of_the_formula(kind):
    family, model = FAMILIES[kind], build(kind)
    assert model.config.model_type == kind
    sites = find_neurons(model)
    assert (len(sites.layers), sites.neurons_per_layer) == (LAYERS, family.width)
    assert sites.activation == family.activation
    assert sites.structure == ("ungated" if not family.up else "fused" if family.up == family.gate else "gated")
    modules, calls = {}, []
    for layer, mlp in zip(sites.layers, family.mlps(model), strict=True):
        assert layer.mlp is mlp
        modules |= {(name, layer.index): getattr(layer, name) for name in ("gate", "act", "down")}
        assert layer.up is (getattr(mlp, family.up) if family.up else None)
    handles = [m.register_forward_hook(lambda *_, key=key: calls.append(key)) for key, m in modules.items()]
    seen = record(modules, lambda: model(input_ids=IDS))
    for handle in handles:
        handle.remove()
    assert calls == [(name, i) for i in range(LAYERS) for name in ("gate", "act", "down")]  # each once, in order
    for layer, mlp in zip(sites.layers, family.mlps(model), strict=True):
        x, output = seen["gate", layer.index]
        with torch.no_grad():
            z, (out, a) = family.z(mlp, x), family.out(mlp, x)
        close = functools.partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
        close(output[..., layer.gate_columns], z)
        close(seen["act", layer.index][1], ACTIVATIONS[family.activation](z))
        close(seen["down", layer.index][0], a)
        close(seen["down", layer.index][1], out)


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_statistics_equal_those_by_hand_from_the_weights(kind):
    family, model = FAMILIES[kind], build(kind)
    inputs = entering(family, model)
    with torch.no_grad():
        z = [family.z(mlp, x).reshape(-1, family.width) for mlp, x in zip(family.mlps(model), inputs, strict=True)]
    z = torch.stack(z, dim=1).double().numpy()  # [tokens, L, D]
    counts = collect(model, BLOCKS, 4 * BLOCKS.shape[1], (10.0, 50.0), reference_tokens=2 * BLOCKS.shape[1])
    assert counts.tokens == BLOCKS.size == len(z)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    assert z.std() > 0.05
    close(counts.total / counts.tokens, z.mean(axis=0))
    close(counts.square / counts.tokens, (z**2).mean(axis=0))
    close(counts.minimum, z.min(axis=0))
    close(counts.maximum, z.max(axis=0))
    unsure = (abs(z) < 1e-4).sum(axis=0)  # rounding may move these across zero
    assert (abs(counts.positive - (z > 0).sum(axis=0)) <= unsure).all()
    batches = z.reshape(3, -1, LAYERS, family.width)
    close(counts.sums, np.percentile(batches, (10.0, 50.0), axis=1).sum(axis=1))


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_interventions_equal_edited_weights(kind):
    """z_j = c at every token is row j of the weights at 0 and its bias at c; a_j = act(c) is the same model."""
    family, model = FAMILIES[kind], build(kind)
    neurons = {0: np.array([3, 40]), 2: np.array([family.width - 1, 0, 7])}
    values = {0: torch.tensor([1.5, -0.25]), 2: torch.tensor([0.0, 2.0, 3.0])}
    edited = copy.deepcopy(model)
    for layer, mlp in enumerate(family.mlps(edited)):
        gate = getattr(mlp, family.gate)
        bias = torch.zeros(len(gate.weight)) if gate.bias is None else gate.bias.detach().clone()
        for neuron, value in zip(neurons.get(layer, ()), values.get(layer, ()), strict=True):
            gate.weight.data[neuron], bias[neuron] = 0, value
        gate.bias = torch.nn.Parameter(bias)
    at = {"gate": values, "act": {layer: ACTIVATIONS[family.activation](z) for layer, z in values.items()}}
    with torch.no_grad():
        expected, plain = edited(input_ids=IDS).logits, model(input_ids=IDS).logits
        scale = plain.std()
        assert (expected - plain).abs().max() > 0.01 * scale
        before = hooks(model)
        for site in ("gate", "act"):
            constants = {layer: each.numpy() for layer, each in at[site].items()}
            with intervene(model, neurons, constants, site) as seen:
                found = model(input_ids=IDS).logits
                assert hooks(model) == before + 2  # one per layer
            torch.testing.assert_close(found / scale, expected / scale, rtol=1e-4, atol=1e-4)
            assert seen.calls == {0: 1, 2: 1}
    assert hooks(model) == before


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_gradients_of_a_fused_gate_equal_those_of_edited_weights():
    model, neurons, values = build("phi3"), {1: np.array([5, 47])}, {1: np.array([0.5, -1.0])}
    edited = copy.deepcopy(model)
    gate = edited.model.layers[1].mlp.gate_up_proj
    bias = torch.zeros(2 * WIDTH)
    bias[[5, 47]] = torch.tensor([0.5, -1.0])
    gate.weight.data[[5, 47]], gate.bias = 0, torch.nn.Parameter(bias)
    edited(input_ids=IDS).logits.square().mean().backward()
    with intervene(model, neurons, values, "gate"):
        model(input_ids=IDS).logits.square().mean().backward()
    found, expected = model.model.layers[1].mlp.gate_up_proj.weight.grad, gate.weight.grad.clone()
    expected[[5, 47]] = 0  # the edited model's own rows have one; an overwritten neuron has none
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert found[[5 + WIDTH, 47 + WIDTH]].abs().min(dim=1).values.max() > 0


def test_generation_reaches_the_neurons_of_a_layer_without_an_mlp():
    """opt flattens batch and tokens; a cache feeds one token at a time."""
    model = build("opt")
    with torch.no_grad(), intervene(model, {1: np.array([4])}, {1: np.array([2.0])}) as seen:
        generated = model.generate(IDS[:2], max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert generated.shape == (2, 12) and seen.calls == {1: 4}


def test_layers_come_in_the_models_order():
    model = build("llama")
    assert [layer.mlp for layer in find_neurons(model).layers] == [layer.mlp for layer in model.model.layers]


def test_through_peft_gate_is_the_adapted_output():
    plain = build("llama")
    weights = [layer.gate.weight.detach().clone() for layer in find_neurons(plain).layers]
    model = with_lora(plain)
    sites = find_neurons(model)
    assert len(sites.layers) == 3
    for weight, layer in zip(weights, sites.layers, strict=True):
        seen = record({"gate": layer.gate}, lambda: model(input_ids=torch.arange(10)[None]))
        x, z = seen["gate"]
        down, up = layer.gate.lora_A["default"].weight, layer.gate.lora_B["default"].weight
        scaling = layer.gate.scaling["default"]
        torch.testing.assert_close(z, x @ (weight + scaling * up @ down).T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["phi3", "bloom"])
def test_through_peft_where_the_gate_is_not_alone(kind):
    from peft import LoraConfig, get_peft_model

    family, model = FAMILIES[kind], build(kind)
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=[family.gate], init_lora_weights=False)).eval()
    counts = collect(adapted, BLOCKS, BLOCKS.size)
    neurons, values = {1: np.array([2, 9])}, {1: np.array([0.5, 1.0])}
    logits = []
    for each in (adapted, adapted.merge_and_unload()):
        with torch.no_grad(), intervene(each, neurons, values, "gate"):
            logits.append(each(input_ids=IDS).logits)
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-3, atol=1e-3)
    merged = collect(model, BLOCKS, BLOCKS.size)
    np.testing.assert_allclose(counts.total, merged.total, rtol=1e-3, atol=1e-2)
    assert abs(counts.total - collect(build(kind), BLOCKS, BLOCKS.size).total).max() > 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("llama", "LlamaModel"),
        ("llama", "LlamaForSequenceClassification"),
        ("gemma3", "Gemma3ForSequenceClassification"),
        ("gemma3_text", "Gemma3TextForSequenceClassification"),
        ("gemma3_text", "Gemma3TextModel"),
        ("opt", "OPTForSequenceClassification"),
        ("opt", "OPTModel"),
        ("bloom", "BloomForSequenceClassification"),
        ("mpt", "MptModel"),
    ],
)
def test_other_heads(kind, name):
    model = build(kind, name)
    assert type(model).__name__ == name
    counts = collect(model, BLOCKS, BLOCKS.size)
    assert (counts.histogram.shape[:2], counts.tokens) == ((LAYERS, FAMILIES[kind].width), BLOCKS.size)


def test_a_vision_towers_modules_are_no_neurons():
    model = build("gemma3")
    tower = {id(module) for module in model.model.vision_tower.modules()}
    assert tower and not tower & {id(module) for layer in find_neurons(model).layers for module in layer.mlp.modules()}


def test_a_width_that_the_configuration_leaves_open_is_four_times_the_hidden_size():
    assert find_neurons(build("gptj", n_inner=None)).neurons_per_layer == 128
    assert find_neurons(build("falcon", ffn_hidden_size=None)).neurons_per_layer == 128


def test_any_depth_of_wrappers():
    wrapped = torch.nn.Sequential(torch.nn.Sequential(with_lora(build("mistral"))))
    assert find_neurons(wrapped).layers[2].index == 2


EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}


@pytest.mark.parametrize(
    ("kind", "classes", "key"),
    [
        ("mixtral", "Mixtral", "num_local_experts"),
        ("olmoe", "Olmoe", "num_experts"),
        ("qwen2_moe", "Qwen2Moe", "num_experts"),
    ],
)
def test_a_mixture_of_experts_is_refused(kind, classes, key):
    import transformers

    config = getattr(transformers, f"{classes}Config")(**SIZES, **EXPERTS, **{key: 4})
    model = getattr(transformers, f"{classes}ForCausalLM")(config)
    with pytest.raises(ValueError) as error:
        find_neurons(model)
    message = str(error.value)
    assert f"model_type '{kind}' ({classes}ForCausalLM) is a mixture of experts ({key} = 4)" in message
    assert "mlp.experts" in message and "use a dense model" in message
    assert "ARCHITECTURES in src/langneurons/models/architectures.py" in message
    with pytest.raises(ValueError, match="mixture of experts"):
        collect(model.eval(), BLOCKS, 8)


def test_unknown_architecture_says_what_was_found_and_where_to_add_it():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4, n_positions=64))
    expected = (
        "'gpt2'.*mlp.c_fc.*Known: bloom.*add an entry to ARCHITECTURES in src/langneurons/models/architectures.py"
    )
    with pytest.raises(ValueError, match=expected):
        find_neurons(model)


def test_an_unknown_model_type_is_refused_though_its_modules_have_known_names():
    model = build("llama")
    model.config.model_type = "llama-of-the-future"
    with pytest.raises(ValueError, match=r"'llama-of-the-future'.*not a known architecture.*mlp.gate_proj"):
        find_neurons(model)


def test_no_transformers_model():
    with pytest.raises(ValueError, match="Linear holds no transformers model"):
        find_neurons(torch.nn.Linear(2, 2))


def test_missing_module_and_wrong_width_are_named():
    model = build("llama")
    model.config.intermediate_size = 47
    with pytest.raises(ValueError, match=r"48 outputs, config.intermediate_size says 47; "):
        find_neurons(model)
    model = build("phi3")
    model.config.intermediate_size = 47
    with pytest.raises(ValueError, match=r"96 outputs, config.intermediate_size says 47, so gate and up have 94"):
        find_neurons(model)
    model = build("bloom")
    model.config.hidden_size = 31
    with pytest.raises(ValueError, match=r"128 outputs, config.hidden_size says 4 x 31"):
        find_neurons(model)
    model = build("llama")
    del model.model.layers[1].mlp.act_fn
    with pytest.raises(ValueError, match=r"layer 1's mlp .* has no act_fn, only gate_proj.*architectures\.py"):
        find_neurons(model)
    model = build("opt")
    del model.model.decoder.layers[2].fc1
    with pytest.raises(ValueError, match=r"layer 2 \(OPTDecoderLayer\) has no fc1, only self_attn"):
        find_neurons(model)


def test_shared_activation_module_is_refused():
    model = build("llama")
    model.model.layers[2].mlp.act_fn = model.model.layers[0].mlp.act_fn
    with pytest.raises(ValueError, match="share one activation module"):
        find_neurons(model)


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("glm", ("q_proj", "k_proj", "v_proj", "o_proj"), r"layers are fused \(GlmMLP\)"),
        ("phi3", ("qkv_proj", "o_proj"), r"layers are fused \(Phi3MLP\)"),
        ("gpt_neox", ("query_key_value",), r"layers are ungated \(GPTNeoXMLP\)"),
        ("phi3", ("q_proj", "k_proj", "v_proj", "o_proj"), "no linear module .q_proj.; write some of o_proj, qkv_proj"),
    ],
)
def test_masked_lora_needs_a_gate_of_its_own(kind, targets, message):
    with pytest.raises(ValueError, match=message):
        add_lora(build(kind), 2, 4, targets, rows={0: np.array([1])}, task_type="CAUSAL_LM")
