"""Add up the counts of a language's shards."""

from pathlib import Path

from langneurons.runner.jobs import job

with job(snakemake):
    from langneurons.activations.storage import merge_files

    wildcards, files = snakemake.wildcards, list(snakemake.input)
    expected = {"model_key": wildcards.model, "language": wildcards.language, "site": "gate"}
    merge_files(files, snakemake.output[0], expected | {"shards": [Path(file).stem for file in files]})
