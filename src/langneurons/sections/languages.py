"""Codes of languages by BCP 47 (RFC 5646), and what a person meant who wrote a name, or another code."""

from __future__ import annotations

import re

# ISO 639-1, then the English name, the codes of ISO 639-2 and 639-3, and country codes that are no language's.
_NAMES = """
en english eng|fr french fre fra|es spanish castilian spa|vi vietnamese vie|id indonesian ind|ja japanese jpn jp
zh chinese mandarin chi zho cmn cn|bn bengali bangla ben|hi hindi hin|ta tamil tam|te telugu tel|mr marathi mar
ur urdu urd|kn kannada kan|ml malayalam mal|pa punjabi panjabi pan|ar arabic ara arb|bg bulgarian bul|de german ger deu
el greek gre ell|ru russian rus|sw swahili swa swh|th thai tha|tr turkish tur|pt portuguese por|it italian ita
nl dutch dut nld|pl polish pol|cs czech cze ces cz|sk slovak slo slk|sv swedish swe|da danish dan dk|no norwegian nor
fi finnish fin|hu hungarian hun|ro romanian rum ron|uk ukrainian ukr ua|he hebrew heb iw|fa persian farsi per fas
ko korean kor|ms malay may msa zsm|tl tagalog tgl|gu gujarati guj|or odia oriya ori ory|as assamese asm
ne nepali nep npi|si sinhala sinhalese sin|my burmese bur mya|km khmer khm|lo lao|ka georgian geo kat
hy armenian arm hye|az azerbaijani aze|kk kazakh kaz|uz uzbek uzb|mn mongolian mon|eu basque baq eus|ca catalan cat
gl galician glg|hr croatian hrv|sr serbian srp|sl slovenian slovene slv|et estonian est|lv latvian lav
lt lithuanian lit|sq albanian alb sqi|mk macedonian mac mkd|af afrikaans afr|am amharic amh|ha hausa hau
yo yoruba yor|ig igbo ibo|zu zulu zul|so somali som|ga irish gle|cy welsh wel cym|is icelandic ice isl
"""
CODES = {
    name: entry.split()[0] for line in _NAMES.split("\n") for entry in line.split("|") for name in entry.split()[1:]
}
_KNOWN = set(CODES.values())

LANGUAGE = "[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?(?:-[a-z0-9]{5,8})?"
"""A language's code by BCP 47: two or three letters, then if needed script, region and variant."""


def primary(code: str) -> str:
    """The language of a code without script, region and variant: ``zh`` of ``zh-Hant``."""
    return code.partition("-")[0]


def script(code: str) -> str | None:
    """The script that a code names, by ISO 15924: ``Hant`` of ``zh-Hant``; None for ``zh``."""
    return next((tag for tag in code.split("-")[1:] if len(tag) == 4 and tag.isalpha()), None)


def code_of(word: str) -> str | None:
    """The code that was meant by ``hindi``, ``Hin``, ``HI`` or ``zh_hant``; None if that is not known."""
    tags = re.split("[-_ ]", word.strip())
    language = CODES.get(tags[0].lower(), tags[0].lower())
    code = "-".join([language, *map(_subtag, tags[1:])])
    if re.fullmatch(LANGUAGE, code) and (language in _KNOWN or code == word):
        return code
    return language if language in _KNOWN else None


def _subtag(tag: str) -> str:
    """A part of a code after its language, as it is written: ``Hant``, ``BR``, ``valencia``."""
    return {2: tag.upper(), 4: tag.title()}.get(len(tag), tag.lower())
