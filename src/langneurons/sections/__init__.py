"""The sections of the configuration: every key, its meaning, its range. Imports nothing heavy."""

from langneurons.sections.base import KEY, DirectoryPath, Language, ModelKey, Section, TableKey, Title
from langneurons.sections.configuration import Config, Run
from langneurons.sections.corpus import Activations, Corpus, DemoCorpus, FilesCorpus, HubCorpus, Perplexity, Statistics
from langneurons.sections.methods import Method, MethodSection
from langneurons.sections.models import DemoModel, FilesModel, HubModel, Model
from langneurons.sections.tables import Figures, MethodTable, Significance, Table, TableSection, TaskTable
from langneurons.sections.tasks import DemoTask, Evaluation, Finetuning, HubTask, Interventions, Task, TaskSection

__all__ = [
    "KEY",
    "Activations",
    "Config",
    "Corpus",
    "DemoCorpus",
    "DemoModel",
    "DemoTask",
    "DirectoryPath",
    "Evaluation",
    "Figures",
    "FilesCorpus",
    "FilesModel",
    "Finetuning",
    "HubCorpus",
    "HubModel",
    "HubTask",
    "Interventions",
    "Language",
    "Method",
    "MethodSection",
    "MethodTable",
    "Model",
    "ModelKey",
    "Perplexity",
    "Run",
    "Section",
    "Significance",
    "Statistics",
    "Table",
    "TableKey",
    "TableSection",
    "Task",
    "TaskSection",
    "TaskTable",
    "Title",
]
