"""What a table says of its numbers: the caption and the notes below it."""

from __future__ import annotations

TASKS = {
    "xnli": "XNLI accuracy (%)",
    "xquad": "XQuAD exact match (F1), %",
}
KINDS = {
    "interventions": "zero-shot transfer, with each language's neurons set to a constant at test time",
    "finetuning": "after fine-tuning the neurons of FTL beside the attention layers",
}
METRICS = {
    "model_tokens": "Exact match and F1 are over the model's own tokens of the first answer, as in the paper; "
    "they do not compare between models.",
    "mlqa": "Exact match and F1 follow MLQA's rules and compare between models.",
}
STATISTICS = "Activation statistics, averaged over all neurons of the model."


def caption(task: str, kind: str, metric: str | None = None) -> tuple[str, list[str]]:
    """Caption and notes of a table of conditions."""
    return f"{TASKS[task]}: {KINDS[kind]}.", [METRICS[metric]] if metric else []
