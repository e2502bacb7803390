# LoRA on attention, and on a mask's neurons; and what training looked like.


rule finetune:
    input:
        unpack(of(finetunings.finetuning_input)),
    output:
        adapter=directory(paths.adapter()),
        curve=paths.curve(),
    log:
        paths.log("finetune", "{model}", "{task}", "{finetuning}"),
    benchmark:
        paths.benchmark("finetune", "{model}", "{task}", "{finetuning}")
    wildcard_constraints:
        finetuning=TRAINED,
    group:
        groups.of("finetune", "finetune-{model}-{task}")
    conda:
        "../../environment.yml"
    resources:
        gpu=1,
        mem_mb=memory_of("finetune"),
        runtime=time_of("finetune"),
        gradient_checkpointing=lambda wildcards: int(settings.finetuning[wildcards.task].gradient_checkpointing),
    params:
        version=version_of("finetune", facts.of_model),
        quantization=model_setting("quantization"),
        dtype=model_setting("dtype"),
        finetuning=of(finetunings.finetuning_settings),
        method=of(finetunings.finetuning_method),
        attention_targets=model_setting("attention_targets"),
        repository=lambda wildcards: getattr(settings.models[wildcards.model], "repository", None),
        revision=lambda wildcards: getattr(settings.models[wildcards.model], "revision", None),
        entry=entry_versions(task_data.task_entries, facts.of_model, job="finetune"),
        kind=of(task_data.task_kind),
        task=of(task_data.training_settings),
        seed=settings.seed,
    message:
        "Fine-tuning {wildcards.model} on {wildcards.task}: {wildcards.finetuning}"
    script:
        "../scripts/finetune.py"


rule draw_curves:
    input:
        of(finetunings.curves),
    output:
        svg=paths.curve_figure(ending="svg"),
        pdf=paths.curve_figure(ending="pdf"),
        html=paths.curve_figure(ending="html"),
    log:
        paths.log("draw_curves", "{model}.{task}"),
    conda:
        "../../environment.yml"
    params:
        version=version_of("draw_curves"),
        title=model_setting("title"),
        width=settings.figures.width,
        height=settings.figures.height,
    message:
        "Training curves of {wildcards.model} on {wildcards.task}"
    script:
        "../scripts/draw_curves.py"


localrules:
    draw_curves,
