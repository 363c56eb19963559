import re
import sys
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import endless
from elman.data.endless import (
    SPLITS,
    EndlessPairs,
    Split,
    date_sayer,
    draw_dates,
    draw_numbers,
    mix,
    named_pairs,
    number_sayer,
    split_of,
)
from elman.data.sources import LANGUAGES, NAMED_PAIRS
from elman.errors import UserError

NAMES = sorted(NAMED_PAIRS)

ENGLISH = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
ENGLISH += " seventeen eighteen nineteen"
PORTUGUESE = "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis"
PORTUGUESE += " dezessete dezoito dezenove"
GERMAN = "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn"
GERMAN += " siebzehn achtzehn neunzehn"


def tens(words: str) -> dict[str, int]:
    return {word: 10 * n for n, word in enumerate(words.split(), 2)}


VALUES = {
    "en": {word: n for n, word in enumerate(ENGLISH.split())}
    | tens("twenty thirty forty fifty sixty seventy eighty ninety"),
    "pt_BR": {word: n for n, word in enumerate(PORTUGUESE.split())}
    | tens("vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
    | {"cem": 100, "cento": 100, "duzentos": 200, "trezentos": 300, "quatrocentos": 400, "quinhentos": 500}
    | {"seiscentos": 600, "setecentos": 700, "oitocentos": 800, "novecentos": 900},
    "de": {word: n for n, word in enumerate(GERMAN.split())}
    | tens("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")
    | {"eins": 1, "eine": 1},
}
MULTIPLIERS = {"hundred": 100, "hundert": 100}
GROUPS = {"thousand": 1000, "mil": 1000, "tausend": 1000}
GROUPS |= dict.fromkeys(["million", "milhão", "milhões", "Million", "Millionen"], 1_000_000)


def read(text: str, language: str) -> int:
    """The number that words say: values are added, hundreds and groups multiply what came before them."""
    known = VALUES[language] | MULTIPLIERS | GROUPS
    longest_first = sorted(known, key=len, reverse=True)
    if language == "de":
        words = re.findall("|".join(longest_first), text)
        assert re.sub("|".join([*longest_first, "und", " "]), "", text) == ""
    else:
        words = [word for word in re.split("[ -]", text) if word not in ("and", "e")]
    whole = group = 0
    for word in words:
        if word in GROUPS:
            whole, group = whole + max(group, 1) * GROUPS[word], 0
        elif word in MULTIPLIERS:
            group = max(group, 1) * 100
        else:
            group += VALUES[language][word]
    return whole + group


@pytest.mark.parametrize("language", LANGUAGES)
@given(number=st.integers(0, 999_999_999) | st.integers(0, 9999))
def test_words_say_one_number(language: str, number: int) -> None:
    words, digits = number_sayer(language)(number, 0)
    assert digits == str(number)
    assert "," not in words
    assert read(words, language) == number
    assert number_sayer(language, digits_first=True)(number, 0) == (digits, words)


def test_portuguese_as_it_is_written() -> None:
    assert number_sayer("pt_BR")(1234, 0) == ("mil duzentos e trinta e quatro", "1234")


def test_numbers_of_every_size() -> None:
    drawn = draw_numbers(mix(np.arange(9000, dtype=np.uint64)))
    digits = [len(str(number)) for number in drawn.tolist()]
    counts = np.bincount(digits, minlength=10)
    assert (drawn.min(), len(counts)) == (0, 10)
    assert (np.abs(counts[1:] - 1000) < 150).all()


def test_one_text_is_one_date() -> None:
    """In all languages together: a word of one may be a word of another."""
    say = date_sayer()
    said: dict[str, str] = {}
    for locale in range(len(endless.LOCALES)):
        for style in range(len(endless.STYLES)):
            for ordinal in range(endless.FIRST + 36_000, endless.FIRST + 36_500, 3):
                source, target = say(ordinal, locale * len(endless.STYLES) + style)
                assert said.setdefault(source, target) == target
                assert target == (date(1, 1, 1) + timedelta(ordinal - 1)).isoformat()


def test_dates_of_two_centuries() -> None:
    ends = np.array([0, endless.LAST - endless.FIRST, endless.LAST - endless.FIRST + 1], np.uint64)
    assert [date.fromordinal(day).isoformat() for day in draw_dates(ends).tolist()] == [
        "1900-01-01",
        "2099-12-31",
        "1900-01-01",
    ]


def thing(source: EndlessPairs, pair: tuple[str, str]) -> int:
    text = pair[0] if source.name.startswith("digits") else pair[1]
    return date.fromisoformat(text).toordinal() if source.name == "dates" else int(text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", list(SPLITS))
def test_every_pair_is_in_its_part_whatever_the_seed(name: str, part: Split) -> None:
    source = named_pairs(name)
    for seed in (0, 1, -1, 1 << 70):
        pairs = list(source.texts(part, seed, 0, 100))
        things = np.array([thing(source, pair) for pair in pairs])
        assert (split_of(things) == SPLITS[part]).all()


def test_a_twentieth_is_held_out_for_each() -> None:
    counts = np.bincount(split_of(np.arange(100_000)))
    assert counts[:2].tolist() == pytest.approx([5000, 5000], rel=0.05)


@pytest.mark.parametrize("name", ["numbers-en", "dates"])
@given(start=st.integers(0, 10**6), count=st.integers(1, 30), seed=st.integers(0, 100))
def test_a_pair_depends_on_its_seed_and_index_alone(name: str, start: int, count: int, seed: int) -> None:
    source = named_pairs(name)
    whole = list(source.texts("train", seed, start, start + count))
    assert [next(source.texts("train", seed, at, at + 1)) for at in range(start, start + count)] == whole


def test_seeds_and_parts_give_other_pairs() -> None:
    source = named_pairs("dates")
    streams = [list(source.texts(part, seed, 0, 50)) for part in SPLITS for seed in (0, 1)]
    assert len({pair for stream in streams for pair in stream}) > 290


def test_the_same_pairs_everywhere_and_for_ever() -> None:
    """A run that goes on must find the pairs it began with."""
    assert list(named_pairs("numbers-pt_BR").texts("train", 0, 3, 6)) == [
        ("setenta e três", "73"),
        ("oitocentos e dezoito mil quinhentos e seis", "818506"),
        ("quatro", "4"),
    ]


@pytest.mark.parametrize(("name", "package"), [("numbers-en", "num2words"), ("dates", "babel")])
def test_a_missing_package_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.dates", None)
    with pytest.raises(UserError, match=re.escape("pip install 'elman[pairs]'")):
        named_pairs(name)
