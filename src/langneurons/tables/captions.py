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
OTHER_METRIC = "The paper's exact match and F1 are over the model's own tokens: another metric than ours."
STATISTICS = "Activation statistics, averaged over all neurons of the model."
NO_INTERVAL = "An average over all neurons of a model is no sample of them: it has no interval."
EXAMPLES_ALONE = "Our interval is for the choice of test examples; another training run would vary too."


def caption(task: str, kind: str, metric: str | None = None) -> tuple[str, list[str]]:
    """Caption and notes of a table of conditions."""
    return f"{TASKS[task]}: {KINDS[kind]}.", [METRICS[metric]] if metric else []


def uncertainty(task: str, adjusted: list[float], level: float, resamples: int | None = None) -> list[str]:
    """Notes on a table's intervals and comparisons with no intervention.

    ``adjusted``: the Holm-corrected p-values of all comparisons of the table; ``resamples``: draws of the bootstrap,
    for XQuAD.
    """
    alpha, notes = 1 - level, []
    test, kind = "exact McNemar test", "Wilson's"
    if task == "xquad":
        test = "exact McNemar test of exact match, paired bootstrap of F1"
        kind = f"by bootstrap, {resamples:,} draws of whole paragraphs"
    if adjusted:
        test = f"{test}, Holm's correction over the {len(adjusted)} comparisons of this table"
        if any(p <= alpha for p in adjusted):
            notes.append(f"* differs from No Int on the same examples: p at most {alpha:g} ({test}).")
        else:
            notes.append(
                f"No intervention differs from No Int on the same examples: every p is above {alpha:g} ({test})."
            )
        if task == "xquad" and 2 / (resamples + 1) * len(adjusted) > alpha:
            notes.append(f"{resamples:,} draws are too few to tell any F1 apart after the correction: draw more.")
    notes.append(f"The TSV has each number's {100 * level:g} % interval ({kind}).")
    return notes


def against_paper(number: int, inside: list[str], lacking: int, level: float, metric: str | None) -> list[str]:
    """Notes below our numbers beside those of the paper's table.

    ``inside``: of each number with an interval, ``yes`` or ``no``; ``lacking``: how many of the paper's numbers have
    no counterpart.
    """
    if not inside:
        notes = [NO_INTERVAL]
    else:
        count = f"{inside.count('yes')} of {len(inside)}"
        notes = [f"The paper's number lies in our {100 * level:g} % interval in {count} cases.", EXAMPLES_ALONE]
    if metric:
        notes.append(METRICS[metric] if metric == "model_tokens" else f"{METRICS[metric]} {OTHER_METRIC}")
    if lacking:
        notes.append(f"{lacking} numbers of the paper's Table {number} have no counterpart here.")
    return notes
