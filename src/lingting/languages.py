"""The languages recognisers know: codes, names, and what people type for them.

Codes are the shortest ISO 639 code, as BCP 47 asks (``zh``, ``en``, ``yue``, ``fil``). The table
covers Whisper's languages, the 31 of Fun-ASR-MLT and the Chinese varieties of Fun-ASR-Nano.
:func:`parse_language` turns anything a caller may write into one of these codes; regions and
scripts are dropped because no engine here tells them apart. Evaluation reports keep full tags.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache

from lingting.errors import LanguageUnknown


@dataclass(frozen=True, slots=True)
class Language:
    """One language; ``aliases`` are further codes and names in any script, lower case."""

    code: str
    english: str
    chinese: str
    aliases: tuple[str, ...] = ()


LANGUAGES: tuple[Language, ...] = (
    Language("af", "Afrikaans", "南非荷兰语", ("阿非利卡语",)),
    Language("am", "Amharic", "阿姆哈拉语"),
    Language("ar", "Arabic", "阿拉伯语", ("arb",)),
    Language("as", "Assamese", "阿萨姆语"),
    Language("az", "Azerbaijani", "阿塞拜疆语"),
    Language("ba", "Bashkir", "巴什基尔语"),
    Language("be", "Belarusian", "白俄罗斯语"),
    Language("bg", "Bulgarian", "保加利亚语"),
    Language("bn", "Bengali", "孟加拉语", ("bangla",)),
    Language("bo", "Tibetan", "藏语"),
    Language("br", "Breton", "布列塔尼语"),
    Language("bs", "Bosnian", "波斯尼亚语"),
    Language("ca", "Catalan", "加泰罗尼亚语", ("valencian",)),
    Language("cjy", "Jin Chinese", "晋语", ("jin", "晋方言", "山西话", "zh-cjy")),
    Language("cs", "Czech", "捷克语"),
    Language("cy", "Welsh", "威尔士语"),
    Language("da", "Danish", "丹麦语"),
    Language("de", "German", "德语", ("deutsch",)),
    Language("el", "Greek", "希腊语"),
    Language("en", "English", "英语"),
    Language("es", "Spanish", "西班牙语", ("castilian", "español")),
    Language("et", "Estonian", "爱沙尼亚语"),
    Language("eu", "Basque", "巴斯克语"),
    Language("fa", "Persian", "波斯语", ("farsi",)),
    Language("fi", "Finnish", "芬兰语"),
    Language("fil", "Filipino", "菲律宾语", ("tl", "tgl", "tagalog", "他加禄语")),
    Language("fo", "Faroese", "法罗语"),
    Language("fr", "French", "法语", ("français",)),
    Language("ga", "Irish", "爱尔兰语"),
    Language("gan", "Gan Chinese", "赣语", ("zh-gan", "江西话")),
    Language("gl", "Galician", "加利西亚语"),
    Language("gu", "Gujarati", "古吉拉特语"),
    Language("ha", "Hausa", "豪萨语"),
    Language("hak", "Hakka Chinese", "客家话", ("hakka", "客语", "客家语", "zh-hakka", "i-hak")),
    Language("haw", "Hawaiian", "夏威夷语"),
    Language("he", "Hebrew", "希伯来语", ("iw",)),
    Language("hi", "Hindi", "印地语"),
    Language("hr", "Croatian", "克罗地亚语"),
    Language("hsn", "Xiang Chinese", "湘语", ("xiang", "湖南话", "长沙话", "zh-xiang")),
    Language("ht", "Haitian Creole", "海地克里奥尔语", ("haitian",)),
    Language("hu", "Hungarian", "匈牙利语"),
    Language("hy", "Armenian", "亚美尼亚语"),
    Language("id", "Indonesian", "印尼语", ("in", "印度尼西亚语")),
    Language("is", "Icelandic", "冰岛语"),
    Language("it", "Italian", "意大利语"),
    Language("ja", "Japanese", "日语", ("jp",)),
    Language("jv", "Javanese", "爪哇语", ("jw",)),
    Language("ka", "Georgian", "格鲁吉亚语"),
    Language("kk", "Kazakh", "哈萨克语"),
    Language("km", "Khmer", "高棉语", ("柬埔寨语", "cambodian")),
    Language("kn", "Kannada", "卡纳达语"),
    Language("ko", "Korean", "韩语", ("kr", "朝鲜语")),
    Language("la", "Latin", "拉丁语"),
    Language("lb", "Luxembourgish", "卢森堡语", ("letzeburgesch",)),
    Language("ln", "Lingala", "林加拉语"),
    Language("lo", "Lao", "老挝语"),
    Language("lt", "Lithuanian", "立陶宛语"),
    Language("lv", "Latvian", "拉脱维亚语"),
    Language("mg", "Malagasy", "马尔加什语"),
    Language("mi", "Maori", "毛利语"),
    Language("mk", "Macedonian", "马其顿语"),
    Language("ml", "Malayalam", "马拉雅拉姆语"),
    Language("mn", "Mongolian", "蒙古语"),
    Language("mr", "Marathi", "马拉地语"),
    Language("ms", "Malay", "马来语"),
    Language("mt", "Maltese", "马耳他语"),
    Language("my", "Burmese", "缅甸语", ("myanmar",)),
    Language("nan", "Southern Min", "闽南语", ("min nan", "hokkien", "taiwanese", "闽南话", "台语",
                                              "闽语", "zh-min-nan", "zh-min", "zh-nan")),
    Language("ne", "Nepali", "尼泊尔语"),
    Language("nl", "Dutch", "荷兰语", ("flemish",)),
    Language("nn", "Norwegian Nynorsk", "新挪威语", ("nynorsk",)),
    Language("no", "Norwegian", "挪威语", ("nb", "bokmål", "norwegian bokmål")),
    Language("oc", "Occitan", "奥克语"),
    Language("pa", "Punjabi", "旁遮普语", ("panjabi",)),
    Language("pl", "Polish", "波兰语"),
    Language("ps", "Pashto", "普什图语", ("pushto",)),
    Language("pt", "Portuguese", "葡萄牙语"),
    Language("ro", "Romanian", "罗马尼亚语", ("mo", "moldavian", "moldovan")),
    Language("ru", "Russian", "俄语"),
    Language("sa", "Sanskrit", "梵语"),
    Language("sd", "Sindhi", "信德语"),
    Language("si", "Sinhala", "僧伽罗语", ("sinhalese",)),
    Language("sk", "Slovak", "斯洛伐克语"),
    Language("sl", "Slovenian", "斯洛文尼亚语", ("slovene",)),
    Language("sn", "Shona", "绍纳语"),
    Language("so", "Somali", "索马里语"),
    Language("sq", "Albanian", "阿尔巴尼亚语"),
    Language("sr", "Serbian", "塞尔维亚语"),
    Language("su", "Sundanese", "巽他语"),
    Language("sv", "Swedish", "瑞典语"),
    Language("sw", "Swahili", "斯瓦希里语"),
    Language("ta", "Tamil", "泰米尔语"),
    Language("te", "Telugu", "泰卢固语"),
    Language("tg", "Tajik", "塔吉克语"),
    Language("th", "Thai", "泰语"),
    Language("tk", "Turkmen", "土库曼语"),
    Language("tr", "Turkish", "土耳其语"),
    Language("tt", "Tatar", "鞑靼语"),
    Language("uk", "Ukrainian", "乌克兰语"),
    Language("ur", "Urdu", "乌尔都语"),
    Language("uz", "Uzbek", "乌兹别克语"),
    Language("vi", "Vietnamese", "越南语"),
    Language("wuu", "Wu Chinese", "吴语", ("wu", "shanghainese", "上海话", "苏州话", "江浙话",
                                          "zh-wuu")),
    Language("yi", "Yiddish", "意第绪语", ("ji",)),
    Language("yo", "Yoruba", "约鲁巴语"),
    Language("yue", "Cantonese", "粤语", ("yue chinese", "广东话", "广州话", "白话", "zh-yue",
                                         "zh-cantonese")),
    Language("zh", "Chinese", "中文", ("cmn", "zho", "chi", "cn", "mandarin", "mandarin chinese",
                                      "汉语", "普通话", "国语", "华语", "官话", "四川话",
                                      "zh-cmn")),
)  # fmt: skip

CHINESE = frozenset({"zh", "yue", "wuu", "nan", "hsn", "hak", "gan", "cjy"})

# Labels in the prompt of Fun-ASR-Nano and -MLT where they differ from the common Chinese name.
# The models were trained on these very words; an English name does not work.
_PROMPT_LABELS = {"en": "英文", "ja": "日文", "ko": "韩文"}
_PROMPT_OWN = frozenset({"zh", "yue"})

_WHISPER_CODES = {"fil": "tl", "jv": "jw"}
_NOT_IN_WHISPER = frozenset({"ga"})

_AUTO = frozenset({"", "auto", "自动", "none", "und"})
_SIMPLIFIED = str.maketrans("語話國漢華廣東粵閩臺吳贛晉韓羅愛蘭亞馬緬蒙寮貝納爾維",
                            "语话国汉华广东粤闽台吴赣晋韩罗爱兰亚马缅蒙寮贝纳尔维")  # fmt: skip
_PRIVATE_USE = re.compile(r"-x-.*$")


def parse_language(name: str | None) -> str | None:
    """The code for an ISO code, an English or a Chinese name; None for None, "" and ``auto``.

    ``en-GB`` → ``en``, ``zh-TW`` → ``zh``, ``zh-x-sichuan`` → ``zh``, ``zh-yue`` → ``yue``,
    ``广东话`` → ``yue``. Raises :class:`LanguageUnknown` with near suggestions.
    """
    if name is None:
        return None
    key = _key(name)
    if key in _AUTO:
        return None
    found = _by_name().get(key) or _by_tag(key)
    if found is None:
        raise LanguageUnknown(f"The language {name[:40]!r} is not known.{_suggestion(key)}")
    return found


def english_name(code: str) -> str:
    """``yue`` → ``Cantonese``. Raises :class:`LanguageUnknown`."""
    return _language(code).english


def chinese_name(code: str) -> str:
    """``yue`` → ``粤语``. Raises :class:`LanguageUnknown`."""
    return _language(code).chinese


def chinese_label(code: str) -> str:
    """What Fun-ASR's prompt calls the language: ``en`` → ``英文``, ``yue`` → ``粤语``.

    Chinese varieties without a label of their own are 中文. Raises :class:`LanguageUnknown`.
    """
    language = _language(code)
    if language.code in CHINESE and language.code not in _PROMPT_OWN:
        return _language("zh").chinese
    return _PROMPT_LABELS.get(language.code, language.chinese)


def macro_language(code: str) -> str:
    """``zh`` for every Chinese variety, else the code's own language."""
    own = _language(code).code
    return "zh" if own in CHINESE else own


def is_chinese(code: str | None) -> bool:
    """True for Mandarin and every other Chinese variety; False for None and unknown codes."""
    if code is None:
        return False
    return (_by_tag(_key(code)) or "") in CHINESE


def whisper_code(code: str, known: frozenset[str] | None = None) -> str | None:
    """The code Whisper's tokenizer uses, or None for a language it was not trained on.

    ``known`` are the codes of the model at hand: only the newest ones have ``yue``. Chinese
    varieties that the model does not have are asked for as ``zh``.
    """
    own = _language(code).code
    mapped = _WHISPER_CODES.get(own, own)
    if known is not None and mapped not in known:
        mapped = macro_language(own)
    elif known is None and own in CHINESE:
        mapped = "zh"
    if mapped in _NOT_IN_WHISPER or (known is not None and mapped not in known):
        return None
    return mapped


def _key(name: str) -> str:
    return name.strip().casefold().replace("_", "-").translate(_SIMPLIFIED)


@cache
def _by_name() -> dict[str, str]:
    """Everything that may be typed, lower case and simplified → code."""
    names: dict[str, str] = {}
    for language in LANGUAGES:
        for name in (language.code, language.english, language.chinese, *language.aliases):
            names[_key(name)] = language.code
            # 法语 and 法文, 客家话 and 客家语 are the same wish.
            if name.endswith(("语", "话")):
                names.setdefault(name[:-1] + "文", language.code)
    return names


def _by_tag(key: str) -> str | None:
    """Drop private use, then subtags from the right: zh-hans-cn → zh-hans → zh."""
    tag = _PRIVATE_USE.sub("", key)
    names = _by_name()
    while tag not in names:
        tag, separator, _ = tag.rpartition("-")
        if not separator:
            return None
    return names[tag]


def _language(code: str) -> Language:
    found = _by_tag(_key(code))
    if found is None:
        raise LanguageUnknown(f"The language code {code[:40]!r} is not known.{_suggestion(code)}")
    return _by_code()[found]


@cache
def _by_code() -> dict[str, Language]:
    return {language.code: language for language in LANGUAGES}


def _suggestion(key: str) -> str:
    near = difflib.get_close_matches(key, _by_name(), n=3, cutoff=0.6)
    return f" Did you mean {', '.join(near)}?" if near else ""
