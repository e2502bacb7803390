"""What a kind of table is: an entry of this package, a module with ``ENTRY_OF = "tables"``, named as the kind.

An entry has the members of ``Kind`` at its top level. Those that take ``section`` and ``context`` are pure functions
of the configuration, called when the workflow is parsed; the others run in the job, which knows ``params`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from langneurons.evaluation.scoring import Scoring
from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition
from langneurons.sections.tables import TableSection

if TYPE_CHECKING:
    import pandas

    from langneurons.sections.configuration import Config

JOB_FUNCTIONS = ("frame", "text", "caption", "findings", "MEANING")
"""What jobs call of an entry: the code that a table's and the report's bytes come from."""


@dataclass(frozen=True)
class Context:
    """The configuration, and what it says of methods: whatever an entry asks beside its own section.

    ``languages_of(method)``: languages that a method gives neurons of; none where what it names is unknown.
    ``matched_to(method)``: the method group whose numbers of neurons a method of random ones copies; None for another.
    ``selection_of(method)``: all that a method's neurons depend on. ``counted(method)``: whether it reads counts of
    activations, so that halves of the text give neurons too. ``ranked(method)``: whether it ranks neurons by a
    relevance, whose spread its masks say.
    """

    config: Config
    languages_of: Callable[[str], Sequence[str]]
    matched_to: Callable[[str], str | None]
    selection_of: Callable[[str], dict]
    counted: Callable[[str], bool]
    ranked: Callable[[str], bool]


@dataclass(frozen=True)
class Text:
    """A table as printed: header and cells, the caption above and the notes below, a paragraph each."""

    header: list[str]
    body: list[list[str]]
    caption: str
    notes: list[str]


class Finding(NamedTuple):
    """What the report says of a table: a heading and a paragraph."""

    heading: str
    text: str


class Kind(Protocol):
    """The members of an entry."""

    ENTRY_OF: ClassVar[str]
    Section: ClassVar[type[TableSection]]
    """The kind's keys in the configuration; its docstring says what the table shows."""
    MEANING: ClassVar[str]
    """What the report says above the table, in reStructuredText."""
    DECIMALS: ClassVar[int]
    """Decimals of its numbers beside the paper's."""

    @staticmethod
    def checks(name: str, section: Any, context: Context) -> Iterator[tuple[str, str]]:
        """(place, what is wrong) of everything in the table ``name`` that other sections contradict."""

    @staticmethod
    def conditions(section: Any, context: Context) -> list[Condition]:
        """The evaluations that the table reads, sorted; none for a kind that reads other files."""

    @staticmethod
    def comparisons(section: Any, context: Context) -> list[Compared]:
        """What the table compares among its conditions; none for a kind that has no verdicts."""

    @staticmethod
    def inputs(section: Any, context: Context) -> dict[str, list[str]]:
        """Named lists of the files that the table is made of."""

    @staticmethod
    def params(section: Any, context: Context) -> dict[str, Any]:
        """What the table's layout depends on, as plain values of JSON: an edit of it renders the table again.

        To a table with ``comparisons`` the library adds ``families``: question -> how many comparisons of the run
        answer it.
        """

    @staticmethod
    def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
        """The table at full precision, a column with a number each. ``inputs``: ``inputs``'s lists as attributes.

        ValueError naming the file for one that is damaged or of something else.
        """

    @staticmethod
    def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
        """The table as printed."""

    @staticmethod
    def caption(params: Mapping[str, Any]) -> str:
        """The sentence above the table."""

    @staticmethod
    def findings(rows: list[dict[str, str]], scoring: Scoring | None) -> Finding | None:
        """What the rows of the TSV say; None: nothing. ``scoring``: of the table's task; None for one of no task."""
