# Task data: one Parquet file a task, language and split.

import os


def task_languages(task):
    spec = getattr(settings.tasks, task)
    return one_of(sorted({spec.source_language, *spec.languages}))


def task_file(wildcards, task):
    """The user's file of a task, or an error that names the key."""
    spec = getattr(settings.tasks, task)
    key, pattern = f"tasks.{task}.files.pattern", spec.files.pattern
    if task == "xquad" and wildcards.split == "train" and spec.train == "squad":
        key, pattern = "tasks.xquad.files.squad", spec.files.squad
    path = pattern.format(language=wildcards.language, split=wildcards.split)
    if not os.path.isfile(path):
        raise WorkflowError(f"{key}: no file {path}")
    return path


def xquad_part(wildcards):
    """Which questions of XQuAD a split takes: all of them only where SQuAD trains."""
    return "all" if settings.tasks.xquad.train == "squad" else wildcards.split


for task in ("xnli", "xquad"):
    spec = getattr(settings.tasks, task)

    if spec.source == "demo":

        rule:
            name:
                f"write_demo_{task}"
            output:
                paths.task(task),
            params:
                task=task,
                examples=lambda wildcards, spec=spec: getattr(spec.demo, wildcards.split),
                seed=settings.seed,
            wildcard_constraints:
                language=task_languages(task),
            log:
                paths.log(f"write_demo_{task}", "{language}.{split}"),
            message:
                f"The miniature world's {task}: {{wildcards.language}} {{wildcards.split}}"
            script:
                "../scripts/write_demo_task.py"

    elif spec.source == "files":

        rule:
            name:
                f"import_{task}"
            input:
                lambda wildcards, task=task: task_file(wildcards, task),
            output:
                paths.task(task),
            params:
                task=task,
                part="all" if task == "xnli" else xquad_part,
                train_fraction=spec.train_fraction,
            wildcard_constraints:
                language=task_languages(task),
            log:
                paths.log(f"import_{task}", "{language}.{split}"),
            message:
                f"{task} from {{input}}"
            script:
                "../scripts/import_task.py"

    else:

        rule:
            name:
                f"download_{task}"
            localrule: True
            output:
                paths.task(task),
            params:
                task=task,
                part="all" if task == "xnli" else xquad_part,
                train_fraction=spec.train_fraction,
                hub=lambda wildcards, spec=spec: (
                    spec.squad_hub if wildcards.split == "train" and getattr(spec, "train", "") == "squad" else spec.hub
                ).model_dump(),
            wildcard_constraints:
                language=task_languages(task),
            log:
                paths.log(f"download_{task}", "{language}.{split}"),
            retries: 3
            message:
                f"Downloading {task}: {{wildcards.language}} {{wildcards.split}}"
            script:
                "../scripts/download_task.py"
