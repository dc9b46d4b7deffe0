"""Searching a million segments: how long an answer takes, and whether it is right.

    python bench/search.py [--segments 1000000] [--database sqlite] [--folder DIR] [--json FILE]

Recordings, lengths, owners, tags and corrections are those of ``bench/history.py``; what is said is
made of 47,000 Chinese words and 20,000 words of letters, drawn as in real text: the word of rank
*n* comes *1/n* times as often as the first. `lingting db reindex` makes the index.

Each question is asked ``--rounds`` times, with another word or piece of a stored segment each time,
so that nothing is answered from a cache of the same words; the questions take turns. What must be
found is looked for in the answer. Milliseconds are wall time; ``own cpu`` is what this process
computed for it, which is the wall time of a quiet machine less what Postgres did. With ``--folder``
the SQLite history stays for the next run.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from sqlalchemy import func, select

from history import COMMON, RARE, SEED, arguments, fill, of_each, opened, settle
from lingting.search import units_of
from lingting.store import Search, SearchFilters, SearchPage, Store
from lingting.store.records import Sight
from lingting.store.schema import RecordingRow, SearchEntryRow, SegmentRow, TranscriptRow
from lingting.transcript import ModelFacts, Segment, Transcript, Word

LIMIT_MS = 150.0
_PARTICLES = "的了是在我有和就不人都一上也很到说要去你会着没看好自己这"
_LETTERS = """
ba be bi bo da de di do fa fe ga go ka ke la le li lo ma me mi mo na ne no pa pe po ra re ri ro sa
se si so ta te ti to va ve
"""
_OFTEN = "the of and to in is that for it was on are with they be at one have this from"
_CHINESE, _LATIN_WORDS = 47_000, 20_000


class Vocabulary:
    """Words by rank, and how to draw them."""

    def __init__(self) -> None:
        from pypinyin.phrases_dict import phrases_dict

        chance = random.Random(SEED)  # noqa: S311 - makes words
        phrases = sorted(one for one in phrases_dict if 2 <= len(one) <= 4)
        chance.shuffle(phrases)
        phrases.sort(key=len)  # short words are frequent ones
        self.chinese = [*_PARTICLES, *phrases][:_CHINESE]
        made = {
            "".join(chance.choices(_LETTERS.split(), k=chance.randint(2, 4))) for _ in range(60_000)
        }
        self.latin = (_OFTEN.split() + sorted(made, key=lambda one: (len(one), one)))[:_LATIN_WORDS]
        self._weights = {
            id(words): list(accumulate(1 / (rank + 3) for rank in range(len(words))))
            for words in (self.chinese, self.latin)
        }

    def draw(self, chance: random.Random, words: list[str], count: int) -> list[str]:
        return chance.choices(words, cum_weights=self._weights[id(words)], k=count)

    def transcript(self, chance: random.Random, count: int, *, words: bool) -> Transcript:
        segments = tuple(self._segment(chance, at, words) for at in range(count))
        return Transcript(
            segments, count * 6.0, "zh", count * 4.0, 16_000, 1, model=ModelFacts("whisper-base")
        )

    def _segment(self, chance: random.Random, at: int, words: bool) -> Segment:
        start_s = at * 6.0
        is_han = chance.random() < 0.75
        if is_han:
            said = self.draw(chance, self.chinese, chance.randint(2, 12))
            if chance.random() < 0.05:
                said.insert(1, self.draw(chance, self.latin, 1)[0])
        else:
            said = self.draw(chance, self.latin, chance.randint(3, 16))
        spoken = ("" if is_han else " ").join(said)
        step_s = 5.0 / len(said)
        times = tuple(
            Word(one, start_s + n * step_s, start_s + (n + 1) * step_s, 0.9)
            for n, one in enumerate(said)
        ) if words else ()  # fmt: skip
        return Segment(
            start_s, start_s + 5.0, spoken + ("。" if is_han else "."), spoken,
            "zh" if is_han else "en", times, "ctc" if words else None, (),
            round(chance.random(), 4), f"说话人 {chance.randint(1, 3)}",
        )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One question: what is typed, where, and whether the answer is right."""

    typed: str
    match: str = "text"
    filters: SearchFilters | None = None
    sight: Sight | None = None
    after: str | None = None
    check: Callable[[SearchPage], bool] = lambda _: True


class Stored:
    """Segments of the store that questions are made from."""

    def __init__(self, store: Store, chance: random.Random, count: int = 3_000) -> None:
        with store.database.read() as session:
            last = session.scalar(select(func.max(SearchEntryRow.segment_id))) or 1
            ids = chance.sample(range(1, last), min(count, last - 1))
            current = (
                select(SegmentRow.text, SegmentRow.language)
                .join(SearchEntryRow, SearchEntryRow.segment_id == SegmentRow.id)
                .join(TranscriptRow, TranscriptRow.id == SegmentRow.transcript_id)
                .join(RecordingRow, RecordingRow.id == TranscriptRow.recording_id)
                .where(RecordingRow.deleted_at.is_(None))
            )
            rows = session.execute(current.where(SegmentRow.id.in_(ids))).all()
        self.han = [text for text, language in rows if language == "zh" and len(text) > 10]
        self.latin = [text for text, language in rows if language == "en"]

    def piece(self, chance: random.Random, size: int) -> str:
        text = chance.choice(self.han)
        units = units_of(text)
        first = chance.randrange(max(1, len(units) - size))
        last = min(first + size, len(units)) - 1
        return text[units.starts[first] : units.ends[last]]


def questions(
    store: Store, words: Vocabulary, chance: random.Random
) -> dict[str, Callable[[], Asked]]:
    """By the name under which they are printed; each makes another question at each call."""
    stored = Stored(store, chance)
    frequent = [one for one in words.chinese[30:300] if len(one) == 2]
    rare = [one for one in words.chinese[20_000:] if len(one) >= 2]
    person = partial(lambda: Sight(f"person {chance.randint(1, 200)}"))
    first = datetime(2024, 11, 1, tzinfo=UTC)

    def holds(typed: str) -> Callable[[SearchPage], bool]:
        wanted = "".join(units_of(typed).texts)
        return lambda page: (
            bool(page.items)
            and all(
                wanted in "".join(units_of(hit.text).texts)
                for one in page.items
                for hit in one.hits
            )
        )

    def text(typed: str, **more: object) -> Asked:
        return Asked(typed, check=holds(typed), **more)  # type: ignore[arg-type]

    def some(typed: str, match: str) -> Asked:
        return Asked(typed, match, check=lambda page: bool(page.items))

    def pinyin(word: str) -> str:
        from pypinyin import Style, lazy_pinyin

        return "".join(lazy_pinyin(word, style=Style.NORMAL))

    def deep() -> Asked:
        word = chance.choice(frequent)
        page = Search(store.database).find(word, limit=100)
        return Asked(word, after=page.next)

    def month() -> SearchFilters:
        begin = first + timedelta(days=chance.randint(0, 60))
        return SearchFilters(since=begin, until=begin + timedelta(days=30))

    return {
        "one character, the commonest": lambda: text(chance.choice(_PARTICLES[:6])),
        "two-character word, common": lambda: text(chance.choice(frequent)),
        "two characters of any text": lambda: text(stored.piece(chance, 2)),
        "word, rare": lambda: Asked(chance.choice(rare)),
        "exact phrase of 4": lambda: text(f'"{stored.piece(chance, 4)}"'),
        "exact phrase of 8": lambda: text(f'"{stored.piece(chance, 8)}"'),
        "phrase that nobody said": lambda: Asked(f'"{chance.choice(rare)}{chance.choice(rare)}"'),
        "the same, cut into words": lambda: Asked(f"{chance.choice(rare)}{chance.choice(rare)}"),
        "two common words": lambda: Asked(f"{chance.choice(frequent)} {chance.choice(frequent)}"),
        "english word, common": lambda: text(chance.choice(_OFTEN.split()).upper()),
        "english word, rare": lambda: Asked(chance.choice(words.latin[10_000:])),
        "english phrase": lambda: Asked(
            '"' + " ".join(chance.choice(stored.latin).rstrip(".").split()[:3]) + '"',
            check=lambda page: bool(page.items),
        ),
        "pinyin of a common word": lambda: some(pinyin(chance.choice(frequent)), "sound"),
        "pinyin of any two characters": lambda: Asked(pinyin(stored.piece(chance, 2)), "sound"),
        "homophones of a phrase of 3": lambda: some(stored.piece(chance, 3), "sound"),
        "common word, one person's": lambda: Asked(chance.choice(frequent), sight=person()),
        "commonest, nobody's": lambda: Asked("的", sight=Sight("nobody")),
        "commonest, a department's": lambda: Asked(
            "的", sight=Sight("x", frozenset([f"department {chance.randint(1, 12)}"]))
        ),
        "common word, common tag": lambda: Asked(
            chance.choice(frequent), filters=SearchFilters(tag=COMMON)
        ),
        "common word, rare tag": lambda: Asked(
            chance.choice(frequent), filters=SearchFilters(tag=RARE)
        ),
        "commonest, the oldest months": lambda: Asked("的", filters=month()),
        "common word, language and speaker": lambda: Asked(
            chance.choice(frequent), filters=SearchFilters(language="zh", speaker="说话人 2")
        ),
        "commonest, sure segments": lambda: Asked("的", filters=SearchFilters(min_confidence=0.99)),
        "common word, a later page": deep,
    }


def measure(
    store: Store, asked: dict[str, Callable[[], Asked]], rounds: int
) -> dict[str, dict[str, float]]:
    search = Search(store.database)
    wall_ms: dict[str, list[float]] = {name: [] for name in [*asked, "all"]}
    cpu_ms: dict[str, list[float]] = {name: [] for name in [*asked, "all"]}
    wrong = dict.fromkeys(wall_ms, 0)
    partly = dict.fromkeys(wall_ms, 0)
    for number in range(rounds + 1):
        for name, make in asked.items():
            one = make()
            began_s, began_cpu_s = time.perf_counter(), time.thread_time()
            page = search.find(
                one.typed, match=one.match, filters=one.filters, sight=one.sight,  # type: ignore[arg-type]
                after=one.after,
            )  # fmt: skip
            took_s, took_cpu_s = time.perf_counter() - began_s, time.thread_time() - began_cpu_s
            for row in (name, "all"):
                wall_ms[row] += [took_s * 1e3] if number else []
                cpu_ms[row] += [took_cpu_s * 1e3] if number else []
                wrong[row] += not one.check(page)
                partly[row] += not page.is_complete
    print(
        f"{'':36}{'median ms':>10}{'p95':>8}{'most':>8}{'own cpu':>9}{'its p95':>9}{'wrong':>7}"
        f"{'partly':>8}"
    )
    rows: dict[str, dict[str, float]] = {}
    for name, each in wall_ms.items():
        high, high_cpu = _p95(each), _p95(cpu_ms[name])
        rows[name] = {
            "median_ms": round(median(each), 2), "p95_ms": round(high, 2),
            "most_ms": round(max(each), 2), "cpu_ms": round(median(cpu_ms[name]), 2),
            "cpu_p95_ms": round(high_cpu, 2), "wrong": wrong[name], "partly": partly[name],
        }  # fmt: skip
        mark = "" if high < LIMIT_MS else f"  not below {LIMIT_MS:.0f}"
        print(
            f"{name:36}{median(each):10.1f}{high:8.1f}{max(each):8.1f}{median(cpu_ms[name]):9.1f}"
            f"{high_cpu:9.1f}{wrong[name]:7}{partly[name]:8}{mark}"
        )
    return rows


def _p95(each: list[float]) -> float:
    return quantiles(each, n=20, method="inclusive")[-1]


def bench(database: str, given: argparse.Namespace, words: Vocabulary) -> dict[str, object]:
    with ExitStack() as stack:
        keeps = given.folder is not None and database == "sqlite"
        place = given.folder if keeps else Path(stack.enter_context(TemporaryDirectory()))
        is_there = (place / "lingting.db").exists()
        store = stack.enter_context(opened(database, place))
        told: dict[str, object] = {}
        if not is_there:
            began_s = time.perf_counter()
            fill(store, given.segments, words.transcript)
            told["filled_s"] = round(time.perf_counter() - began_s)
            before_bytes = store.database.size_bytes
            began_s = time.perf_counter()
            count = Search(store.database).rebuild()
            settle(store)
            told["indexed_s"] = round(time.perf_counter() - began_s)
            told["segments"] = count
            told["index_bytes"] = store.database.size_bytes - before_bytes
        print(f"\n{database}: {told or 'as it was'}")
        chance = random.Random(SEED + 1)  # noqa: S311 - makes questions
        answers = measure(store, questions(store, words, chance), given.rounds)
    return {**told, "answers": answers}


def main() -> None:
    parser = arguments("Searching a large history.", rounds=40, databases=["sqlite"])
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep the SQLite history there")
    given = parser.parse_args()
    words = Vocabulary()
    of_each("search", given, lambda database: bench(database, given, words))


if __name__ == "__main__":
    main()
