# Task data: one Parquet file per task, language and split, by the source that each task's section names.


if task_data.tasks_from(settings, "demo"):

    localrules:
        write_demo_task,

    rule write_demo_task:
        output:
            paths.task(),
        log:
            paths.log("write_demo_task", "{task}", "{language}.{split}"),
        wildcard_constraints:
            task=one_of(task_data.tasks_from(settings, "demo")),
            language=task_languages("demo"),
        conda:
            "../../environment.yml"
        params:
            version=version_of("write_demo_task"),
            entry=entry_versions(task_data.task_entries, job="demo"),
            kind=of(task_data.task_kind),
            examples=of(task_data.demo_examples),
            seed=settings.seed,
        message:
            "The miniature world's {wildcards.task}: {wildcards.language} {wildcards.split}"
        script:
            "../scripts/write_demo_task.py"


if task_data.tasks_from(settings, "files"):

    localrules:
        import_task,

    rule import_task:
        input:
            unpack(of(task_data.known_files)),
            source=task_file,
        output:
            paths.task(),
        log:
            paths.log("import_task", "{task}", "{language}.{split}"),
        wildcard_constraints:
            task=one_of(task_data.tasks_from(settings, "files")),
            language=task_languages("files"),
        conda:
            "../../environment.yml"
        params:
            version=version_of("import_task"),
            entry=entry_versions(task_data.task_entries, facts.of_language, job="import"),
            kind=of(task_data.task_kind),
            settings=of(task_data.import_settings),
            known=of(task_data.known_facts),
        message:
            "{wildcards.task} from {input.source}"
        script:
            "../scripts/import_task.py"


if task_data.tasks_from(settings, "hub"):

    localrules:
        download_task,

    rule download_task:
        input:
            unpack(of(task_data.known_files)),
        output:
            data=paths.task(),
            manifest=paths.task_manifest(),
        log:
            paths.log("download_task", "{task}", "{language}.{split}"),
        wildcard_constraints:
            task=one_of(task_data.tasks_from(settings, "hub")),
            language=task_languages("hub"),
        retries: 0
        conda:
            "../../environment.yml"
        params:
            version=version_of("download_task"),
            entry=entry_versions(task_data.task_entries, facts.of_language, job="import"),
            kind=of(task_data.task_kind),
            settings=of(task_data.import_settings),
            known=of(task_data.known_facts),
            hub=of(task_data.hub_source),
        message:
            "Downloading {wildcards.task}: {wildcards.language} {wildcards.split}"
        script:
            "../scripts/download_task.py"
