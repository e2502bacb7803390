"""LoRA on attention: the modules of every architecture, and fine-tuning where they have other names than Llama's."""

import numpy as np
import pytest
import torch
from test_neurons import FAMILIES, IDS, LAYERS, build

from langneurons.finetuning.adapters import load_adapter, save_adapter
from langneurons.finetuning.masked_lora import add_lora
from langneurons.models.architectures import ARCHITECTURES
from langneurons.models.attention import attention_modules, attention_targets

# By each __init__ in transformers: the attention module of a layer, and all of its linear modules.
SEPARATE = ("self_attn", {"q_proj", "k_proj", "v_proj", "o_proj"})
ATTENTION = {
    "phi3": ("self_attn", {"qkv_proj", "o_proj"}),
    "bloom": ("self_attention", {"query_key_value", "dense"}),
    "falcon": ("self_attention", {"query_key_value", "dense"}),
    "gpt_neox": ("attention", {"query_key_value", "dense"}),
    "gptj": ("attn", {"q_proj", "k_proj", "v_proj", "out_proj"}),
    "mpt": ("attn", {"Wqkv", "out_proj"}),
    "opt": ("self_attn", {"q_proj", "k_proj", "v_proj", "out_proj"}),
    "phi": ("self_attn", {"q_proj", "k_proj", "v_proj", "dense"}),
}


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_the_modules_are_all_linear_ones_of_each_layers_attention(kind):
    model, (where, targets) = build(kind), ATTENTION.get(kind, SEPARATE)
    expected = {f"{FAMILIES[kind].layers}.{index}.{where}.{target}" for index in range(LAYERS) for target in targets}
    linear = {
        f"{FAMILIES[kind].layers}.{index}.{where}.{name}"
        for index, layer in enumerate(model.get_submodule(FAMILIES[kind].layers))
        for name, module in layer.get_submodule(where).named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert set(attention_modules(model)) == expected == linear
    assert set(attention_targets(model)) == targets


@pytest.mark.parametrize("kind", ["phi3", "gpt_neox", "bloom", "opt", "falcon", "phi", "gptj", "mpt", "gemma3"])
def test_a_step_of_fine_tuning_and_its_adapter(kind, tmp_path):
    model = add_lora(build(kind), 2, 4, task_type="CAUSAL_LM")
    where, targets = ATTENTION.get(kind, SEPARATE)
    adapted = {
        name.split(".lora_A")[0].removeprefix("base_model.model.")
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    layers = FAMILIES[kind].layers
    assert adapted == {f"{layers}.{i}.{where}.{target}" for i in range(LAYERS) for target in targets}
    trained = [p for p in model.parameters() if p.requires_grad]
    assert len(trained) == 2 * len(adapted)
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    losses = []
    for _ in range(2):
        loss = model(input_ids=IDS, labels=IDS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    save_adapter(model, tmp_path / "adapter", {"base_model": "tiny"})
    again = load_adapter(build(kind), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=IDS).logits, model.eval()(input_ids=IDS).logits)


def test_targets_of_the_configuration():
    model = add_lora(build("llama"), 2, 4, ["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = {name.split(".")[-4] for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted == {"q_proj", "v_proj"}
    with pytest.raises(
        ValueError, match="'llama' has no linear module 'query_key_value'; write some of q_proj, k_proj"
    ):
        add_lora(build("llama"), 2, 4, ["query_key_value"])
    with pytest.raises(ValueError, match="no linear module 'gate_proj'"):  # the neurons', not attention's
        add_lora(build("llama"), 2, 4, ["gate_proj"])


def test_columns_of_the_down_projection_train_where_it_has_another_name():
    model = add_lora(build("bloom"), 2, 4, rows={1: np.array([3, 9])}, task_type="CAUSAL_LM", targets=["down_proj"])
    masked = [name for name, _ in model.named_parameters() if "dense_4h_to_h" in name and "lora_A" in name]
    assert len(masked) == 1 and ".h.1." in masked[0]
    assert not any("dense_h_to_4h" in name and "lora" in name for name, _ in model.named_parameters())
