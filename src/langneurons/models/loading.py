"""Loading a snapshot: base model, tokenizer, 4-bit weights, offline."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langneurons.artifacts.directories import file_digest, is_sealed, open_directory, seal_directory
from langneurons.models.checks import architecture_of, check_classifier, check_precision, check_snapshot
from langneurons.models.headers import read_json, read_tensors
from langneurons.models.strict import check_dtypes, check_weights, check_whole
from langneurons.models.tokenization import read_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

KIND = "snapshot"  # of a sealed directory
_OFFLINE = {"local_files_only": True, "trust_remote_code": False}
# What the tokenizer is made from; the last is absent in most snapshots.
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def seal_snapshot(path: str | os.PathLike, facts: Mapping[str, Any] | None = None) -> None:
    """Seal a directory that holds a whole snapshot: from then on, loading it verifies the checksum of every file."""
    seal_directory(path, KIND, facts or {})


def open_snapshot(path: str | os.PathLike, model_key: str, names: Collection[str] | None = None) -> None:
    """Verify a snapshot that the workflow itself has written, and that it is the one of the model ``model_key``.

    A job calls it before it loads: a person's own directory may have no seal, one of the workflow's must. With
    ``names`` (as ``TOKENIZER``) only these files are read. ArtifactError names the file.
    """
    open_directory(path, KIND, {"model_key": model_key}, names)


def snapshot_digest(path: str | os.PathLike) -> str:
    """SHA-256 over the names and bytes of config.json and the weights: which model a file belongs to.

    A quantised snapshot has the digest of the one that it was made from. ArtifactError, naming the file, for a sealed
    snapshot whose bytes have changed.
    """
    folder = check_snapshot(path)
    facts = verify_snapshot(folder)
    if "base_digest" in facts:
        return facts["base_digest"]
    return _digest_of([folder / "config.json", *sorted(folder.glob("*.safetensors"))])


def tokenizer_digest(path: str | os.PathLike) -> str:
    """SHA-256 over the names and bytes of the tokenizer's files: which tokenizer token ids belong to.

    The same for a quantised snapshot as for the one that it was made from. ArtifactError as ``snapshot_digest``.
    """
    folder = check_snapshot(path)
    verify_snapshot(folder, TOKENIZER)
    return _digest_of([folder / name for name in TOKENIZER if (folder / name).is_file()])


def verify_snapshot(folder: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """The facts of a sealed snapshot whose files (or those of ``names``) are as they were written.

    A person's own directory has no seal, and no facts. ArtifactError names the file that is damaged, missing or
    additional.
    """
    return open_directory(folder, KIND, names=names)[0] if is_sealed(folder) else {}


def _digest_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + bytes.fromhex(file_digest(file)))
    return digest.hexdigest()


def load_tokenizer(path: str | os.PathLike) -> PreTrainedTokenizerBase:
    """The snapshot's fast tokenizer; without a pad token of its own it pads with its end of text.

    ValueError for a tokenizer without an end of text; ArtifactError for a sealed one whose bytes have changed.
    """
    folder = check_snapshot(path)
    verify_snapshot(folder, TOKENIZER)
    with _in_one_line(folder):
        tokenizer = read_tokenizer(folder)
    if tokenizer.eos_token is None:
        raise ValueError(f"{path}: the tokenizer has no end-of-text token; set eos_token in tokenizer_config.json")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextmanager
def _in_one_line(folder: Path) -> Iterator[None]:
    """Turn what transformers raises for a snapshot's values into a ValueError of one line that names the snapshot.

    A lack of memory, an error of the GPU and a missing library (RuntimeError, OSError, ImportError) say nothing of the
    snapshot and pass.
    """
    try:
        yield
    except (RuntimeError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # huggingface_hub's and tokenizers' errors have no common class
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{folder}: transformers cannot load it ({type(error).__name__}: {reason}); its config.json or tokenizer "
            "is damaged, or for another version: get the snapshot again"
        ) from error


def default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_base(
    path: str | os.PathLike,
    task: str = "causal",
    quantization: str = "none",
    dtype: str = "float32",
    device: str | None = None,
    num_labels: int = 3,
) -> PreTrainedModel:
    """Load a snapshot as a ``causal`` language model or, with a fresh head, a ``classification`` model.

    Weights come from safetensors alone and no code of the snapshot runs. ``nf4`` quantises to 4 bits with
    double quantisation and ``dtype`` as compute type, or takes the weights of a quantised snapshot as they are.
    Returned in evaluation mode on ``device`` (default: the GPU if there is one).

    Raises ValueError for an unknown task, quantisation, data type or architecture, for a snapshot quantised in another
    way, and for weights that are missing, unexpected, of another shape, not floating-point or not finite: a model is
    loaded whole or not at all. ArtifactError for a sealed snapshot whose bytes have changed.
    """
    import torch

    folder = check_snapshot(path)
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in dtypes:
        raise ValueError(f"unknown dtype '{dtype}'; write one of {', '.join(dtypes)}")
    if quantization not in ("none", "nf4"):
        raise ValueError(f"unknown quantization '{quantization}'; write none or nf4")
    facts = verify_snapshot(folder)
    config = read_json(folder / "config.json")
    check_classifier(folder, config, architecture_of(folder, config), task)
    model_class = _model_class(config, task)
    device = device or default_device()
    options: dict = {"dtype": dtypes[dtype], "use_safetensors": True, "device_map": None, **_OFFLINE}
    # Shapes are compared here, with a message of one line.
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    if task == "classification":
        options["num_labels"] = num_labels
    made = facts.get("quantization"), facts.get("dtype")
    if "base_digest" in facts and made != (quantization, dtype):
        raise ValueError(
            f"{path}: quantised as {made[0]}, {made[1]}, not {quantization}, {dtype}; load the original snapshot, or "
            "quantise it anew"
        )
    quantized = check_precision(folder, config, quantization, dtype)
    check_dtypes(folder, read_tensors(folder), quantized)
    if quantization == "nf4":
        options["device_map"] = {"": device}
        if not quantized:
            options["quantization_config"] = _nf4(dtypes[dtype])
    torch.manual_seed(0)  # the fresh head of a classifier; an adapter overwrites it
    with _in_one_line(folder):
        model, info = model_class.from_pretrained(str(folder), **options)
    check_whole(path, info, task)
    check_weights(path, model)
    if quantization == "nf4":
        _keep_unpacked(model)
    else:
        model.to(device)
    return model.eval()


def _nf4(dtype: torch.dtype) -> BitsAndBytesConfig:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["lm_head", "score"],
    )


def load_shape(path: str | os.PathLike) -> PreTrainedModel:
    """The snapshot's causal language model without its weights (device ``meta``): its modules and their sizes."""
    import torch
    from transformers import AutoConfig

    folder = check_snapshot(path)
    verify_snapshot(folder, ("config.json",))
    config = read_json(folder / "config.json")
    architecture_of(folder, config)
    with torch.device("meta"):
        return _model_class(config, "causal")(AutoConfig.from_pretrained(str(folder), **_OFFLINE)).eval()


def _model_class(config: dict, task: str) -> Any:
    """The class of an architecture. Direct imports where they are known: the Auto classes cost a second."""
    family = config.get("model_type")
    if task not in ("causal", "classification"):
        raise ValueError(f"unknown task '{task}'; write causal or classification")
    if family == "llama":
        from transformers.models.llama.modeling_llama import LlamaForCausalLM, LlamaForSequenceClassification

        return LlamaForCausalLM if task == "causal" else LlamaForSequenceClassification
    if family == "mistral":
        from transformers.models.mistral.modeling_mistral import MistralForCausalLM, MistralForSequenceClassification

        return MistralForCausalLM if task == "causal" else MistralForSequenceClassification
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    return AutoModelForCausalLM if task == "causal" else AutoModelForSequenceClassification


def _keep_unpacked(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from repacking weights in place on CPUs with AVX512_BF16.

    The repacked layout crashes on some shapes, gives wrong gradients after an evaluation forward, and
    cannot be saved again without loss.
    """
    import bitsandbytes as bnb

    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
