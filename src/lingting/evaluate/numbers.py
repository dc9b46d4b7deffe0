"""Spoken numbers to digits, for scoring only.

A reference may write 一百二十三 or 123, "twenty one" or 21. Both sides go through the same
deterministic functions, so a choice of style costs nothing. This is on purpose not the product's
own inverse text normalisation: a rule that is wrong there must cost errors here, not hide them.

Chinese and English are covered whole, 21 other languages below twenty; the rest stay as they are.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

from lingting.languages import is_chinese

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_BIG = {"万": 10**4, "亿": 10**8}
_RUN = "[零〇一二两三四五六七八九十百千万亿]"
_NUMBER = re.compile(rf"(?:\d+(?:\.\d+)?|{_RUN})+")
_ATOM = re.compile(rf"\d+(?:\.\d+)?|{_RUN}")
_DIGIT = r"[\d零〇一二两三四五六七八九]"
_DECIMAL_UNIT = re.compile(rf"({_DIGIT}+)点({_DIGIT}+)(?=[万亿])")
_PERCENT = re.compile(rf"百分之((?:\d|{_RUN}|[点.])+)")

_EN_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_EN_SMALL = {word: value for value, word in enumerate(_EN_WORDS.split())}
_ONES = frozenset(range(1, 10))
_EN_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_EN_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_EN_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13,
    "fourteenth": 14, "fifteenth": 15, "sixteenth": 16, "seventeenth": 17, "eighteenth": 18,
    "nineteenth": 19, "twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50,
    "sixtieth": 60, "seventieth": 70, "eightieth": 80, "ninetieth": 90,
}  # fmt: skip


# 0 and 2 to 19 (twenty begins other numbers); an underscore is a space or a hyphen.
_CARDINALS = {
    "ar": (
        "صفر اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة أحد_عشر اثنا_عشر ثلاثة_عشر "
        "أربعة_عشر خمسة_عشر ستة_عشر سبعة_عشر ثمانية_عشر تسعة_عشر"
    ),
    "ca": (
        "zero dos tres quatre cinc sis set vuit nou deu onze dotze tretze catorze quinze "
        "setze disset divuit dinou"
    ),
    "cs": (
        "nula dva tři čtyři pět šest sedm osm devět deset jedenáct dvanáct třináct čtrnáct "
        "patnáct šestnáct sedmnáct osmnáct devatenáct"
    ),
    "da": (
        "nul to tre fire fem seks syv otte ni ti elleve tolv tretten fjorten femten seksten "
        "sytten atten nitten"
    ),
    "de": (
        "null zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
        "fünfzehn sechzehn siebzehn achtzehn neunzehn"
    ),
    "es": (
        "cero dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
        "dieciséis diecisiete dieciocho diecinueve"
    ),
    "fi": (
        "nolla kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen yksitoista "
        "kaksitoista kolmetoista neljätoista viisitoista kuusitoista seitsemäntoista "
        "kahdeksantoista yhdeksäntoista"
    ),
    "fr": (
        "zéro deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
        "seize dix_sept dix_huit dix_neuf"
    ),
    "hu": (
        "nulla kettő három négy öt hat hét nyolc kilenc tíz tizenegy tizenkettő tizenhárom "
        "tizennégy tizenöt tizenhat tizenhét tizennyolc tizenkilenc"
    ),
    "id": (
        "nol dua tiga empat lima enam tujuh delapan sembilan sepuluh sebelas dua_belas "
        "tiga_belas empat_belas lima_belas enam_belas tujuh_belas delapan_belas "
        "sembilan_belas"
    ),
    "it": (
        "zero due tre quattro cinque sei sette otto nove dieci undici dodici tredici "
        "quattordici quindici sedici diciassette diciotto diciannove"
    ),
    "nl": (
        "nul twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien "
        "vijftien zestien zeventien achttien negentien"
    ),
    "no": (
        "null to tre fire fem seks syv åtte ni ti elleve tolv tretten fjorten femten seksten "
        "sytten atten nitten"
    ),
    "pl": (
        "zero dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście dwanaście "
        "trzynaście czternaście piętnaście szesnaście siedemnaście osiemnaście dziewiętnaście "
    ),
    "pt": (
        "zero dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze "
        "dezasseis dezassete dezoito dezanove"
    ),
    "ro": (
        "zero doi trei patru cinci șase șapte opt nouă zece unsprezece doisprezece "
        "treisprezece paisprezece cincisprezece șaisprezece șaptesprezece optsprezece "
        "nouăsprezece"
    ),
    "ru": (
        "ноль два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать "
        "тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать "
    ),
    "sv": (
        "noll två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton sexton "
        "sjutton arton nitton"
    ),
    "tr": (
        "sıfır iki üç dört beş altı yedi sekiz dokuz on onbir oniki onüç ondört onbeş onaltı "
        "onyedi onsekiz ondokuz"
    ),
    "uk": (
        "нуль два три чотири пять шість сім вісім девять десять одинадцять дванадцять "
        "тринадцять чотирнадцять пятнадцять шістнадцять сімнадцять вісімнадцять девятнадцять "
    ),
    "vi": (
        "không hai ba bốn năm sáu bảy tám chín mười mười_một mười_hai mười_ba mười_bốn "
        "mười_lăm mười_sáu mười_bảy mười_tám mười_chín"
    ),
}


def numbers_to_digits(text: str, language: str) -> str:
    """``text`` (lower case, half width, simplified) with its numbers in digits.

    ``language`` is a BCP 47 tag. Chinese varieties, Japanese and English are changed whole; in
    other languages of the table below the words for 0 and 2 to 19 are, because a recording's
    transcriber and a model choose freely between ``due`` and ``2``.
    """
    primary = language.split("-")[0]
    if is_chinese(primary) or primary == "ja":
        return _chinese(text)
    if primary == "en":
        return _english(text)
    return _small_cardinals(text, primary)


def _small_cardinals(text: str, primary: str) -> str:
    """Whole words only; "one" is left, in most languages it is the article as well."""
    if primary not in _CARDINALS:
        return text
    found = _cardinal_pattern(primary)
    values = _cardinal_values(primary)
    return found.sub(lambda match: str(values[match[0]]), text)


@cache
def _cardinal_values(primary: str) -> dict[str, int]:
    """Word or words (the hyphen is a space by now) to value."""
    words = [word.replace("_", " ") for word in _CARDINALS[primary].split()]
    return {words[0]: 0} | dict(zip(words[1:], range(2, 20), strict=True))


@cache
def _cardinal_pattern(primary: str) -> re.Pattern[str]:
    longest_first = sorted(_cardinal_values(primary), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _chinese(text: str) -> str:
    text = text.replace("億", "亿").replace("萬", "万")
    text = _PERCENT.sub(lambda match: _chinese(match[1]) + "%", text)
    text = _DECIMAL_UNIT.sub(lambda match: f"{_digits(match[1])}.{_digits(match[2])}", text)
    text = _NUMBER.sub(lambda match: _chinese_number(match[0]), text)
    # 三点五 is 3点5 by now; 3.5 joins it.
    return re.sub(r"(?<=\d)\.(?=\d)", "点", text)


def _chinese_number(run: str) -> str:
    atoms = _ATOM.findall(run)
    if not any(atom in _SMALL or atom in _BIG for atom in atoms):
        return _digits(run)
    value = _chinese_value(atoms)
    # 万一, 千万: no number, or none we can read.
    return run if value is None or value != int(value) else str(int(value))


def _digits(run: str) -> str:
    return "".join(str(_DIGITS.get(char, char)) for char in run)


def _chinese_value(atoms: list[str]) -> Decimal | None:
    """The value of atoms such as ``["1", "亿", "三", "千", "万"]``; None when malformed."""
    total = section = Decimal(0)
    number: Decimal | None = None
    last_unit = 1
    last_big: int | None = None
    for atom in atoms:
        if atom in _SMALL:
            if number is None and atom != "十":
                return None
            section += (Decimal(1) if number is None else number) * _SMALL[atom]
            number, last_unit = None, _SMALL[atom]
        elif atom in _BIG:
            section += number or 0
            number, last_unit = None, _BIG[atom]
            if not total + section:
                return None
            if last_big is None or last_unit >= last_big:
                total = (total + section) * last_unit
            else:
                total += section * last_unit
            section, last_big = Decimal(0), last_unit
        elif number:
            return None
        else:
            number = Decimal(_DIGITS.get(atom, atom))
            if not number:
                last_unit = 1  # 零: what follows are ones
    if number is None:
        return total + section
    # 一百二 is 120, 三万五 is 35000; 3万500 is 30500.
    return total + section + number * (last_unit // 10 or 1 if number < 10 else 1)


def _english(text: str) -> str:
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    text = re.sub(r"\$\s*(\d+)", r"\1 dollars", text)
    text = re.sub(r"£\s*(\d+)", r"\1 pounds", text)
    text = re.sub(r"€\s*(\d+)", r"\1 euros", text)
    text = text.replace("%", " percent ").replace("per cent", "percent").replace("&", " and ")
    words = text.split()
    out: list[str] = []
    at = 0
    while at < len(words):
        number, at_next = _english_number(words, at)
        out.append(number)
        at = at_next
    return " ".join(out)


def _english_number(words: list[str], at: int) -> tuple[str, int]:
    """The longest number that starts at ``words[at]`` and where it ends; else the word itself."""
    start = at
    if words[at] == "a" and at + 1 < len(words) and words[at + 1] in {"hundred", *_EN_SCALES}:
        at += 1  # a hundred
    total = current = 0
    last = ""  # what kind of word came before: "", ones, teens, tens, hundred, scale
    last_scale = 10**15
    while at < len(words):
        word = words[at]
        follows_hundred = last in {"", "hundred", "scale"}
        if word == "and" and last in {"hundred", "scale"} and _is_small(words[at + 1 : at + 2]):
            at += 1
            continue
        if word.isdecimal() and not last:
            current, last = int(word), "ones"
        elif word in _EN_SMALL and (
            follows_hundred or (last == "tens" and _EN_SMALL[word] in _ONES)
        ):
            current += _EN_SMALL[word]
            last = "ones" if _EN_SMALL[word] < 10 else "teens"
            if word == "zero":
                return "0", at + 1
        elif word in _EN_TENS and follows_hundred:
            current, last = current + _EN_TENS[word], "tens"
        elif word == "hundred" and last in {"", "ones", "teens"}:
            current, last = (current or 1) * 100, "hundred"
        elif word in _EN_SCALES and last != "scale" and _EN_SCALES[word] < last_scale:
            last_scale = _EN_SCALES[word]
            total, current, last = total + (current or 1) * last_scale, 0, "scale"
        elif _ends_with_ordinal(word, last):
            return _ordinal(total + current + _EN_ORDINALS[word]), at + 1
        else:
            break
        at += 1
    if not last:
        return words[start], start + 1
    if at == start + 1 and words[start].isdecimal():
        return words[start], at  # leading zeros stay
    return str(total + current), at


def _is_small(words: list[str]) -> bool:
    return bool(words) and (words[0] in _EN_SMALL or words[0] in _EN_TENS)


def _ends_with_ordinal(word: str, last: str) -> bool:
    value = _EN_ORDINALS.get(word)
    if value is None:
        return False
    return last in {"", "hundred", "scale"} or (last == "tens" and value < 10)


def _ordinal(value: int) -> str:
    if value % 100 in {11, 12, 13}:
        return f"{value}th"
    return f"{value}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(value % 10, 'th') }"
