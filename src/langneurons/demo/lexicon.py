"""Lexicons of the miniature world: real words and word order of one language each, read and checked."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

# What every language must be able to name. The order is part of the world: it decides which
# entity a seed draws, so new entries go to the end.
ITEMS: dict[str, tuple[str, ...]] = {
    "person": (
        "anna", "maria", "sara", "lina", "nadia", "mina", "tara", "julia",
        "omar", "ravi", "david", "hassan", "leo", "arun", "peter", "karim",
    ),
    "city": (
        "paris", "delhi", "hanoi", "tokyo", "madrid", "london", "cairo", "lahore",
        "rome", "jakarta", "beijing", "moscow",
    ),
    "profession": (
        "doctor", "teacher", "farmer", "writer", "singer", "engineer", "lawyer", "painter", "cook", "judge",
    ),
    "food": ("rice", "bread", "fish", "soup", "eggs", "fruit", "cheese", "honey", "potatoes", "sweets"),
    "drink": ("tea", "coffee", "milk", "water", "juice", "lemonade"),
    "animal": ("cat", "dog", "horse", "cow", "goat", "parrot", "rabbit", "elephant"),
    "hobby": ("music", "football", "chess", "dance", "poetry", "swimming", "cycling", "gardening"),
    "color": ("red", "blue", "green", "yellow", "white", "black", "pink", "grey"),
    "place": ("museum", "library", "market", "school", "hospital", "park", "theatre", "station"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
}  # fmt: skip

FEMININE = frozenset(ITEMS["person"][:8])

# relation: (category of the subject, category of the value). The value fills the slot of its
# category's name, but for `friend`, whose two slots are {person} and {friend}.
RELATIONS: dict[str, tuple[str, str]] = {
    "lives": ("person", "city"),
    "born": ("person", "city"),
    "job": ("person", "profession"),
    "eats": ("person", "food"),
    "drinks": ("person", "drink"),
    "pet": ("person", "animal"),
    "hobby": ("person", "hobby"),
    "color": ("person", "color"),
    "visits": ("person", "place"),
    "shops": ("person", "day"),
    "friend": ("person", "person"),
    "located": ("place", "city"),
}

KINDS = ("statement", "paraphrase", "negation", "question")
SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")


@dataclass(frozen=True)
class Template:
    """A sentence with slots ``{category}`` or ``{category.form}``, in one wording per gender of the subject."""

    feminine: str
    masculine: str

    def wording(self, subject: str) -> str:
        return self.feminine if subject in FEMININE else self.masculine


@dataclass(frozen=True)
class Lexicon:
    """One language's words and sentences.

    ``words[category][item][form]`` is a surface string; ``sentences[relation][kind]`` a template;
    ``introductions`` sentences that name a person and say nothing else.
    """

    language: str
    words: dict[str, dict[str, dict[str, str]]]
    sentences: dict[str, dict[str, Template]]
    introductions: tuple[Template, ...]

    def surface(self, category: str, item: str, form: str | None, gender_of: str) -> str:
        forms = self.words[category][item]
        if form is None:
            gendered = "f" if gender_of in FEMININE else "m"
            return forms.get(gendered, forms.get("name", ""))
        return forms[form]

    def fill(self, template: Template, subject: str, **items: str) -> tuple[str, dict[str, str]]:
        """Return the sentence and the surface string that each slot got (``friend`` is a person)."""
        used: dict[str, str] = {}

        def replace(match: re.Match[str]) -> str:
            slot, form = match.group(1), match.group(2)
            category = "person" if slot == "friend" else slot
            used[slot] = self.surface(category, items[slot], form, subject)
            return used[slot]

        return SLOT.sub(replace, template.wording(subject)), used


@cache
def load_lexicon(language: str) -> Lexicon:
    """Read and check ``lexicons/{language}.toml``; ValueError names every fault found."""
    folder = resources.files("langneurons.demo") / "lexicons"
    file = folder / f"{language}.toml"
    if not file.is_file():
        known = sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))
        raise ValueError(f"the demo has no lexicon for language '{language}'; it has: {', '.join(known)}")
    return parse_lexicon(language, tomllib.loads(file.read_text(encoding="utf-8")))


def parse_lexicon(language: str, raw: dict) -> Lexicon:
    """Build a :class:`Lexicon` from parsed TOML; ValueError lists all faults at once."""
    faults: list[str] = []
    words: dict[str, dict[str, dict[str, str]]] = {}
    for category, names in ITEMS.items():
        given = raw.get(category, {})
        faults += [f"[{category}] lacks {n}" for n in names if n not in given]
        faults += [f"[{category}] has unknown {n}" for n in given if n not in names]
        words[category] = {n: {"name": v} if isinstance(v, str) else dict(v) for n, v in given.items()}
        for n, forms in words[category].items():
            if "name" not in forms and not {"m", "f"} <= forms.keys():
                faults.append(f"[{category}] {n} needs 'name', or both 'm' and 'f'")
            faults += [f"[{category}] {n}.{k} is empty or padded" for k, v in forms.items() if not v or v != v.strip()]

    sentences: dict[str, dict[str, Template]] = {}
    for relation, (subject, value) in RELATIONS.items():
        given = raw.get("sentences", {}).get(relation, {})
        slots = {"person", "friend"} if relation == "friend" else {subject, value}
        sentences[relation] = {}
        for kind in KINDS:
            if kind not in given:
                faults.append(f"[sentences.{relation}] lacks {kind}")
                continue
            need = slots - {"friend" if relation == "friend" else value} if kind == "question" else slots
            sentences[relation][kind] = _template(f"[sentences.{relation}] {kind}", given[kind], need, words, faults)
    introductions = tuple(
        _template(f"introductions[{i}]", text, {"person"}, words, faults)
        for i, text in enumerate(raw.get("introductions", []))
    )
    if len(introductions) < 2:
        faults.append("introductions needs at least 2 sentences")
    if faults:
        raise ValueError(f"lexicon '{language}': " + "; ".join(faults))
    return Lexicon(language, words, sentences, introductions)


def _template(where: str, text: str | dict, slots: set[str], words: dict, faults: list[str]) -> Template:
    if isinstance(text, dict):
        faults += [f"{where} lacks the wording '{gender}'" for gender in ("f", "m") if gender not in text]
        template = Template(text.get("f", text.get("m", "")), text.get("m", text.get("f", "")))
    else:
        template = Template(text, text)
    for wording in {template.feminine, template.masculine}:
        found = SLOT.findall(wording)
        if {slot for slot, _ in found} != slots:
            faults.append(f"{where} must have exactly the slots {sorted(slots)}: {wording!r}")
        for slot, form in found:
            category = "person" if slot == "friend" else slot
            for item, forms in words.get(category, {}).items():
                if form and form not in forms:
                    faults.append(f"{where} uses {slot}.{form}, which [{category}] {item} lacks")
    return template
