"""Loading whole models only: every architecture in tiny random form, in every precision, and damaged."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from langneurons.demo.pretraining import train_tokenizer
from langneurons.models.architectures import ARCHITECTURES
from langneurons.models.loading import load_base
from langneurons.models.quantized import write_quantized

# Multiples of 64: 4-bit weights come in blocks of 64.
SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SPELLED = {"gpt_neox": "GPTNeoX", "gptj": "GPTJ", "opt": "OPT", "smollm3": "SmolLM3", "stablelm": "StableLm"}
MORE = {
    "bloom": {"n_layer": 2, "n_head": 2},
    "falcon": {"ffn_hidden_size": 128},
    "gptj": {"n_layer": 2, "n_head": 2, "rotary_dim": 16, "n_inner": 128},
    "mpt": {"d_model": 64, "n_layers": 2, "n_heads": 2, "max_seq_len": 64},
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
}
# Gemma 3 with its vision tower has text and vision configurations of its own; its language model is gemma3_text.
KINDS = [kind for kind in ARCHITECTURES if kind != "gemma3"]
PRECISIONS = [("none", "float32"), ("none", "bfloat16"), ("nf4", "bfloat16")]
IDS = torch.arange(3, 19)[None]


def class_of(kind: str, what: str):
    import transformers

    name = SPELLED.get(kind, kind.removesuffix("_text").title())
    return getattr(transformers, f"{name}{'Text' if what == 'Config' and kind.endswith('_text') else ''}{what}")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(["Anna lives in Paris. " * 9], 300, folder)
    return folder


@pytest.fixture(scope="module")
def snapshots(tokenizer, tmp_path_factory):
    """Architecture -> a snapshot, made once."""
    root, made = tmp_path_factory.mktemp("snapshots"), {}

    def snapshot(kind):
        if kind not in made:
            torch.manual_seed(0)
            sizes = SIZES | MORE.get(kind, {})
            if kind == "falcon":
                del sizes["head_dim"]  # computed there
            model = class_of(kind, "ForCausalLM")(class_of(kind, "Config")(**sizes))
            model.save_pretrained(str(root / kind))
            for file in tokenizer.iterdir():
                (root / kind / file.name).write_bytes(file.read_bytes())
            made[kind] = root / kind
        return made[kind]

    return snapshot


def damaged(snapshot, target, tensors=lambda weights: weights, **config):
    """A copy of a snapshot with other tensors, or other values in config.json."""
    target.mkdir()
    for file in snapshot.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    if config:
        changed = json.loads((target / "config.json").read_text()) | config
        (target / "config.json").write_text(json.dumps(changed))
    weights = tensors(load_file(snapshot / "model.safetensors"))
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, target / "model.safetensors")
    return target


def test_enough_architectures():
    assert len(KINDS) >= 12


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_in_every_precision_with_the_logits_of_the_original(snapshots, kind):
    snapshot = snapshots(kind)
    with torch.no_grad():
        expected = class_of(kind, "ForCausalLM").from_pretrained(snapshot, dtype="float32").eval()(IDS).logits
        scale = expected.std()
        for (quantization, dtype), far in zip(PRECISIONS, (1e-5, 0.3, 0.8), strict=True):
            model = load_base(snapshot, "causal", quantization, dtype)
            found = model(input_ids=IDS).logits.float()
            assert (found - expected).abs().mean() / scale < far, dtype
            if ARCHITECTURES[kind].classifier:
                classifier = load_base(snapshot, "classification", quantization, dtype)
                assert classifier.score.weight.shape == (3, 64)
            else:
                with pytest.raises(ValueError, match="transformers has no classification model of model_type"):
                    load_base(snapshot, "classification", quantization, dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_one_is_refused(snapshots, tmp_path, kind):
    snapshot = snapshots(kind)
    names = sorted(load_file(snapshot / "model.safetensors"))
    entry = ARCHITECTURES[kind]
    first, second = (n for n in names if f"{entry.gate}.weight" in n)
    task = "classification" if entry.classifier else "causal"
    cases = {
        "lacks 1 of": lambda w: {n: t for n, t in w.items() if n != second},
        "tensors that the model does not have": lambda w: w | {n.replace(".1.", ".2."): w[n] for n in w if ".1." in n},
        "of another shape": lambda w: w | {first: w[first][:-1]},
    }
    for number, (message, change) in enumerate(cases.items()):
        copy = damaged(snapshot, tmp_path / str(number), change)
        for each in ("causal", task):
            with pytest.raises(ValueError, match=message) as error:
                load_base(copy, each)
            assert "\n" not in str(error.value) and str(copy) in str(error.value)


@pytest.mark.parametrize("prefix", ["transformer.", "module.", "_orig_mod.", "base_model.model."])
@pytest.mark.parametrize("kind", ["llama", "bloom", "gpt_neox", "opt"])
def test_a_prefix_before_all_names_is_refused(snapshots, tmp_path, kind, prefix):
    copy = damaged(snapshots(kind), tmp_path / "copy", lambda w: {prefix + name: w[name] for name in w})
    if (kind, prefix) == ("bloom", "transformer."):  # its own prefix once more, which transformers takes off
        model, original = load_base(copy), load_base(snapshots(kind))
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), original.parameters(), strict=True))
        return
    for task in ("causal", "classification"):
        with pytest.raises(ValueError, match=f"begin with '{prefix}'.*stripped from the names"):
            load_base(copy, task)


DAMAGE = {
    "lacks 1 of the model's tensors .model.layers.1.mlp.gate_proj.weight is the first": lambda w: {
        n: t for n, t in w.items() if n != "model.layers.1.mlp.gate_proj.weight"
    },
    "lacks 9 of the model's tensors .model.layers.1.input_layernorm.weight is the first": lambda w: {
        n: t for n, t in w.items() if ".layers.1." not in n
    },
    "holds 9 tensors that the model does not have .model.layers.2.input_layernorm.weight is the first": lambda w: (
        w | {n.replace(".1.", ".2."): t for n, t in w.items() if ".1." in n}
    ),
    r"shape.*\[64, 64\].* \[128, 64\]": lambda w: w | {"model.layers.1.mlp.gate_proj.weight": torch.zeros(64, 64)},
    "has data type I8": lambda w: w | {"model.layers.1.mlp.up_proj.weight": torch.ones(128, 64, dtype=torch.int8)},
    "lm_head.weight": lambda w: {n: t for n, t in w.items() if n != "lm_head.weight"},
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damage_is_refused_in_every_precision_and_when_quantising(snapshots, tmp_path, message):
    copy = damaged(snapshots("llama"), tmp_path / "copy", DAMAGE[message])
    for precision in PRECISIONS:
        with pytest.raises(ValueError, match=message):
            load_base(copy, "causal", *precision)
        if "lm_head" in message:  # a classifier has no use for it
            load_base(copy, "classification", *precision)
        else:
            with pytest.raises(ValueError, match=message):
                load_base(copy, "classification", *precision)
    with pytest.raises(ValueError, match=message):
        write_quantized(copy, tmp_path / "quantized", "nf4", "float32")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_a_weight_that_is_not_finite_is_refused(snapshots, tmp_path, value, precision):
    def change(weights):
        weights["model.layers.1.mlp.down_proj.weight"][5, 7] = value
        return weights

    copy = damaged(snapshots("llama"), tmp_path / "copy", change)
    with pytest.raises(ValueError, match=r"model.layers.1.mlp.down_proj.weight holds .* not finite"):
        load_base(copy, "causal", *precision)


def test_what_transformers_leaves_out_is_allowed(snapshots, tmp_path):
    """Rotary frequencies of old snapshots, an output head tied to the embedding."""
    more = {"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(16)}
    load_base(damaged(snapshots("llama"), tmp_path / "old", lambda w: w | more))
    tied = damaged(
        snapshots("llama"),
        tmp_path / "tied",
        lambda w: {n: t for n, t in w.items() if n != "lm_head.weight"},
        tie_word_embeddings=True,
    )
    model = load_base(tied)
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


def test_a_damaged_quantised_snapshot_is_refused(snapshots, tmp_path):
    write_quantized(snapshots("llama"), tmp_path / "quantized", "nf4", "float32")
    name = "model.layers.1.mlp.gate_proj.weight"
    for number, lost in enumerate((name, f"{name}.absmax", f"{name}.quant_state.bitsandbytes__nf4")):
        copy = damaged(
            tmp_path / "quantized", tmp_path / str(number), lambda w, lost=lost: {n: w[n] for n in w if n != lost}
        )
        (copy / "langneurons.json").unlink()  # as one that is not the workflow's own
        with pytest.raises(ValueError, match="model.layers.1.mlp.gate_proj.weight"):
            load_base(copy, "causal", "nf4", "float32")


QUANTIZED = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
DOUBLE = {"bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        (
            QUANTIZED | DOUBLE,
            ("none", "float32"),
            "nf4, bfloat16, not none, float32; write quantization: nf4 and dtype",
        ),
        (QUANTIZED | DOUBLE, ("nf4", "float32"), "nf4, bfloat16, not nf4, float32; write quantization: nf4 and dtype"),
        (QUANTIZED, ("nf4", "bfloat16"), "not as nf4 with double quantisation.; use the unquantised model"),
        ({"quant_method": "gptq", "bits": 4}, ("nf4", "bfloat16"), "by gptq.*use the unquantised model"),
        ({"quant_method": "fp8"}, ("none", "bfloat16"), "by fp8.*use the unquantised model"),
    ],
)
def test_a_snapshot_quantised_in_another_way_is_refused(snapshots, tmp_path, found, wanted, message):
    copy = damaged(snapshots("llama"), tmp_path / "copy", quantization_config=found)
    with pytest.raises(ValueError, match=message):
        load_base(copy, "causal", *wanted)


def test_a_snapshot_quantised_as_configured_is_loaded_as_it_is(snapshots, tmp_path):
    write_quantized(snapshots("llama"), tmp_path / "quantized", "nf4", "float32")
    made = load_base(tmp_path / "quantized", "causal", "nf4", "float32")
    (tmp_path / "quantized" / "langneurons.json").unlink()  # as published by somebody else
    with pytest.raises(ValueError, match="already quantised as nf4, float32, not none, bfloat16"):
        load_base(tmp_path / "quantized", "causal", "none", "bfloat16")
    model = load_base(tmp_path / "quantized", "causal", "nf4", "float32")
    with torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, made(input_ids=IDS).logits)
    write_quantized(tmp_path / "quantized", tmp_path / "again", "nf4", "float32")
    again = load_base(tmp_path / "again", "causal", "nf4", "float32")
    with torch.no_grad():
        assert torch.equal(again(input_ids=IDS).logits, made(input_ids=IDS).logits)


@pytest.mark.parametrize("kind", ["mixtral", "somebodys_model"])
def test_an_unknown_architecture_is_refused_without_a_question(snapshots, tmp_path, kind, monkeypatch):
    code = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    copy = damaged(snapshots("llama"), tmp_path / "copy", model_type=kind, auto_map=code, num_local_experts=8)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asks whether to run the snapshot's code"))
    with pytest.raises(ValueError, match=f"model_type '{kind}' is") as error:
        load_base(copy)
    assert "\n" not in str(error.value)
