"""Evaluate one condition."""

from langneurons.runner.jobs import fix_threads, job

with job(snakemake):
    from langneurons.evaluation.condition import intervention, write_condition
    from langneurons.experiment.condition import Condition
    from langneurons.finetuning.adapters import load_adapter, trained_with
    from langneurons.models.loading import load_base, load_tokenizer, open_snapshot, snapshot_digest
    from langneurons.registry import entry
    from langneurons.tasks.files import read_task

    fix_threads(snakemake.threads)
    p, inputs = snakemake.params, snakemake.input
    condition = Condition(**{k: snakemake.wildcards.get(k) for k in Condition.__dataclass_fields__})
    task = entry("tasks", p.kind)
    expected = {"task": condition.task, "language": condition.language, "split": "test"}
    table = read_task(inputs.test, p.kind, expected)[: p.limit]
    open_snapshot(inputs.model, condition.model)
    tokenizer = load_tokenizer(inputs.model)
    model = load_base(inputs.model, quantization=p.quantization, dtype=p.dtype, **task.HEAD.loading())
    digest = snapshot_digest(inputs.model)
    if adapter := inputs.get("adapter"):  # none: the model as it was pretrained
        trained = {"base_model": condition.model, "task": condition.task, "finetuning": condition.finetuning}
        trained |= {
            "quantization": p.quantization,
            "dtype": p.dtype,
            "settings": trained_with(p.finetuning),
            "seed": p.seed,
        }
        model = load_adapter(model, adapter, digest, trained)
    statistics = dict(zip(p.statistics, inputs.get("statistics", []), strict=True))
    context, neurons = intervention(
        model, inputs.model, condition, inputs.get("mask"), statistics, p.site, p.statistics, p.method
    )
    batch_tokens, where = snakemake.resources.batch_tokens, str(condition)
    with context:
        found = task.evaluate(model, tokenizer, table, condition.language, p.task, batch_tokens, where)
    numbers = {"neurons": neurons, "examples": found.predictions.num_rows, "dropped": found.dropped, **found.metrics}
    written = (snakemake.output.metrics, snakemake.output.predictions)
    write_condition(condition, numbers, found.predictions, task.METRICS, *written, digest)
    print(f"{neurons} neurons overwritten; {numbers}")
