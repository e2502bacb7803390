"""The table of architectures: where the neurons of each are, by ``config.model_type``.

Nothing is guessed from module names: several architectures have a ``gate_proj`` and another forward (gemma3n, llama4,
bitnet, falcon_h1), and some mixtures of experts have a dense layer that a name would find alone. To add an entry, read
the MLP's forward in transformers: it must be one of

- gated, ``down(act(gate(x)) * up(x))``;
- fused, the same with gate and up as the first and the second half of one module's output;
- ungated, ``down(act(gate(x)))``, where ``gate`` names the up projection,

with ``act`` a module of its own in every layer, as in every entry here: recorders and interventions hook gate and act.
Then add the family to ``FAMILIES`` in tests/unit/test_neurons.py, which checks all of it against the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

PLACE = "ARCHITECTURES in src/langneurons/models/architectures.py"

# Keys of a configuration that give a number of experts: for the message that refuses such a model.
EXPERT_KEYS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True)
class Architecture:
    """Names of one architecture. Dots separate attributes of attributes.

    ``layers``: of the decoder, ``base_model``. ``mlp``: of a layer; empty where the layer itself holds the modules.
    ``gate``, ``act``, ``up``, ``down``: of the MLP; ``up`` is None without a gate, and ``gate`` again where both are
    halves of its output. ``width``: the configuration's key of d_ff; where it is None, or its value is, d_ff is 4 times
    ``hidden_size``. ``activation``: the configuration's key of the activation's name; ``fixed_activation`` is that name
    where the code leaves no choice. ``text_config``: the configuration's key of the language model's own configuration,
    where that is one part of the model. ``classifier``: whether transformers has a classification model of it.
    ``base``: the first part of the decoder's tensor names.
    ``attention``: of a layer; ``attention_targets``: its linear modules, which LoRA adapts.
    """

    layers: str = "layers"
    mlp: str = "mlp"
    gate: str = "gate_proj"
    act: str = "act_fn"
    up: str | None = "up_proj"
    down: str = "down_proj"
    width: str | None = "intermediate_size"
    activation: str = "hidden_act"
    fixed_activation: str | None = None
    text_config: str | None = None
    base: str = "model"
    classifier: bool = True
    attention: str = "self_attn"
    attention_targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")

    @property
    def structure(self) -> str:
        """``"gated"``, ``"fused"`` or ``"ungated"``, as at the top of this module."""
        if self.up is None:
            return "ungated"
        return "fused" if self.up == self.gate else "gated"


_GATED = Architecture()
_FUSED = Architecture(gate="gate_up_proj", act="activation_fn", up="gate_up_proj")
_ONE = ("query_key_value", "dense")
_OUT = ("q_proj", "k_proj", "v_proj", "out_proj")

ARCHITECTURES: dict[str, Architecture] = {
    # Gated.
    "llama": _GATED,
    "mistral": _GATED,
    "qwen2": _GATED,
    "qwen3": _GATED,
    "gemma": _GATED,
    "gemma2": Architecture(activation="hidden_activation"),
    "gemma3_text": Architecture(activation="hidden_activation"),
    # Gemma 3 with its vision tower: the neurons are those of the language model.
    "gemma3": Architecture(layers="language_model.layers", activation="hidden_activation", text_config="text_config"),
    "cohere": Architecture(classifier=False),
    "cohere2": Architecture(classifier=False),
    "exaone4": _GATED,
    "granite": Architecture(classifier=False),
    "helium": _GATED,
    "olmo": _GATED,
    "olmo2": _GATED,
    "olmo3": _GATED,
    "smollm3": _GATED,
    "stablelm": _GATED,
    # Gate and up in one matrix, the gate first.
    "phi3": replace(_FUSED, attention_targets=("qkv_proj", "o_proj")),
    "glm": _FUSED,
    "glm4": _FUSED,
    # Without a gate.
    "bloom": Architecture(
        base="transformer",
        layers="h",
        gate="dense_h_to_4h",
        act="gelu_impl",
        up=None,
        down="dense_4h_to_h",
        width=None,
        fixed_activation="gelu_new",  # BloomGelu is its tanh approximation
        attention="self_attention",
        attention_targets=_ONE,
    ),
    "falcon": Architecture(
        base="transformer",
        layers="h",
        gate="dense_h_to_4h",
        act="act",
        up=None,
        down="dense_4h_to_h",
        width="ffn_hidden_size",
        activation="activation",
        attention="self_attention",
        attention_targets=_ONE,
    ),
    "gpt_neox": Architecture(
        base="gpt_neox",
        gate="dense_h_to_4h",
        act="act",
        up=None,
        down="dense_4h_to_h",
        attention="attention",
        attention_targets=_ONE,
    ),
    "gptj": Architecture(
        base="transformer",
        layers="h",
        gate="fc_in",
        act="act",
        up=None,
        down="fc_out",
        width="n_inner",
        activation="activation_function",
        attention="attn",
        attention_targets=_OUT,
    ),
    "mpt": Architecture(
        base="transformer",
        layers="blocks",
        mlp="ffn",
        gate="up_proj",
        act="act",
        up=None,
        width=None,  # its forward ignores config.expansion_ratio
        fixed_activation="gelu",
        attention="attn",
        attention_targets=("Wqkv", "out_proj"),
    ),
    "nemotron": Architecture(gate="up_proj", up=None),
    "opt": Architecture(
        layers="decoder.layers",
        mlp="",  # the modules are the layer's own, and see [tokens, d_ff], not [blocks, tokens, d_ff]
        gate="fc1",
        act="activation_fn",
        up=None,
        down="fc2",
        width="ffn_dim",
        activation="activation_function",
        attention_targets=_OUT,
    ),
    "phi": Architecture(
        gate="fc1",
        act="activation_fn",
        up=None,
        down="fc2",
        attention_targets=("q_proj", "k_proj", "v_proj", "dense"),
    ),
}
