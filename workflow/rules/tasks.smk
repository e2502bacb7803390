# Task data: one Parquet file a task, language and split.


for task in ("xnli", "xquad"):
    spec = getattr(settings.tasks, task)

    if spec.source == "demo":

        rule:
            name:
                f"write_demo_{task}"
            output:
                paths.task(task),
            log:
                paths.log(f"write_demo_{task}", "{language}.{split}"),
            wildcard_constraints:
                language=task_languages(task),
            localrule: True
            conda:
                "../../environment.yml"
            params:
                version=version_of("write_demo_task"),
                task=task,
                examples=lambda wildcards, spec=spec: getattr(spec.demo, wildcards.split),
                seed=settings.seed,
            message:
                f"The miniature world's {task}: {{wildcards.language}} {{wildcards.split}}"
            script:
                "../scripts/write_demo_task.py"

    elif spec.source == "files":

        rule:
            name:
                f"import_{task}"
            input:
                unpack(known_questions(task)),
                source=lambda wildcards, task=task: task_file(wildcards, task),
            output:
                paths.task(task),
            log:
                paths.log(f"import_{task}", "{language}.{split}"),
            wildcard_constraints:
                language=task_languages(task),
            localrule: True
            conda:
                "../../environment.yml"
            params:
                version=version_of("import_task"),
                task=task,
                part="all" if task == "xnli" else xquad_part,
                train_fraction=spec.train_fraction,
            message:
                f"{task} from {{input.source}}"
            script:
                "../scripts/import_task.py"

    else:

        rule:
            name:
                f"download_{task}"
            input:
                unpack(known_questions(task)),
            output:
                data=paths.task(task),
                manifest=paths.task_manifest(task),
            log:
                paths.log(f"download_{task}", "{language}.{split}"),
            wildcard_constraints:
                language=task_languages(task),
            retries: 0
            localrule: True
            conda:
                "../../environment.yml"
            params:
                version=version_of("download_task"),
                task=task,
                part="all" if task == "xnli" else xquad_part,
                train_fraction=spec.train_fraction,
                hub=lambda wildcards, task=task: hub_source(wildcards, task),
            message:
                f"Downloading {task}: {{wildcards.language}} {{wildcards.split}}"
            script:
                "../scripts/download_task.py"
