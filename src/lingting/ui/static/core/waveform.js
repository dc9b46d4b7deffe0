// A recording's loudness over time: drawn on a canvas, sought by pointer and keys, zoomed into.

import learned from "../words/waveform.js";
import { h, fill } from "./dom.js";
import { button } from "./parts.js";
import { clock } from "./format.js";
import { learn, t } from "./words.js";

learn(learned);

const BAR_PX = 3;
const GAP_PX = 1;
const MOST_ZOOM = 400;
const RULER_PX = 18;
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Eight hues that stay apart in both themes; speakers and notes use the same ones. */
export const COLOURS = Array.from({ length: 8 }, (_, at) => `--lt-c${at}`);

/** [min, max] pairs in -1..1 of anything that `setPeaks` takes. */
function pairs(peaks) {
  if (peaks instanceof Uint8Array)
    return Float32Array.from({ length: 2 * peaks.length }, (_, at) => ((at % 2 ? 1 : -1) * peaks[at >> 1]) / 255);
  if (peaks instanceof Int8Array) return Float32Array.from(peaks.subarray(0, peaks.length & ~1), (one) => one / 127);
  return Float32Array.from([...peaks].flat(), (one) => one / 127);
}

/**
 * `onSeek(seconds, {final})` while somebody drags and at the end of it; `onMark(mark)` for a flag.
 * See `setPeaks`, `setSpans`, `setMarks` and `setTime` below; times are in seconds.
 */
export function createWaveform({ label, onSeek = () => {}, onMark = null, height = 96 } = {}) {
  let peaks = new Float32Array(0);
  let loudest = 1;
  let duration = 0;
  let time = 0;
  let spans = [];
  let marks = [];
  let zoom = 1;
  let offset = 0;
  let width = 0;
  let ratio = 1;
  let drawing = 0;
  let isStale = true;
  let isDragging = false;
  let isFollowing = true;
  let colours = null;
  let hoverX = null;

  const under = h("canvas", { class: "lt-wave-canvas", "aria-hidden": "true" });
  const over = h("canvas", { class: "lt-wave-canvas", "aria-hidden": "true" });
  const slider = h(
    "div",
    {
      class: "lt-wave-track",
      role: "slider",
      tabindex: "0",
      "aria-label": label,
      "aria-valuemin": "0",
      "aria-valuemax": "0",
      "aria-valuenow": "0",
      style: { height: `${height}px` },
    },
    under,
    over,
  );
  const flags = h("div", { class: "lt-wave-flags" });
  const tip = h("div", { class: "lt-wave-tip", "aria-hidden": "true", hidden: true });
  const zoomIn = button(null, () => setZoom(zoom * 2), { kind: "quiet", label: t("waveform.zoomIn"), glyph: "plus" });
  const zoomOut = button(null, () => setZoom(zoom / 2), {
    kind: "quiet",
    label: t("waveform.zoomOut"),
    glyph: "minus",
  });
  const bar = h("input", {
    type: "range",
    class: "lt-wave-scroll",
    min: "0",
    max: "1000",
    value: "0",
    "aria-label": t("waveform.scroll"),
    hidden: true,
    oninput: () => {
      isFollowing = false;
      offset = (bar.value / 1000) * most();
      draw();
    },
  });
  const element = h(
    "div",
    { class: "lt-wave" },
    h("div", { class: "lt-wave-stage" }, slider, flags, tip),
    h("div", { class: "lt-wave-tools" }, bar, zoomOut, zoomIn),
  );

  const shown = () => duration / zoom;
  const most = () => Math.max(0, duration - shown());
  const x = (s) => ((s - offset) / shown()) * width;
  const at = (px) => Math.min(duration, Math.max(0, offset + (px / width) * shown()));

  function colour() {
    const style = getComputedStyle(element);
    const get = (name) => style.getPropertyValue(name).trim() || "#888";
    return {
      ahead: get("--lt-wave-ahead"),
      played: get("--lt-wave-played"),
      head: get("--lt-wave-head"),
      soft: get("--lt-soft"),
      line: get("--lt-line"),
      speech: get("--lt-accent-soft"),
      doubt: get("--lt-warn-soft"),
      busy: get("--lt-busy-soft"),
      gap: get("--lt-sunken"),
      font: `11px ${get("--lt-font")}`,
      ...Object.fromEntries(COLOURS.map((name, n) => [`c${n}`, get(name)])),
    };
  }

  function measure() {
    const box = slider.getBoundingClientRect();
    if (!box.width) return false;
    ratio = window.devicePixelRatio || 1;
    width = box.width;
    for (const canvas of [under, over]) {
      const w = Math.round(box.width * ratio);
      const tall = Math.round(height * ratio);
      if (canvas.width === w && canvas.height === tall) continue;
      canvas.width = w;
      canvas.height = tall;
      isStale = true;
    }
    return true;
  }

  function draw() {
    isStale = true;
    drawTime();
  }

  /** Only what moves with the time, unless something else has changed too. */
  function drawTime() {
    drawing ||= requestAnimationFrame(() => {
      drawing = 0;
      if (!element.isConnected || !measure()) return;
      colours ||= colour();
      if (isStale) {
        drawUnder();
        drawFlags();
      }
      isStale = false;
      drawOver();
    });
  }

  /** The loudest of a stretch; between two points the nearer one. */
  function extremes(from, to) {
    const count = peaks.length / 2;
    const first = Math.max(0, Math.min(count - 1, Math.floor((from / duration) * count)));
    const last = Math.max(first + 1, Math.min(count, Math.ceil((to / duration) * count)));
    let low = 0;
    let high = 0;
    for (let n = first; n < last; n += 1) {
      low = Math.min(low, peaks[2 * n]);
      high = Math.max(high, peaks[2 * n + 1]);
    }
    return [low / loudest, high / loudest];
  }

  function drawUnder() {
    const pen = under.getContext("2d");
    const tall = height - RULER_PX;
    const middle = tall / 2;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!duration) return;
    for (const span of spans) {
      const from = x(span.start_s);
      const to = x(span.end_s);
      if (to < 0 || from > width) continue;
      const isSpeaker = /^c\d$/.test(span.kind);
      pen.fillStyle = colours[span.kind] || colours.speech;
      if (isSpeaker) pen.fillRect(from, tall - 4, Math.max(1, to - from), 4);
      else pen.fillRect(from, 0, Math.max(1, to - from), tall);
    }
    bars(pen, colours.ahead, 0, width, middle);
    ruler(pen, tall);
  }

  function bars(pen, fillStyle, from, to, middle) {
    pen.fillStyle = fillStyle;
    const step = BAR_PX + GAP_PX;
    if (!peaks.length) {
      pen.fillRect(from, middle - 0.5, Math.max(0, to - from), 1);
      return;
    }
    // Bars keep their place in the recording while it is scrolled.
    const perBar = (step / width) * shown();
    const firstBar = Math.floor(offset / perBar);
    pen.beginPath();
    for (let n = firstBar; ; n += 1) {
      const left = x(n * perBar);
      if (left > to || n * perBar >= duration) break;
      if (left + BAR_PX < from) continue;
      const [low, high] = extremes(n * perBar, (n + 1) * perBar);
      const up = Math.max(1, high * (middle - 4));
      const down = Math.max(1, -low * (middle - 4));
      pen.roundRect(left, middle - up, BAR_PX, up + down, 1.5);
    }
    pen.fill();
  }

  function ruler(pen, top) {
    const step = STEPS_S.find((one) => (one / shown()) * width >= 72) || STEPS_S.at(-1);
    pen.font = colours.font;
    pen.textBaseline = "middle";
    for (let n = Math.ceil(offset / step); n * step <= offset + shown(); n += 1) {
      const left = x(n * step);
      pen.fillStyle = colours.line;
      pen.fillRect(Math.round(left), top, 1, 5);
      const text = clock(n * step + 1e-6, { tenths: step < 1 });
      const size = pen.measureText(text).width;
      if (left + size + 4 > width) break;
      pen.fillStyle = colours.soft;
      pen.fillText(text, left + 3, top + RULER_PX / 2 + 2);
    }
  }

  function drawOver() {
    const pen = over.getContext("2d");
    const tall = height - RULER_PX;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!duration) return;
    const now = x(time);
    if (now > 0) {
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, now, tall);
      pen.clip();
      bars(pen, colours.played, 0, now, tall / 2);
      pen.restore();
    }
    if (hoverX !== null) {
      pen.fillStyle = colours.soft;
      pen.fillRect(hoverX, 0, 1, tall);
    }
    if (now >= 0 && now <= width) {
      pen.fillStyle = colours.head;
      pen.fillRect(Math.min(width - 2, Math.max(0, now - 1)), 0, 2, tall);
      pen.beginPath();
      pen.arc(now, 5, 5, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  function drawFlags() {
    for (const flag of flags.children) {
      const mark = marks[flag.dataset.at];
      const left = x(mark.at_s);
      flag.hidden = left < -1 || left > width + 1;
      flag.style.left = `${left}px`;
      flag.style.setProperty("--lt-wave-extent", mark.end_s ? `${Math.max(0, x(mark.end_s) - left)}px` : "0px");
    }
  }

  function setZoom(wish, around = time) {
    const place = width ? x(around) / width : 0.5;
    zoom = Math.min(MOST_ZOOM, Math.max(1, Math.min(wish, Math.max(1, duration / 2))));
    offset = Math.min(most(), Math.max(0, around - Math.min(1, Math.max(0, place)) * shown()));
    isFollowing = true;
    tools();
    draw();
  }

  function tools() {
    zoomOut.disabled = zoom <= 1;
    zoomIn.disabled = zoom >= Math.min(MOST_ZOOM, Math.max(1, duration / 2));
    bar.hidden = zoom <= 1;
    bar.value = most() ? (offset / most()) * 1000 : 0;
    bar.setAttribute("aria-valuetext", clock(offset));
  }

  function follow() {
    if (!isFollowing || zoom <= 1 || isDragging) return false;
    if (time >= offset && time <= offset + shown() * 0.95) return false;
    offset = Math.min(most(), Math.max(0, time - shown() * 0.1));
    tools();
    return true;
  }

  function told() {
    slider.setAttribute("aria-valuenow", String(Math.round(time)));
    slider.setAttribute("aria-valuetext", t("waveform.at", { time: clock(time), duration: clock(duration) }));
  }

  function seek(s, final) {
    time = Math.min(duration, Math.max(0, s));
    isFollowing = true;
    told();
    drawTime();
    onSeek(time, { final });
  }

  slider.addEventListener("pointerdown", (event) => {
    if (event.button || !duration) return;
    isDragging = true;
    slider.setPointerCapture(event.pointerId);
    seek(at(event.offsetX), false);
  });
  slider.addEventListener("pointermove", (event) => {
    const px = event.clientX - slider.getBoundingClientRect().left;
    if (isDragging) seek(at(px), false);
    if (event.pointerType === "mouse" && duration) {
      hoverX = px;
      fill(tip, clock(at(px), { tenths: shown() < 120 }));
      tip.hidden = false;
      tip.style.left = `${Math.min(width - 30, Math.max(30, px))}px`;
      drawTime();
    }
  });
  const release = (event) => {
    if (!isDragging) return;
    isDragging = false;
    if (event.type === "pointerup") seek(time, true);
  };
  slider.addEventListener("pointerup", release);
  slider.addEventListener("pointercancel", release);
  slider.addEventListener("pointerleave", () => {
    hoverX = null;
    tip.hidden = true;
    drawTime();
  });
  slider.addEventListener(
    "wheel",
    (event) => {
      if (!(event.ctrlKey || event.metaKey || (zoom > 1 && event.shiftKey))) return;
      event.preventDefault();
      if (event.shiftKey) {
        isFollowing = false;
        offset = Math.min(most(), Math.max(0, offset + (event.deltaY / width) * shown()));
        tools();
        draw();
        return;
      }
      setZoom(zoom * (event.deltaY < 0 ? 1.25 : 0.8), at(event.clientX - slider.getBoundingClientRect().left));
    },
    { passive: false },
  );
  slider.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 1 : 5;
    const to = {
      ArrowLeft: time - step,
      ArrowDown: time - step,
      ArrowRight: time + step,
      ArrowUp: time + step,
      Home: 0,
      End: duration,
      PageUp: time + 30,
      PageDown: time - 30,
    }[event.key];
    if (to !== undefined) seek(to, true);
    else if (event.key === "+" || event.key === "=") setZoom(zoom * 2);
    else if (event.key === "-") setZoom(zoom / 2);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const themed = () => {
    colours = null;
    draw();
  };
  const sized = new ResizeObserver(draw);
  sized.observe(slider);
  const theme = new MutationObserver(themed);
  theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  tools();
  told();

  return {
    element,
    /** Pairs [min, max] in -127..127 (also as an Int8Array), or loudness as a Uint8Array; of equal widths. */
    setPeaks(given, duration_s = duration) {
      peaks = pairs(given);
      // A quiet recording is drawn large enough to be seen, silence stays flat.
      loudest = Math.max(
        0.08,
        peaks.reduce((high, one) => Math.max(high, Math.abs(one)), 0),
      );
      this.setDuration(duration_s);
    },
    setDuration(s) {
      duration = Number.isFinite(s) && s > 0 ? s : 0;
      slider.setAttribute("aria-valuemax", String(Math.round(duration)));
      tools();
      told();
      draw();
    },
    setSpans(given) {
      spans = given;
      draw();
    },
    setMarks(given) {
      marks = given;
      fill(
        flags,
        marks.map((mark, n) =>
          h("button", {
            type: "button",
            class: "lt-wave-flag",
            dataset: { at: n },
            title: mark.label,
            "aria-label": t("waveform.mark", { time: clock(mark.at_s), label: mark.label || "" }),
            onclick: () => (onMark ? onMark(mark) : seek(mark.at_s, true)),
          }),
        ),
      );
      draw();
    },
    setTime(s) {
      if (isDragging || s === time) return;
      time = s;
      told();
      if (follow()) draw();
      else drawTime();
    },
    destroy() {
      sized.disconnect();
      theme.disconnect();
      cancelAnimationFrame(drawing);
    },
  };
}
