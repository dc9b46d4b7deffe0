"""The pages in a real browser: how soon each is ready, and a transcript of 5,000 segments in use.

    python bench/pages.py [--segments 5000] [--rounds 5] [--json FILE]

The service runs in an empty folder, and so does a headless Chromium (the system's). Each page is
opened with a cold cache in a fresh profile and then again; it is ready when its content is there
and two frames were drawn. The large transcript has the texts of the manifest, cut in other places
each time round, each word with its time; its audio is recordings of the set one behind the other,
until it is long enough. What is measured of it:

- opening: from the address to the first segments on the page and two frames drawn;
- typing: from a key to the frame behind it, a letter at a time, while it is saved by itself;
- seeking: from a click on the waveform, anywhere in the recording, until the segment of that moment
  is on the page and marked, its page loaded from the service;
- scrolling: the longest frame while it is scrolled through from the beginning to the end.

With ``--url`` and ``--recording`` it is taken of a service that runs already (--user, and the
password in LINGTING_BENCH_PASSWORD).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.decode import read_all
from lingting.audio.peaks import PeakMeter
from lingting.evaluate.machine import read_machine
from lingting.transcript import ModelFacts, Segment, Transcript, Word
from lingting.ui.shell import PAGES
from running import RunningService, running_service

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech" / "manifest.jsonl"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
SEED = 6
SEGMENT_S = 4.0
READY_LIMIT_MS, OPEN_LIMIT_MS, FRAME_LIMIT_MS = 2500.0, 1500.0, 100.0
_USER, _PASSWORD = "admin", "a-password-of-the-bench"
_UNIT = re.compile(r"[㐀-鿿぀-ヿ가-힯][，。！？、；：]?|[^\s㐀-鿿぀-ヿ가-힯]+")
_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


# The recording ---------------------------------------------------------------------------------


def long_transcript(manifest: Path, segments: int) -> Transcript:
    """Texts of the manifest in a random order, cut elsewhere in every round; four speakers."""
    chance = random.Random(SEED)  # noqa: S311 - makes a transcript
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    texts = [(row["language"], row["text"]) for row in rows if row.get("text")]
    found: list[Segment] = []
    speaker = 1
    while len(found) < segments:
        chance.shuffle(texts)
        for language, text in texts:
            units = [one[0] for one in _UNIT.finditer(text)]
            while units and len(found) < segments:
                size = chance.randint(4, 28) if _is_han(units) else chance.randint(3, 18)
                speaker = chance.randint(1, 4) if chance.random() < 0.3 else speaker
                found.append(_segment(chance, units[:size], len(found), language, speaker))
                units = units[size:]
    return Transcript(
        tuple(found), segments * SEGMENT_S, "zh", segments * 3.6, 16_000, 1,
        model=ModelFacts("whisper-base"),
    )  # fmt: skip


def _is_han(units: list[str]) -> bool:
    return sum(len(one) <= 2 for one in units) > len(units) / 2


def _segment(
    chance: random.Random, units: list[str], at: int, language: str, speaker: int
) -> Segment:
    start_s = at * SEGMENT_S
    step_s = 3.6 / len(units)
    words = tuple(
        Word(
            one, round(start_s + n * step_s, 3), round(start_s + (n + 1) * step_s, 3),
            round(min(1.0, chance.betavariate(6, 1)), 4),
        )
        for n, one in enumerate(units)
    )  # fmt: skip
    text = ("" if _is_han(units) else " ").join(units)
    return Segment(
        start_s, start_s + 3.6, text, text, language, words, "ctc", (), 0.9, f"说话人 {speaker}"
    )


def long_audio(folder: Path, manifest: Path, seconds: float) -> tuple[Path, bytes]:
    """An MP3 file and its peaks: recordings of the set in a row, over and over."""
    import av
    import numpy as np

    once, whole = folder / "once.mp3", folder / "long.mp3"
    pieces: list[Any] = []
    with av.open(str(once), "w", format="mp3", options={"write_xing": "0"}) as out:
        stream = out.add_stream("mp3", rate=16_000)
        stream.bit_rate = 32_000
        for line in manifest.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if sum(map(len, pieces)) > 600 * SAMPLE_RATE_HZ or row["duration_s"] > 120:
                continue
            samples, _ = read_all(manifest.parent / row["file"])
            pieces.append(samples if samples.ndim == 1 else samples.mean(axis=0))
            plane = (np.clip(pieces[-1], -1, 1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(plane[None], format="s16p", layout="mono")
            frame.rate = SAMPLE_RATE_HZ
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    frames, meter = once.read_bytes(), PeakMeter()
    with whole.open("wb") as file:
        for _ in range(int(seconds * SAMPLE_RATE_HZ / sum(map(len, pieces))) + 1):
            file.write(frames)
            for piece in pieces:
                meter.feed(piece)
    return whole, meter.peaks()


def keep(service: RunningService, manifest: Path, segments: int, folder: Path) -> str:
    """The recording in the history of the service; its id."""
    from lingting.store.opening import open_store

    audio, peaks = long_audio(folder, manifest, segments * SEGMENT_S)
    transcript = long_transcript(manifest, segments)
    with open_store(service.data) as store:
        kept = store.keep(audio, transcript, name="long.mp3", owner=_USER, peaks=peaks)
        return kept.recording.id


# The browser -----------------------------------------------------------------------------------


@contextmanager
def browsing() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next((one for one in CHROMIUM if Path(one).exists()), None)
    if path is None:
        raise SystemExit("No Chromium: apt-get install chromium.")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """One profile, signed in."""

    def __init__(self, browser: Any, url: str, state: Any = None) -> None:
        self.url = url
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 800}, storage_state=state
        )
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()

    def sign_in(self, user: str, password: str) -> Any:
        self.page.goto(f"{self.url}/login")
        self.page.get_by_label(re.compile("User|用户")).fill(user)
        self.page.get_by_label(re.compile("Password|密码")).fill(password)
        self.page.get_by_role("button").first.click()
        self.page.wait_for_url("**/app/**")
        return self.context.storage_state()

    def ready_ms(self, path: str, wanted: str) -> float:
        """From the address to the content and two frames; by the page's own clock."""
        self.page.goto(f"{self.url}/app/{path}", wait_until="commit")
        self.page.wait_for_selector(wanted)
        self.page.evaluate(_DRAWN)
        return float(self.page.evaluate("() => performance.now()"))


def pages_ready(browser: Any, url: str, state: Any, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for page in PAGES:
        for _ in range(rounds):
            visitor = Visitor(browser, url, state)
            cold = found.setdefault(f"{page.name}, first visit", [])
            cold.append(visitor.ready_ms(page.path, "#lt-main h1:visible"))
            warm = found.setdefault(f"{page.name}, again", [])
            warm.append(visitor.ready_ms(page.path, "#lt-main h1:visible"))
            visitor.context.close()
    return found


_TYPE = """async (letter) => {
  const began = performance.now();
  document.execCommand("insertText", false, letter);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - began;
}"""
_SEEK = """async ([share, each]) => {
  const track = document.querySelector(".lt-recording-foot .lt-wave-track");
  const box = track.getBoundingClientRect();
  const given = {
    bubbles: true, button: 0, pointerId: 1, pointerType: "pen",
    clientX: box.left + share * box.width, clientY: box.top + 20,
  };
  const at = Math.floor((share * Number(track.getAttribute("aria-valuemax"))) / each);
  const began = performance.now();
  track.setPointerCapture = () => {};
  track.dispatchEvent(new PointerEvent("pointerdown", given));
  track.dispatchEvent(new PointerEvent("pointerup", given));
  for (;;) {
    await new Promise((done) => requestAnimationFrame(done));
    const now = document.querySelector(".lt-recording-row.lt-now");
    const place = now?.getBoundingClientRect(), found = Number(now?.dataset.position);
    const isShown = now && !now.hasAttribute("aria-busy") && place.top < innerHeight;
    if (isShown && place.bottom > 0 && Math.abs(found - at) <= 2) return performance.now() - began;
    if (performance.now() - began > 15000) throw new Error(`not there: ${at}, but ${found}`);
  }
}"""
_SCROLL = """async () => {
  const scroller = document.querySelector(".lt-recording-scroll");
  const frames = [];
  let before = performance.now();
  for (let n = 0; n <= 120; n += 1) {
    scroller.scrollTop = (n / 120) * scroller.scrollHeight;
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""


def long_recording(
    browser: Any, url: str, state: Any, id: str, rounds: int
) -> dict[str, list[float]]:
    path = f"recordings?id={id}"
    first = ".lt-recording-row .lt-w"
    found: dict[str, list[float]] = {"opening, first visit": [], "opening, again": []}
    for _ in range(rounds):
        visitor = Visitor(browser, url, state)
        found["opening, first visit"].append(visitor.ready_ms(path, first))
        found["opening, again"].append(visitor.ready_ms(path, first))
        visitor.context.close()
    visitor = Visitor(browser, url, state)
    visitor.ready_ms(path, first)
    page = visitor.page
    chance = random.Random(SEED)  # noqa: S311 - chooses places
    found["seeking"] = [
        page.evaluate(_SEEK, [chance.random() * 0.98, SEGMENT_S]) for _ in range(12 * rounds)
    ]
    found["typing"] = []
    for _ in range(2):
        page.locator(".lt-recording-row.lt-now .lt-recording-text").dblclick()
        page.wait_for_selector(".lt-recording-editor:focus")
        found["typing"] += [page.evaluate(_TYPE, chance.choice("的一是abc ")) for _ in range(60)]
        page.keyboard.press("Escape")
    page.wait_for_selector('.lt-recording-state[data-state="saved"]')
    page.evaluate("document.querySelector('.lt-recording-scroll').scrollTop = 0")
    found["scrolling, a frame"] = page.evaluate(_SCROLL)
    visitor.context.close()
    return found


# The table -------------------------------------------------------------------------------------


def shown(title: str, rows: dict[str, list[float]], limit_ms: Callable[[str], float]) -> Any:
    print(f"\n{title:34}{'median ms':>10}{'p95':>9}{'most':>9}{'times':>7}")
    told: dict[str, Any] = {}
    for name, each in rows.items():
        high = quantiles(each, n=20, method="inclusive")[-1] if len(each) > 1 else each[0]
        told[name] = {
            "median_ms": round(median(each), 1), "p95_ms": round(high, 1),
            "most_ms": round(max(each), 1), "times": len(each),
        }  # fmt: skip
        mark = "" if high < limit_ms(name) else f"  not below {limit_ms(name):.0f}"
        print(f"{name:34}{median(each):10.1f}{high:9.1f}{max(each):9.1f}{len(each):7}{mark}")
    return told


def add_administrator(service: RunningService, log: Path) -> None:
    token = re.findall(r"token=([\w.~-]+)", log.read_text())
    form = {"token": token[-1], "user": _USER, "password": _PASSWORD, "again": _PASSWORD}
    answer = httpx.post(f"{service.url}/setup", data=form)
    if not answer.is_redirect:  # a refusal is a page
        raise RuntimeError(f"the password was not taken: {answer.status_code}")


def main() -> None:
    parser = argparse.ArgumentParser(description="The pages in a real browser.")
    parser.add_argument("--manifest", type=Path, default=SPEECH)
    parser.add_argument("--segments", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", help="of a service that runs")
    parser.add_argument("--recording", help="its long recording")
    parser.add_argument("--user", default=_USER)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    given = parser.parse_args()
    machine = read_machine()
    print(f"{machine.cpu}, Python {machine.python}, {given.rounds} rounds")
    with ExitStack() as stack:
        url, id, password = given.url, given.recording, os.environ.get("LINGTING_BENCH_PASSWORD")
        if url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            log = folder / "service.log"
            service = stack.enter_context(
                running_service(folder / "data", log, {"LINGTING_PAGES": "1"})
            )
            service.wait_ready()
            add_administrator(service, log)
            id = keep(service, given.manifest, given.segments, folder)
            url, password = service.url, _PASSWORD
        browser = stack.enter_context(browsing())
        state = Visitor(browser, url).sign_in(given.user, password or "")
        ready = pages_ready(browser, url, state, given.rounds)
        long = long_recording(browser, url, state, id, given.rounds) if id else {}
    result = {
        "bench": "pages", "cpu": machine.cpu, "python": machine.python, "rounds": given.rounds,
        "segments": given.segments,
        "ready": shown("ready", ready, lambda _: READY_LIMIT_MS),
        "long": shown(
            f"{given.segments} segments", long,
            lambda name: OPEN_LIMIT_MS if name.startswith("opening") else FRAME_LIMIT_MS,
        ),
    }  # fmt: skip
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
