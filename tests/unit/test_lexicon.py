"""The miniature world's lexicons: complete, in their own script, normalised, and unambiguous."""

import copy
import tomllib
import unicodedata
from importlib import resources
from itertools import product

import pytest

from langneurons.demo.lexicon import FEMININE, ITEMS, KINDS, RELATIONS, load_lexicon, parse_lexicon
from langneurons.demo.world import Fact, say, write_document

LATIN, HAN = ("LATIN",), ("CJK UNIFIED IDEOGRAPH",)
SCRIPTS = {
    "en": LATIN, "fr": LATIN, "es": LATIN, "vi": LATIN, "id": LATIN,
    "ja": (*HAN, "HIRAGANA", "KATAKANA"), "zh": HAN,
    "bn": ("BENGALI",), "hi": ("DEVANAGARI",), "mr": ("DEVANAGARI",), "ta": ("TAMIL",), "te": ("TELUGU",),
    "ur": ("ARABIC",), "kn": ("KANNADA",), "ml": ("MALAYALAM",), "pa": ("GURMUKHI",),
}  # fmt: skip
NON_JOINER, JOINER = "\u200c", "\u200d"
LANGUAGES = tuple(SCRIPTS)


def raw(language):
    file = resources.files("langneurons.demo") / "lexicons" / f"{language}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def strings(value):
    """Every string of parsed TOML."""
    if isinstance(value, str):
        yield value
    else:
        for child in value.values() if isinstance(value, dict) else value:
            yield from strings(child)


def all_facts():
    for relation, (subject, value) in RELATIONS.items():
        for s, v in product(ITEMS[subject], ITEMS[value]):
            if s != v:
                yield Fact(relation, s, v)


def test_there_are_exactly_these_lexicons():
    folder = resources.files("langneurons.demo") / "lexicons"
    assert {p.name for p in folder.iterdir() if p.name.endswith(".toml")} == {f"{k}.toml" for k in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lexicon_is_large_enough(language):
    lexicon = load_lexicon(language)
    assert sum(len(items) for items in lexicon.words.values()) >= 60
    assert {k: tuple(v) for k, v in lexicon.words.items()} == {k: tuple(v) for k, v in ITEMS.items()}
    templates = [t for kinds in lexicon.sentences.values() for t in kinds.values()]
    assert len(set(templates)) == len(templates) >= 12
    assert set(lexicon.sentences) == set(RELATIONS)
    assert all(tuple(kinds) == KINDS for kinds in lexicon.sentences.values())
    assert len(set(lexicon.introductions)) >= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_in_the_languages_script(language):
    text = "".join(write_document(language, 42, 0, number) for number in range(20))
    letters = [c for c in text if unicodedata.category(c).startswith("L")]
    inside = sum(unicodedata.name(c).startswith(SCRIPTS[language]) for c in letters)
    assert len(letters) > 2000
    assert inside / len(letters) >= 0.95
    if SCRIPTS[language] != LATIN:
        assert not any(unicodedata.name(c).startswith("LATIN") for c in letters)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_normalised(language):
    documents = [write_document(language, 42, 0, number) for number in range(5)]
    lines = [line for document in documents for line in document.split("\n")]
    for text in (*strings(raw(language)), *lines):
        assert unicodedata.is_normalized("NFC", text), text
        assert text == " ".join(text.split()), text
        assert text.replace(NON_JOINER, "").replace(JOINER, "").isprintable(), text
    assert not any("{" in text or "}" in text for text in documents)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_has_one_meaning(language):
    """No two facts share a sentence; statement, paraphrase, negation and question are all different."""
    lexicon = load_lexicon(language)
    meaning = {}
    for fact in all_facts():
        for kind in KINDS:
            key = (fact.relation, fact.subject, "" if kind == "question" else fact.value, kind)
            sentence, _ = say(lexicon, fact, kind)
            assert meaning.setdefault(sentence, key) == key, sentence
    assert len(meaning) > 3 * 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_a_category_differ(language):
    for category, items in load_lexicon(language).words.items():
        for gender in ("f", "m"):
            names = [forms.get(gender, forms.get("name")) for forms in items.values()]
            assert len(set(names)) == len(names), category


@pytest.mark.parametrize("language", ["es", "fr", "hi", "ur", "mr", "pa"])
def test_the_subjects_gender_chooses_the_wording(language):
    """In these languages some sentence of a woman is not that of a man with the name exchanged."""
    lexicon = load_lexicon(language)
    gendered = [t for kinds in lexicon.sentences.values() for t in kinds.values() if t.feminine != t.masculine]
    words = [f for items in lexicon.words.values() for f in items.values() if "f" in f and f["f"] != f.get("m")]
    assert gendered or words
    for template in gendered:
        assert (template.wording("anna"), template.wording("omar")) == (template.feminine, template.masculine)
    assert "julia" in FEMININE
    assert "omar" not in FEMININE


def test_forms_by_hand():
    english, hindi, japanese, chinese = (load_lexicon(k) for k in ("en", "hi", "ja", "zh"))
    assert say(english, Fact("located", "museum", "paris"), "statement") == ("The museum is in Paris.", "Paris")
    assert say(english, Fact("located", "museum", "paris"), "paraphrase")[0] == "In Paris people find the museum."
    assert say(english, Fact("friend", "anna", "omar"), "question") == ("Who is the good friend of Anna?", "")
    assert say(hindi, Fact("lives", "anna", "delhi"), "statement") == ("एना दिल्ली में रहती है।", "दिल्ली")
    assert say(hindi, Fact("lives", "omar", "delhi"), "statement")[0] == "उमर दिल्ली में रहता है।"
    assert say(hindi, Fact("job", "sara", "teacher"), "statement") == ("सारा अध्यापिका है।", "अध्यापिका")
    assert say(japanese, Fact("color", "leo", "red"), "paraphrase") == ("レオは赤い家を持っています。", "赤い")
    assert say(chinese, Fact("pet", "leo", "dog"), "statement")[0] == "利奥家里养着狗。"


def test_an_unknown_language_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="no lexicon for language 'de'; it has: bn, en, es"):
        load_lexicon("de")


def test_the_lexicon_in_the_repository_parses_as_read():
    assert parse_lexicon("en", raw("en")) == load_lexicon("en")


def test_a_broken_lexicon_reports_all_faults_at_once():
    broken = copy.deepcopy(raw("en"))
    del broken["city"]["rome"]
    broken["city"]["gotham"] = "Gotham"
    broken["food"]["rice"] = " rice"
    broken["drink"]["tea"] = ""
    broken["color"]["red"] = {"adj": "red"}
    broken["place"]["park"] = {"name": "the park"}
    del broken["sentences"]["lives"]["question"]
    broken["sentences"]["born"]["negation"] = "{person} was not born."
    broken["sentences"]["job"]["question"] = "Is {person} {profession}?"
    broken["sentences"]["eats"]["statement"] = {"f": "{person} likes {food}."}
    broken["introductions"] = ["This is about {city}."]
    with pytest.raises(ValueError) as caught:
        parse_lexicon("xx", broken)
    head, rest = str(caught.value).split(": ", 1)
    assert head == "lexicon 'xx'"
    found = set(rest.split("; "))
    assert found == {
        "[city] lacks rome",
        "[city] has unknown gotham",
        "[food] rice.name is empty or padded",
        "[drink] tea.name is empty or padded",
        "[color] red needs 'name', or both 'm' and 'f'",
        "[sentences.lives] lacks question",
        "[sentences.born] negation must have exactly the slots ['city', 'person']: '{person} was not born.'",
        "[sentences.job] question must have exactly the slots ['person']: 'Is {person} {profession}?'",
        "[sentences.eats] statement lacks the wording 'm'",
        "[sentences.located] statement uses place.start, which [place] park lacks",
        "[sentences.located] negation uses place.start, which [place] park lacks",
        "introductions[0] must have exactly the slots ['person']: 'This is about {city}.'",
        "introductions needs at least 2 sentences",
    }


def test_an_empty_lexicon_reports_every_item_and_relation():
    with pytest.raises(ValueError) as caught:
        parse_lexicon("xx", {})
    message = str(caught.value)
    assert all(f"[{c}] lacks {n}" in message for c, names in ITEMS.items() for n in names)
    assert all(f"[sentences.{r}] lacks {k}" in message for r in RELATIONS for k in KINDS)
