"""How many jobs of each rule an edit of a key reruns in the smallest run, by the key of docs/invalidation.md."""

# 2 models; 3 languages in 2 shards each, of 2 of them 7 statistics; 6 fine-tunings (4 on xnli, 2 of them of neurons);
# 17 conditions: 11 on xnli, 6 on xquad; 7 with an intervention, 4 of them zero. Methods: lape-set1 and act-prob-90p
# of both models (drawn: a job for the neurons, a job for perplexity; act-prob-90p has a mask per language, of 3), and
# the vi of random of one.
FROM_IDENTIFICATION_ON = {
    "draw_neurons": 4,
    "finetune": 2,
    "draw_curves": 1,
    "evaluate": 9,
    "measure_perplexity": 4,
    "draw_perplexity": 4,
}
FROM_COLLECTION_ON = FROM_IDENTIFICATION_ON | {
    "collect_activations": 12,
    "merge_activations": 6,
    "summarize_activations": 28,
    "identify_neurons": 9,
    "render_table": 5,
    "compare": 2,
}
FROM_TOKENS_ON = FROM_COLLECTION_ON | {"pack_tokens": 12}
FROM_TEXT_ON = FROM_TOKENS_ON | {"pretrain_demo_model": 2, "pack_heldout_tokens": 6, "finetune": 6, "evaluate": 17}
FROM_TEXT_ON |= {"draw_curves": 4, "quantize_model": 1}
OF_ONE_MODEL = {
    "pretrain_demo_model": 1,
    "quantize_model": 1,
    "pack_tokens": 6,
    "pack_heldout_tokens": 3,
    "collect_activations": 6,
    "merge_activations": 3,
    "summarize_activations": 14,
    "identify_neurons": 4,
    "draw_neurons": 2,
    "finetune": 2,
    "draw_curves": 2,
    "evaluate": 7,
    "measure_perplexity": 2,
    "draw_perplexity": 2,
    "render_table": 3,
    "compare": 2,
}
QUANTIZED_ANEW = {
    rule: count
    for rule, count in OF_ONE_MODEL.items()
    if rule not in ("pretrain_demo_model", "quantize_model", "pack_tokens", "pack_heldout_tokens")
}
XNLI_FROM_FINETUNING_ON = {"finetune": 4, "draw_curves": 2, "evaluate": 11, "render_table": 3, "compare": 1}
XQUAD_FROM_FINETUNING_ON = {"finetune": 2, "draw_curves": 2, "evaluate": 6, "render_table": 1, "compare": 1}

COUNTS: dict[str, dict[str, int]] = {
    "activations.batch_tokens": {},
    "perplexity.batch_tokens": {},
    "evaluation.batch_tokens": {},
    "activations.every": {},
    "seed": FROM_TEXT_ON | {"write_demo_corpus": 6, "write_demo_task": 6},
    "corpus.demo.documents": FROM_TEXT_ON | {"write_demo_corpus": 6},
    "corpus.heldout_fraction": FROM_TEXT_ON,
    "corpus.tokens": FROM_TOKENS_ON,
    "perplexity.tokens": {"pack_heldout_tokens": 6, "measure_perplexity": 4, "draw_perplexity": 4},
    "models.<demo>.steps": OF_ONE_MODEL,
    "models.<demo>.quantization": QUANTIZED_ANEW,
    "models.<demo>.title": {
        "render_table": 5,
        "compare": 2,
        "draw_neurons": 2,
        "draw_perplexity": 2,
        "draw_curves": 2,
    },
    "activations.batch_percentiles": FROM_COLLECTION_ON,
    "statistics.percentiles": {},
    "statistics.site": {"summarize_activations": 28, "evaluate": 3, "render_table": 3, "compare": 2},
    "methods.<lape>.top_fraction": {
        "identify_neurons": 3,
        "draw_neurons": 2,
        "finetune": 2,
        "draw_curves": 1,
        "evaluate": 7,
        "measure_perplexity": 2,
        "draw_perplexity": 2,
        "render_table": 4,
        "compare": 2,
    },
    "methods.<activation_probability>.threshold": {
        "identify_neurons": 6,
        "draw_neurons": 2,
        "evaluate": 2,
        "measure_perplexity": 2,
        "draw_perplexity": 2,
        "render_table": 1,
        "compare": 1,
    },
    "methods.<random>.seed": {"identify_neurons": 1, "finetune": 1, "draw_curves": 1, "evaluate": 1, "render_table": 1},
    "tasks.<xnli>.demo.test": XNLI_FROM_FINETUNING_ON | {"write_demo_task": 2},
    "tasks.<xnli>.demo.train": XNLI_FROM_FINETUNING_ON | {"write_demo_task": 1},
    "tasks.<xnli>.max_tokens": XNLI_FROM_FINETUNING_ON,
    "tasks.<xquad>.prompt": XQUAD_FROM_FINETUNING_ON,
    "tasks.<xquad>.max_new_tokens": {"evaluate": 6, "render_table": 1, "compare": 1},
    "tasks.<xquad>.metric": {"render_table": 1, "compare": 1},
    "finetuning.<task>.learning_rate": XNLI_FROM_FINETUNING_ON,
    "finetuning.<task>.targets": {"finetune": 2, "draw_curves": 1, "evaluate": 3, "render_table": 2, "compare": 1},
    "finetuning.<task>.gradient_checkpointing": {},
    "interventions.site": {
        "evaluate": 7,
        "measure_perplexity": 4,
        "draw_perplexity": 4,
        "render_table": 3,
        "compare": 2,
    },
    "tables.<interventions>.interventions": {"evaluate": 4, "render_table": 2, "compare": 1},
    "tables.<interventions>.models": {"render_table": 2, "compare": 1},
    "tables.<statistics>.columns": {"summarize_activations": 4, "render_table": 1},
    "significance.level": {"render_table": 4, "compare": 2},
    "significance.resamples": {"render_table": 4, "compare": 2},
    "run.tables": {"write_report": 1},
    "figures.width": {"draw_neurons": 4, "draw_perplexity": 4, "draw_curves": 4},
    "figures.methods": {"identify_neurons": 1, "draw_neurons": 2, "measure_perplexity": 2, "draw_perplexity": 2},
}


def with_what_follows(expected: dict[str, int]) -> dict[str, int]:
    """The report shows every table and figure."""
    shown = any(rule.startswith(("render", "draw", "compare")) for rule in expected)
    return expected | ({"write_report": 1} if shown else {})
