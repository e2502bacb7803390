"""The scripts of languages, by the names of Unicode's property Script."""

from __future__ import annotations

from langneurons.sections.languages import primary, script

# Script of each language as its Wikipedia writes it.
_LANGUAGES = {
    "Latin": (
        "aa af ak an ay az bi bm br bs ca ch co cs cy da de ee en eo es et eu ff fi fj fo fr fy ga gd gl gn gv ha "
        "hr ht hu hz ia id ie ig ik io is it jv kg ki kj kl kr ku kw la lb lg li ln lt lu lv mg mh mi ms mt na nb "
        "nd ng nl nn no nr nv ny oc om pl pt qu rm rn ro rw sc se sg sk sl sm sn so sq ss st su sv sw tk tl tn to "
        "tr ts tw ty uz ve vi vo wa wo xh yo za zu ace ast ban bar bcl bjn ceb csb dsb ext fil frp frr fur gor "
        "haw hil hsb ilo jam kab kbp lij lmo ltg min mwl nap nds nia nov nso pag pam pap pcd pdc pms rup scn sco "
        "smn srn stq szl tet tpi tum vec vep vls war wln zea"
    ),
    "Arabic": "ar fa ks ps sd ug ur arz azb ckb glk lrc mzn pnb skr",
    "Armenian": "hy",
    "Bengali": "as bn bpy",
    "Canadian_Aboriginal": "cr iu",
    "Cherokee": "chr",
    "Cyrillic": (
        "ab av ba be bg ce cu cv kk kv ky mk mn os ru tg tt uk kbd koi krc lbe lez mdf mhr mrj myv rue sah tyv udm xal"
    ),
    "Devanagari": "bh hi mr ne pi sa awa bho dty gom mai new",
    "Ethiopic": "am ti",
    "Georgian": "ka xmf",
    "Greek": "el",
    "Gujarati": "gu",
    "Gurmukhi": "pa",
    "Han": "zh gan wuu yue",
    "Han Hiragana Katakana": "ja",
    "Hangul Han": "ko",
    "Hebrew": "he yi",
    "Kannada": "kn tcy",
    "Khmer": "km",
    "Lao": "lo",
    "Cyrillic Latin": "sh sr",
    "Malayalam": "ml",
    "Myanmar": "my mnw shn",
    "Meetei_Mayek": "mni",
    "Ol_Chiki": "sat",
    "Oriya": "or",
    "Sinhala": "si",
    "Tamil": "ta",
    "Telugu": "te",
    "Syriac": "arc",
    "Thaana": "dv",
    "Thai": "th",
    "Tibetan": "bo dz",
    "Yi": "ii",
}
# What ISO 15924 calls scripts that Unicode counts as several, or as one.
_TOGETHER = {
    "Hans": ["Han"],
    "Hant": ["Han"],
    "Hrkt": ["Hiragana", "Katakana"],
    "Jpan": ["Han", "Hiragana", "Katakana"],
    "Kore": ["Hangul", "Han"],
}


def scripts_of(language: str) -> list[str] | None:
    """Names of the scripts that a language is written in: those that its code names, else its Wikipedia's.

    None where neither is known.
    """
    named = script(language)
    if named is not None:
        return _TOGETHER.get(named) or ([named] if _is_script(named) else None)
    own = primary(language)
    return next((names.split() for names, languages in _LANGUAGES.items() if own in languages.split()), None)


def _is_script(name: str) -> bool:
    import regex

    try:
        regex.compile(rf"\p{{Script={name}}}")
    except regex.error:
        return False
    return True
