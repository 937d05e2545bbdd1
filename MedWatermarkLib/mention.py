"""Mentions: whether a text gives away the value of an attribute."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pydicom.datadict import dictionary_VR, tag_for_keyword

# Value representations whose values many share: codes, ages, times, numbers (PS3.5, 6.2).
_DESCRIPTIVE = frozenset({"CS", "AS", "TM", "DS", "IS", "FL", "FD", "SL", "SS", "UL", "US"})
# Words that name nobody, folded. A name with one of the first kind is no name.
_ABSENT = (
    "anon anonym anonymous anonymized anonymised anonymisiert anonyme deidentified unknown "
    "unbekannt inconnu unnamed noname redacted removed phantom withheld"
)
_COMMON = (
    "none null nil na n a no not name patient patients test sample unspecified default other "
    "male female man woman prof professor med phd mrs miss jun sen von van der den des del "
    "ct mr mri mrt pet spect dsa xray us usa cta mra ultrasound radiology radiologie hospital "
    "clinic klinik klinikum krankenhaus hopital department institute institut imaging scanner "
    "head brain neck chest thorax abdomen pelvis spine heart lung liver kidney"
)
_NOBODY = frozenset(_ABSENT.split())
_PLACEHOLDERS = _NOBODY | frozenset(_COMMON.split())
# Letters with strokes and ligatures, which have no decomposition.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th"}
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# Thai, Lao, Han, Kana and Hangul, in which words and names have no edges to look for.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1100-\u11ff\u3040-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
)


def mentions(text: str, keyword: str, value: str) -> bool:
    """Tell whether a text contains the value of an attribute, however it is written.

    Case, accents and separators do not matter. Of a person's name each part of three letters or
    more counts as a whole word, and so do family and given name together; dates count as DICOM
    and people write them, whatever the language of the month. Other values count as a whole,
    and each of their lines and parts between commas. Those that identify nobody (placeholders,
    sexes, ages, modalities, numbers of three digits) are passed over.

    Parameters
    ----------
    text : str
        What would be shared.
    keyword : str
        DICOM keyword of the attribute; its value representation says how to look.
    value : str
        One value.
    """
    readings = {_folded(text, umlauts) for umlauts in (True, False)}
    return any(
        re.search(pattern, reading) for pattern in _patterns(keyword, value) for reading in readings
    )


def _patterns(keyword: str, value: str) -> Iterator[str]:
    """Give the regular expressions that find one value in a folded text."""
    known = tag_for_keyword(keyword) is not None
    representation = dictionary_VR(keyword) if known else "LO"
    if representation in ("DA", "DT"):
        yield from _date_patterns(value)
    elif representation == "PN":
        for umlauts in (True, False):
            yield from _name_patterns(_folded(value, umlauts))
    elif representation not in _DESCRIPTIVE:
        for umlauts in (True, False):
            folded = _folded(value, umlauts)
            for part in (folded, *re.split(r"[,;\r\n]", folded)):
                if not _PLACEHOLDERS.issuperset(re.findall(r"[^\W_]+", part)):
                    yield from _word_pattern(part)


def _name_patterns(name: str) -> Iterator[str]:
    for group in name.split("="):  # Alphabetic, ideographic, phonetic (PS3.5, 6.2.1).
        # The fourth and fifth components are prefix and suffix: titles.
        components = [part for part in group.split("^")[:3] if part.strip()]
        words = [word for part in components for word in re.findall(r"[^\W_]+", part)]
        if _NOBODY.intersection(words):
            continue
        for part in dict.fromkeys([*components, *words]):
            if part not in _PLACEHOLDERS:
                yield from _word_pattern(part)
        if not _PLACEHOLDERS.issuperset(words):
            yield from _word_pattern("".join(components[:2]))
            yield from _word_pattern("".join(components[1::-1]))


def _word_pattern(value: str) -> Iterator[str]:
    """Find a value as whole words, whatever stands between its characters."""
    characters = re.sub(r"[\W_]", "", value)
    if _UNSPACED.search(characters):
        if len(characters) >= 2:
            yield r"[\W_]?".join(characters)
    elif characters.isdigit():
        characters = characters.lstrip("0")
        if len(characters) >= 4:
            # Short numbers may stand in a row by chance: "segments 1, 2, 3, 4".
            separator = r"[\W_]?" if len(characters) < 7 else r"[\W_]{0,3}"
            yield r"(?<![^\W_])0*" + separator.join(characters) + r"(?![^\W_])"
    elif len(characters) >= (3 if characters.isalpha() else 4):
        yield r"(?<![^\W_])" + r"[\W_]{0,3}".join(characters) + r"(?![^\W_])"


def _date_patterns(value: str) -> Iterator[str]:
    date = re.match(r"(\d{4})[.]?(\d\d)[.]?(\d\d)", value.strip())
    if date is None:
        return
    year, month, day = date.groups()
    short = {part: f"0?{part[1]}" if part[0] == "0" else part for part in (month, day)}
    m, d = short[month], short[day]
    orders = [(year, m, d), (d, m, year), (m, d, year)]
    yield from (rf"(?<!\d){part}(?!\d)" for part in (year + month + day, day + month + year))
    yield rf"(?<!\d){month}{day}{year}(?!\d)"
    yield from (r"(?<!\d)" + r"\D{1,3}".join(order) + r"(?!\d)" for order in orders)
    # A year of two digits only as in 31.01.70, since "10 x 12 x 45 mm" is a size.
    brief = [(year[2:], m, d), (d, m, year[2:]), (m, d, year[2:])]
    yield from (r"(?<!\d)" + r"\s?[./-]\s?".join(order) + r"(?!\d)" for order in brief)
    # "31 January 1970", "January 31st, 1970", "31 de enero de 1970".
    words = r"(?:[^\W\d]+\W+){1,3}"
    yield rf"(?<!\d){d}(?:st|nd|rd|th)?\W*{words}{year}(?!\d)"
    yield rf"[^\W\d]{{3,}}\W+{d}(?:st|nd|rd|th)?\W{{1,3}}{year}(?!\d)"


def _folded(text: str, umlauts: bool) -> str:
    """Take case and accents away; with `umlauts`, write those as ae, oe, ue."""
    text = unicodedata.normalize("NFC", text).casefold().translate(_LETTERS)
    if umlauts:
        text = text.translate(_UMLAUTS)
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.category(c).startswith("M"))
    return unicodedata.normalize("NFC", bare).casefold()
