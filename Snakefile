# Finding, changing and training the neurons of multilingual language models that belong to one language.
# The stages and their files: README.md. The configuration: config/README.md.

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from langneurons.config.files import base_file
from langneurons.config.load import ConfigError

min_version("9.0")

try:
    base = base_file(config, workflow.basedir)
except ConfigError as error:
    raise WorkflowError(str(error))


# The overlays of --configfile change single keys of it.
configfile: base


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/tasks.smk"
include: "workflow/rules/activations.smk"
include: "workflow/rules/neurons.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/perplexity.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    corpus,
    statistics,
    neurons,
    adapters,
    metrics,
    perplexity,
    tables,
    figures,
    report,


rule all:
    default_target: True
    input:
        published.table_files(settings),
        published.figure_files(settings),
        paths.report("index.html"),


# A target per stage, in their order. After an edit of code, ask for its stage first: files that keep their bytes are
# no reason to run what reads them.


rule corpus:
    input:
        of(stages.corpus),


rule statistics:
    input:
        of(stages.statistics),


rule neurons:
    input:
        of(stages.neurons),


rule adapters:
    input:
        of(stages.adapters),


rule metrics:
    input:
        of(stages.metrics),


rule perplexity:
    input:
        of(stages.perplexity),


rule tables:
    input:
        published.table_files(settings),


rule figures:
    input:
        published.figure_files(settings),


rule report:
    input:
        paths.report("index.html"),
