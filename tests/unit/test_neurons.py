"""Finding the feed-forward modules: what they compute must be what the model computes."""

import pytest
import torch
from torch.nn import functional

from langneurons.models.neurons import find_neurons

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
CLASSES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM"),
    "mistral": ("MistralConfig", "MistralForCausalLM"),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM"),
}


def build(kind, name=None):
    import transformers

    config, model = CLASSES[kind]
    torch.manual_seed(0)
    return getattr(transformers, name or model)(getattr(transformers, config)(**SIZES)).eval()


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
    """Inputs and outputs of modules during run()."""
    seen = {}
    handles = [
        module.register_forward_hook(lambda _, args, output, key=key: seen.__setitem__(key, (args[0], output)))
        for key, module in modules.items()
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("kind", list(CLASSES))
def test_sites_are_those_of_the_formula(kind):
    model = build(kind)
    sites = find_neurons(model)
    assert (len(sites.layers), sites.neurons_per_layer, sites.activation) == (3, 48, "silu")
    for layer in sites.layers:
        seen = record(
            {"gate": layer.gate, "act": layer.act, "up": layer.up, "down": layer.down, "mlp": layer.mlp},
            lambda: model(torch.arange(10)[None]),
        )
        x, out = seen["mlp"]
        z = x @ layer.gate.weight.T
        torch.testing.assert_close(seen["gate"][1], z)
        torch.testing.assert_close(seen["act"][1], z / (1 + torch.exp(-z)))
        torch.testing.assert_close(seen["down"][0], functional.silu(z) * (x @ layer.up.weight.T))
        torch.testing.assert_close(out, seen["down"][1])


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


@pytest.mark.parametrize("name", ["LlamaModel", "LlamaForSequenceClassification"])
def test_other_heads(name):
    assert len(find_neurons(build("llama", name)).layers) == 3


def test_any_depth_of_wrappers():
    wrapped = torch.nn.Sequential(torch.nn.Sequential(with_lora(build("mistral"))))
    assert find_neurons(wrapped).layers[2].index == 2


def test_unknown_architecture_says_what_was_found_and_where_to_add_it():
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4)
    )
    with pytest.raises(ValueError, match="gpt_neox.*dense_h_to_4h.*ARCHITECTURES in src/langneurons/models/neurons.py"):
        find_neurons(model)


def test_no_transformers_model():
    with pytest.raises(ValueError, match="Linear holds no transformers model"):
        find_neurons(torch.nn.Linear(2, 2))


def test_missing_module_and_wrong_width_are_named():
    model = build("llama")
    model.config.intermediate_size = 47
    with pytest.raises(ValueError, match="48 outputs, config.intermediate_size says 47"):
        find_neurons(model)
    model = build("llama")
    del model.model.layers[1].mlp.act_fn
    with pytest.raises(ValueError, match="layer 1's mlp .* has no act_fn, only gate_proj"):
        find_neurons(model)


def test_shared_activation_module_is_refused():
    model = build("llama")
    model.model.layers[2].mlp.act_fn = model.model.layers[0].mlp.act_fn
    with pytest.raises(ValueError, match="share one activation module"):
        find_neurons(model)
