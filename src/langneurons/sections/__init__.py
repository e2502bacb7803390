"""The sections of the configuration: every key, its meaning, its range. Imports nothing heavy."""

from langneurons.sections.base import KEY, Language, ModelKey, Section, TableKey
from langneurons.sections.corpus import Activations, Corpus, DemoCorpus, FilesCorpus, HubCorpus, Perplexity, Statistics
from langneurons.sections.methods import ActivationProbabilityMethod, LapeMethod, Method, RandomMethod
from langneurons.sections.models import DemoModel, FilesModel, HubModel, Model
from langneurons.sections.tables import (
    ConditionTable,
    ControlTable,
    Figures,
    MethodTable,
    Significance,
    StatisticsTable,
    Table,
)
from langneurons.sections.tasks import (
    DemoTask,
    Evaluation,
    Finetuning,
    FinetuningByTask,
    HubTask,
    Interventions,
    SquadFiles,
    Tasks,
    Xnli,
    XnliFiles,
    Xquad,
)

__all__ = [
    "KEY",
    "ActivationProbabilityMethod",
    "Activations",
    "ConditionTable",
    "ControlTable",
    "Corpus",
    "DemoCorpus",
    "DemoModel",
    "DemoTask",
    "Evaluation",
    "Figures",
    "FilesCorpus",
    "FilesModel",
    "Finetuning",
    "FinetuningByTask",
    "HubCorpus",
    "HubModel",
    "HubTask",
    "Interventions",
    "Language",
    "LapeMethod",
    "Method",
    "MethodTable",
    "Model",
    "ModelKey",
    "Perplexity",
    "RandomMethod",
    "Section",
    "Significance",
    "SquadFiles",
    "Statistics",
    "StatisticsTable",
    "Table",
    "TableKey",
    "Tasks",
    "Xnli",
    "XnliFiles",
    "Xquad",
]
