import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingting.evaluate.alignment import Score, aggregate, interval, score, total
from lingting.evaluate.normalise import metric, normalise, units
from lingting.evaluate.numbers import numbers_to_digits


@pytest.mark.parametrize(
    ("spoken", "digits"),
    [
        ("一百二十三", "123"), ("一百零二", "102"), ("一百二", "120"), ("十一", "11"),
        ("二十", "20"),
        ("两千零八", "2008"), ("二零零八年", "2008年"), ("三万五", "35000"), ("3万500", "30500"),
        ("一亿三千万", "130000000"), ("1亿3千万", "130000000"), ("1.5万", "15000"),
        ("一点五亿", "150000000"), ("三点五", "3点5"), ("3.5", "3点5"), ("百分之五十", "50%"),
        ("万一", "万一"), ("千万", "千万"), ("一万零二百", "10200"), ("十万", "100000"),
        ("第一", "第1"), ("三五个", "35个"), ("一千二百三十四元", "1234元"),
    ],
)  # fmt: skip
def test_chinese_numbers(spoken: str, digits: str) -> None:
    assert numbers_to_digits(spoken, "zh-CN") == digits
    assert numbers_to_digits(digits, "yue") == digits


@pytest.mark.parametrize(
    ("spoken", "digits"),
    [
        ("twenty one", "21"), ("one hundred and five", "105"), ("a hundred", "100"),
        ("two thousand and eight", "2008"), ("nineteen eighty four", "19 84"),
        ("nineteen hundred", "1900"), ("one two three", "1 2 3"), ("twenty first", "21st"),
        ("first", "1st"), ("the eleventh hour", "the 11th hour"), ("three point five", "3 point 5"),
        ("3.5", "3 point 5"), ("5 million", "5000000"), ("five million", "5000000"),
        ("one million two hundred thousand and three", "1200003"), ("you and five", "you and 5"),
        ("five and six", "5 and 6"), ("50%", "50 percent"), ("fifty per cent", "50 percent"),
        ("$5", "5 dollars"), ("a dog", "a dog"), ("007", "007"), ("", ""), ("zero", "0"),
        ("thousand", "1000"), ("a", "a"), ("forty second", "42nd"),
    ],
)  # fmt: skip
def test_english_numbers(spoken: str, digits: str) -> None:
    assert numbers_to_digits(spoken, "en-GB") == digits
    assert numbers_to_digits(digits, "en") == digits


def test_other_languages_keep_their_larger_numbers() -> None:
    assert numbers_to_digits("vingt et un 21", "fr") == "vingt et un 21"


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("你好，世界！", "zh", "你好世界"),
        ("臺灣的軟體", "zh-TW", "台湾的软体"),
        ("享受著", "zh", "享受着"),
        ("ＡＢＣ１２３", "zh", "abc123"),
        ("我 用 Python 3 写 的", "zh", "我用python 3写的"),
        ("嗯，那个，我觉得", "zh", "嗯那个我觉得"),
        ("學校", "ja", "學校"),
        ("Don't stop—well-known, U.S. e.g. X!", "en", "dont stop well known us eg x"),
        ("It’s 1,234.50", "en", "its 1234 point 50"),
        ("Ça va, l'été?", "fr", "ça va lété"),
        ("한국어 문장", "ko", "한국어문장"),
        ("السَّلامُ ١٢", "ar", "السلام 12"),
        ("  ", "en", ""),
        ("...", "zh", ""),
    ],
)
def test_normalised_text(text: str, language: str, expected: str) -> None:
    assert normalise(text, language) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("我用 Python，写2024行", "zh", ["我", "用", "python", "写", "2", "0", "2", "4", "行"]),
        ("Hello, brave new world", "en", ["hello", "brave", "new", "world"]),
        ("nineteen eighty-four", "en", ["1", "9", "8", "4"]),
        ("1984", "en", ["1", "9", "8", "4"]),
        ("안녕 세계", "ko", ["안", "녕", "세", "계"]),
        ("カメラ", "ja", ["カ", "メ", "ラ"]),
        ("สวัสดี", "th", list("สวัสดี")),
        ("", "en", []),
    ],
)
def test_units(text: str, language: str, expected: list[str]) -> None:
    assert units(text, language) == expected


def test_metric_follows_the_units() -> None:
    for tag in ("zh", "zh-x-sichuan", "yue", "wuu", "nan", "hsn", "ja", "ko", "th"):
        assert metric(tag) == "CER"
    for tag in ("en", "en-GB", "fr-CA", "vi", "ar"):
        assert metric(tag) == "WER"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "language", "expected"),
    [
        ("the cat sat", "the cat sat", "en", Score(hits=3)),
        ("the cat sat", "the bat sat", "en", Score(1, 0, 0, 2)),
        ("the cat sat", "the sat", "en", Score(0, 1, 0, 2)),
        ("the cat sat", "the big cat sat", "en", Score(0, 0, 1, 3)),
        ("the cat was on it", "a cat on it now", "en", Score(1, 1, 1, 3)),
        ("the cat", "", "en", Score(0, 2, 0, 0)),
        ("", "the cat", "en", Score(0, 0, 2, 0)),
        ("今天天气很好", "今天天汽好", "zh", Score(1, 1, 0, 4)),
        ("二十三號", "23号。", "zh", Score(hits=3)),
        ("粵語", "粤语粤语", "yue", Score(0, 0, 2, 2)),
        ("twenty-one dogs", "21 dogs", "en", Score(hits=3)),
    ],
)
def test_counts_done_by_hand(
    reference: str, hypothesis: str, language: str, expected: Score
) -> None:
    assert score(reference, hypothesis, language) == expected


def test_rate() -> None:
    one = Score(substitutions=1, deletions=2, insertions=3, hits=7)
    assert one.reference_units == 10
    assert one.rate == pytest.approx(0.6)
    assert Score(insertions=4).rate is None


_letters = st.text(alphabet="abc ", max_size=20)


@settings(deadline=None)
@given(_letters, _letters)
def test_the_parts_add_up(reference: str, hypothesis: str) -> None:
    one = score(reference, hypothesis, "en")
    wanted, heard = units(reference, "en"), units(hypothesis, "en")
    assert one.reference_units == len(wanted)
    assert one.hits + one.substitutions + one.insertions == len(heard)
    assert one.errors <= max(len(wanted), len(heard))
    assert (one.errors == 0) == (wanted == heard)


@settings(deadline=None)
@given(_letters, st.sampled_from(["en", "zh", "ja", "fr"]))
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = normalise(text, language)
    assert normalise(once, language) == once


def test_micro_average_weighs_clips_by_length() -> None:
    long, short = Score(hits=98, deletions=2), Score(substitutions=2)
    assert total([long, short]).rate == pytest.approx(4 / 102)
    sums = aggregate([("zh", long), ("en", short), ("zh", short)])
    assert list(sums) == ["en", "zh"]
    assert sums["zh"] == long + short


def test_interval_holds_the_rate_and_is_repeatable() -> None:
    scores = [Score(substitutions=i % 3, hits=20) for i in range(30)]
    low_high = interval(scores)
    assert low_high is not None
    rate = total(scores).rate
    assert rate is not None
    assert low_high[0] < rate < low_high[1]
    assert interval(scores) == low_high
    assert interval(scores[:1]) is None
    assert interval([Score(insertions=1)] * 2) is None


@pytest.mark.parametrize(
    ("language", "spoken", "digits"),
    [
        ("it", "premere due per cambiare", "premere 2 per cambiare"),
        ("fr-CA", "le dix sept mai", "le 17 mai"),
        ("vi", "mười hai phỗng", "12 phỗng"),
        ("es", "una cosa y doce más", "una cosa y 12 más"),
        ("de", "dreizehnte neunmal acht", "dreizehnte neunmal 8"),
        ("sw", "mbili", "mbili"),
    ],
)
def test_small_numbers_of_other_languages_are_one_style(
    language: str, spoken: str, digits: str
) -> None:
    assert numbers_to_digits(spoken, language) == digits
    assert numbers_to_digits(digits, language) == digits
