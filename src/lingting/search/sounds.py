"""How Chinese sounds: toneless pinyin as numbers, and pinyin as people type it.

A syllable is a number from 1 on, its place in ``SYLLABLES``, which never changes, because indices
hold the numbers; 0 is a unit that is no Chinese character. The readings come from pypinyin, which
knows 行 in 银行 from 行 in 行人; without it there is no search by sound.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import groupby
from typing import Any

from lingting.errors import ExtraMissing
from lingting.search.folding import is_han

_LISTED = """
a ai an ang ao ba bai ban bang bao bei ben beng bi bian biang biao bie bin bing bo bong bu ca cai
can cang cao ce cei cen ceng cha chai chan chang chao che chen cheng chi chong chou chu chua chuai
chuan chuang chui chun chuo ci cong cou cu cuan cui cun cuo da dai dan dang dao de dei den deng di
dia dian diao die din ding diu dong dou du duan dui dun duo e ei en eng er fa fan fang fei fen feng
fiao fo fou fu ga gai gan gang gao ge gei gen geng gong gou gu gua guai guan guang gui gun guo ha
hai han hang hao he hei hen heng hm hng hong hou hu hua huai huan huang hui hun huo ji jia jian
jiang jiao jie jin jing jiong jiu ju juan jue jun ka kai kan kang kao ke kei ken keng kong kou ku
kua kuai kuan kuang kui kun kuo la lai lan lang lao le lei len leng li lia lian liang liao lie lin
ling liu lo long lou lu luan lun luo lv lve m ma mai man mang mao me mei men meng mi mian miao mie
min ming miu mo mou mu n na nai nan nang nao ne nei nen neng ng ni nia nian niang niao nie nin ning
niu nong nou nu nuan nun nuo nv nve o ou pa pai pan pang pao pei pen peng pi pian piao pie pin ping
po pou pu qi qia qian qiang qiao qie qin qing qiong qiu qu quan que qun ran rang rao re ren reng ri
rong rou ru rua ruan rui run ruo sa sai san sang sao se sen seng sha shai shan shang shao she shei
shen sheng shi shou shu shua shuai shuan shuang shui shun shuo si song sou su suan sui sun suo ta
tai tan tang tao te tei teng ti tian tiao tie ting tong tou tu tuan tui tun tuo wa wai wan wang wei
wen weng wo wong wu xi xia xian xiang xiao xie xin xing xiong xiu xu xuan xue xun ya yan yang yao
ye yi yin ying yo yong you yu yuan yue yun za zai zan zang zao ze zei zen zeng zha zhai zhan zhang
zhao zhe zhei zhen zheng zhi zhong zhou zhu zhua zhuai zhuan zhuang zhui zhun zhuo zi zong zou zu
zuan zui zun zuo
"""
SYLLABLES = tuple(_LISTED.split())
_CODES = {syllable: number for number, syllable in enumerate(SYLLABLES, 1)}
_TYPED = {
    **{name: code for name, code in _CODES.items() if re.search("[aeiouv]", name)},
    **{"lyu": _CODES["lv"], "nyu": _CODES["nv"], "lyue": _CODES["lve"], "nyue": _CODES["nve"]},
    **{"lue": _CODES["lve"], "nue": _CODES["nve"]},
}
_LONGEST = max(map(len, _TYPED))
_MOST_WAYS = 8
"""Ways to part a run of letters that are tried: fangan is fan gan and fang an."""
_TONES = {"\u0304", "\u0301", "\u030c", "\u0300"}
_PARTS = re.compile(r"[a-z]+")
_LETTERS = re.compile(r"[a-zA-ZüÜāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ\u0300-\u030c1-5'’·-]+")


@cache
def has_sounds() -> bool:
    """Whether pypinyin is installed."""
    return find_spec("pypinyin") is not None


def require_sounds() -> None:
    """Raises ExtraMissing without pypinyin."""
    if not has_sounds():
        raise ExtraMissing(
            "A search by sound needs pypinyin.", "Run `pip install lingting[search]`."
        )


def sounds_of(units: Sequence[str]) -> tuple[int, ...]:
    """The syllable of each unit. Raises ExtraMissing."""
    require_sounds()
    sounds: list[int] = []
    for are_han, run in groupby(units, is_han):
        some = list(run)
        sounds += _readings("".join(some)) if are_han else [0] * len(some)
    return tuple(sounds)


@lru_cache(maxsize=4_096)
def _readings(run: str) -> tuple[int, ...]:
    from pypinyin import Style, lazy_pinyin

    none: Any = lambda unknown: [""] * len(unknown)  # noqa: E731 - its types know of strings only
    told = lazy_pinyin(run, style=Style.NORMAL, errors=none)
    if len(told) != len(run):  # it reads one character as one syllable; without that, no sound
        return (0,) * len(run)
    return tuple(_CODES.get(one, 0) for one in told)


def pack(sounds: Iterable[int]) -> bytes:
    """Two bytes a unit, little-endian; nothing where nothing sounds."""
    numbers = array("H", sounds)
    if not any(numbers):
        return b""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack(packed: bytes) -> tuple[int, ...]:
    numbers = array("H", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)


@lru_cache(maxsize=1_024)
def typed_ways(typed: str) -> tuple[tuple[int, ...], ...]:
    """Every way to read letters as syllables, the fewest first; none if they are no pinyin.

    Tones are left out, as marks and as numbers; an apostrophe or hyphen parts syllables.
    """
    if not _LETTERS.fullmatch(typed):
        return ()
    plain = "".join(_plain(typed)).replace("u\0", "v").replace("\0", "")
    found: list[tuple[int, ...]] = [()]
    for run in _PARTS.findall(plain):
        found = [before + way for before in found for way in _parted(run)][: _MOST_WAYS**2]
    return tuple(sorted(filter(None, found), key=len)[:_MOST_WAYS])


def _plain(typed: str) -> Iterator[str]:
    for char in unicodedata.normalize("NFD", typed.casefold().replace("ü", "v")):
        if char == "\u0308":  # u with dots and a tone: the u came before it
            yield "\0"
        elif char not in _TONES:
            yield char


def _parted(run: str) -> list[tuple[int, ...]]:
    ends: list[list[tuple[int, ...]]] = [[] for _ in range(len(run) + 1)]
    ends[0] = [()]
    for at in range(len(run)):
        for size in range(1, min(_LONGEST, len(run) - at) + 1):
            code = _TYPED.get(run[at : at + size])
            if code is not None:
                ends[at + size] += [(*before, code) for before in ends[at]]
        for later in ends[at + 1 : at + 1 + _LONGEST]:
            later.sort(key=len)
            del later[_MOST_WAYS:]
    return ends[-1]
