import pytest

from lingting.errors import LanguageUnknown
from lingting.languages import (
    CHINESE,
    LANGUAGES,
    chinese_label,
    chinese_name,
    english_name,
    is_chinese,
    macro_language,
    parse_language,
    whisper_code,
)

WHISPER_CODES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th "
    "ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr "
    "pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt "
    "haw ln ha ba jw su"
)
WHISPER = WHISPER_CODES.split()

LABELS_AND_CODES = (
    "中文 zh 英文 en 粤语 yue 日文 ja 韩文 ko 越南语 vi 印尼语 id 泰语 th 马来语 ms 菲律宾语 fil "
    "阿拉伯语 ar 印地语 hi 保加利亚语 bg 克罗地亚语 hr 捷克语 cs 丹麦语 da 荷兰语 nl 爱沙尼亚语 et "
    "芬兰语 fi 希腊语 el 匈牙利语 hu 爱尔兰语 ga 拉脱维亚语 lv 立陶宛语 lt 马耳他语 mt 波兰语 pl "
    "葡萄牙语 pt 罗马尼亚语 ro 斯洛伐克语 sk 斯洛文尼亚语 sl 瑞典语 sv"
)
MLT_LABELS = LABELS_AND_CODES.split()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, None), ("", None), ("  ", None), ("auto", None), ("AUTO", None), ("自动", None),
        ("zh", "zh"), ("ZH", "zh"), ("zh-CN", "zh"), ("zh_TW", "zh"), ("zh-Hans-CN", "zh"),
        ("zh-x-sichuan", "zh"), ("cmn", "zh"), ("cmn-Hant", "zh"), ("zh-yue", "yue"),
        ("zh-yue-HK", "yue"), ("yue", "yue"), ("wuu", "wuu"), ("hsn", "hsn"), ("nan", "nan"),
        ("en-GB", "en"), ("es-MX", "es"), ("fr-CA", "fr"), ("jw", "jv"), ("jv", "jv"),
        ("iw", "he"), ("tl", "fil"), ("fil-PH", "fil"), ("nb", "no"),
        ("English", "en"), (" cantonese ", "yue"), ("Mandarin", "zh"), ("Haitian Creole", "ht"),
        ("中文", "zh"), ("普通话", "zh"), ("粤语", "yue"), ("广东话", "yue"), ("廣東話", "yue"),
        ("英文", "en"), ("英语", "en"), ("英語", "en"), ("日文", "ja"), ("日语", "ja"),
        ("韩文", "ko"), ("法文", "fr"), ("上海话", "wuu"), ("闽南语", "nan"), ("菲律宾语", "fil"),
    ],
)  # fmt: skip
def test_whatever_people_type_becomes_one_code(given: str | None, code: str | None) -> None:
    assert parse_language(given) == code


@pytest.mark.parametrize("given", ["klingon", "xx", "zxx", "12", "x-sichuan", "-", "中"])
def test_other_names_are_refused(given: str) -> None:
    with pytest.raises(LanguageUnknown):
        parse_language(given)


def test_a_typing_slip_gets_a_suggestion() -> None:
    with pytest.raises(LanguageUnknown, match="english"):
        parse_language("Englsh")


def test_no_name_means_two_languages() -> None:
    seen: dict[str, str] = {}
    for language in LANGUAGES:
        for name in (language.code, language.english, language.chinese, *language.aliases):
            assert seen.setdefault(name.casefold(), language.code) == language.code, name


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
def test_every_code_and_name_is_parsed(language) -> None:
    for name in (language.code, language.english, language.chinese, *language.aliases):
        assert parse_language(name) == language.code
    assert english_name(language.code) == language.english
    assert chinese_name(language.code) == language.chinese


@pytest.mark.parametrize("code", WHISPER)
def test_whisper_languages_go_there_and_back(code: str) -> None:
    own = parse_language(code)
    assert own is not None
    assert whisper_code(own) == code
    assert whisper_code(own, frozenset(WHISPER)) == code


def test_whisper_without_cantonese_is_asked_for_chinese() -> None:
    assert whisper_code("yue", frozenset(WHISPER)) == "zh"
    assert whisper_code("yue", frozenset({*WHISPER, "yue"})) == "yue"
    assert whisper_code("yue") == "zh"
    assert whisper_code("ga") is None
    assert whisper_code("fr", frozenset({"en"})) is None


@pytest.mark.parametrize(
    ("label", "code"), list(zip(MLT_LABELS[::2], MLT_LABELS[1::2], strict=True))
)
def test_prompt_labels_of_the_31_languages(label: str, code: str) -> None:
    assert chinese_label(code) == label
    assert parse_language(label) == code


def test_chinese_varieties() -> None:
    for code in CHINESE:
        assert macro_language(code) == "zh"
        assert is_chinese(code)
    assert chinese_label("wuu") == "中文"
    assert is_chinese("zh-x-sichuan")
    assert not is_chinese("ja")
    assert not is_chinese(None)
    assert not is_chinese("zxx")
    assert macro_language("pt-BR") == "pt"
    with pytest.raises(LanguageUnknown):
        macro_language("zxx")
