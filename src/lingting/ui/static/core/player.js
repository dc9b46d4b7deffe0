// Playing a recording: parts of the file by Range as they are needed, speed, small steps, keys.

import learned from "../words/player.js";
import { fill, h } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { button, menu } from "./parts.js";
import { learn, t } from "./words.js";

learn(learned);

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3];
const STEP_S = 5;
const KEPT = "lingting.speed";

/**
 * `onDuration(s)` when the file says it, `onTime(s)` at every frame while it plays and at every seek,
 * `onState({isPlaying})`, and `onProblem(key)` with a key of words when the audio cannot be played.
 */
export function createPlayer({
  src,
  duration = 0,
  onTime = () => {},
  onState = () => {},
  onDuration = () => {},
  onProblem = () => {},
}) {
  const audio = new Audio();
  audio.preload = "metadata";
  audio.preservesPitch = true;
  let wish = null;
  let frame = 0;
  let isLost = false;

  const play = button(null, () => toggle(), {
    kind: "primary",
    label: t("player.play"),
    glyph: "play",
    class: "lt-button lt-primary lt-icon-only lt-player-play",
  });
  const back = button(null, () => step(-STEP_S), { kind: "quiet", label: t("player.back"), glyph: "rewind" });
  const ahead = button(null, () => step(STEP_S), { kind: "quiet", label: t("player.ahead"), glyph: "forward" });
  const now = h("span", { class: "lt-player-now" }, clock(0));
  const whole = h("span", { class: "lt-soft" }, clock(duration || null));
  const speeds = menu(
    "1×",
    () =>
      SPEEDS.map((speed) => ({
        text: name(speed),
        glyph: speed === audio.playbackRate ? "check" : undefined,
        run: () => setSpeed(speed),
      })),
    { label: t("player.speed"), glyph: null, kind: "quiet" },
  );
  speeds.classList.add("lt-player-speed");
  const speedText = speeds.querySelector("button span");
  const element = h(
    "div",
    { class: "lt-player", role: "group", "aria-label": t("player") },
    back,
    play,
    ahead,
    h("span", { class: "lt-player-clock lt-number" }, now, " / ", whole),
    speeds,
  );

  const name = (speed) => `${speed}×`;
  const length = () => (Number.isFinite(audio.duration) && audio.duration > 0 ? audio.duration : duration);
  const position = () => (wish !== null ? wish : audio.currentTime);

  function show() {
    const s = position();
    now.textContent = clock(s);
    whole.textContent = clock(length() || null);
    onTime(s);
  }

  function tick() {
    frame = 0;
    if (audio.paused) return;
    show();
    frame = requestAnimationFrame(tick);
  }

  function state() {
    const isPlaying = !audio.paused && !audio.ended;
    play.setAttribute("aria-label", t(isPlaying ? "player.pause" : "player.play"));
    play.title = t(isPlaying ? "player.pause" : "player.play");
    fill(play, icon(isPlaying ? "pause" : "play"));
    if (isPlaying && !frame) frame = requestAnimationFrame(tick);
    onState({ isPlaying });
  }

  function load() {
    if (audio.src) return;
    audio.src = src;
    if (wish !== null) audio.currentTime = wish;
  }

  async function start() {
    load();
    if (isLost) {
      isLost = false;
      wish = position();
      audio.load();
    }
    try {
      await audio.play();
    } catch (cause) {
      if (cause.name === "NotAllowedError") onProblem("player.problem.blocked");
      else if (cause.name !== "AbortError" && !isLost) onProblem("player.problem.format");
    }
  }

  function toggle() {
    if (audio.paused) start();
    else audio.pause();
  }

  function seek(s) {
    const to = Math.max(0, Math.min(s, length() || s));
    wish = to;
    if (audio.readyState >= 1) {
      audio.currentTime = to;
    } else load();
    show();
  }

  const step = (s) => seek(position() + s);

  function setSpeed(speed) {
    const found = Math.min(3, Math.max(0.5, speed));
    audio.playbackRate = found;
    audio.defaultPlaybackRate = found;
    speedText.textContent = name(found);
    try {
      localStorage.setItem(KEPT, String(found));
    } catch {
      /* not kept */
    }
  }

  const faster = (by) => {
    const at = SPEEDS.findIndex((one) => one >= audio.playbackRate);
    setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at + by))]);
  };

  audio.addEventListener("loadedmetadata", () => {
    if (wish !== null) audio.currentTime = wish;
    show();
  });
  audio.addEventListener("seeked", () => {
    wish = null;
    show();
  });
  audio.addEventListener("play", state);
  audio.addEventListener("pause", state);
  audio.addEventListener("ended", state);
  audio.addEventListener("durationchange", () => {
    if (Number.isFinite(audio.duration)) onDuration(audio.duration);
    show();
  });
  audio.addEventListener("error", () => {
    if (!audio.src || isLost) return;
    isLost = true;
    wish = position();
    state();
    onProblem(audio.error?.code === MediaError.MEDIA_ERR_NETWORK ? "player.problem.network" : "player.problem.format");
  });
  const before = Number(localStorage.getItem(KEPT));
  if (before) setSpeed(before);

  return {
    element,
    get time() {
      return position();
    },
    get duration() {
      return length();
    },
    get isPlaying() {
      return !audio.paused && !audio.ended;
    },
    load,
    play: start,
    pause: () => audio.pause(),
    toggle,
    seek,
    step,
    faster,
    destroy() {
      cancelAnimationFrame(frame);
      audio.pause();
      audio.removeAttribute("src");
      audio.load();
    },
  };
}
