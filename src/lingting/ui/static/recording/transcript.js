// The transcript: only what is near the screen is on the page, each segment as tall as it is.

import { fill, h } from "../core/dom.js";
import { clock } from "../core/format.js";
import { button, toastProblem } from "../core/parts.js";
import { COLOURS } from "../core/waveform.js";
import { t } from "../core/words.js";
import { pieceAt, pieces } from "./spans.js";

const OVERSCAN_PX = 700;
const GUESS_PX = 76;
const MOST_SELECTED = 400;
const DOUBTFUL = 0.5;

/** What `setSpans` of the waveform calls the colours of speakers. */
export const COLOUR_KINDS = COLOURS.map((_, at) => `c${at}`);

/** Sums of heights that change one by one (a Fenwick tree). */
class Heights {
  constructor(count, guess) {
    this.count = count;
    this.each = new Float64Array(count).fill(guess);
    this.tree = new Float64Array(count + 1);
    for (let at = 1; at <= count; at += 1) {
      this.tree[at] += guess;
      const above = at + (at & -at);
      if (above <= count) this.tree[above] += this.tree[at];
    }
    this.top = 1;
    while (this.top * 2 <= count) this.top *= 2;
  }

  set(at, height) {
    const by = height - this.each[at];
    this.each[at] = height;
    for (let n = at + 1; n <= this.count; n += n & -n) this.tree[n] += by;
    return by;
  }

  /** Where a row begins; of `count`: the whole. */
  before(at) {
    let sum = 0;
    for (let n = at; n > 0; n -= n & -n) sum += this.tree[n];
    return sum;
  }

  /** The row at a distance from the top. */
  at(y) {
    let place = 0;
    let left = y;
    for (let step = this.top; step; step >>= 1) {
      if (place + step <= this.count && this.tree[place + step] <= left) {
        place += step;
        left -= this.tree[place];
      }
    }
    return Math.min(place, this.count - 1);
  }
}

/** The colour of each speaker, the same on every visit: by the number in the name, or the name. */
class Colours {
  constructor() {
    this.known = new Map();
  }

  of(name) {
    if (!this.known.has(name)) {
      const number = /(\d+)\D*$/.exec(name);
      let at = number
        ? Number(number[1]) % COLOURS.length
        : [...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) >>> 0, 7) % COLOURS.length;
      const taken = new Set(this.known.values());
      for (let tries = 0; tries < COLOURS.length && taken.has(at); tries += 1) at = (at + 1) % COLOURS.length;
      this.known.set(name, at);
    }
    return this.known.get(name);
  }
}

/**
 * `scroller` is the element that scrolls, `model` a RecordingModel. Returns {element, scrollTo, edit,
 * reset, destroy, …}; `onSpeaker(position)` when somebody wants another one,
 * `onFollow(isFollowing)` when somebody scrolls away from what is heard.
 */
export function createTranscript(model, scroller, { onSpeaker, onFollow }) {
  const colours = new Colours();
  const rows = new Map();
  let heights = new Heights(0, GUESS_PX);
  let playing = -1;
  let lit = null;
  let editing = null;
  let isFollowing = true;
  let asked = 0;
  let near = null;
  let guess = GUESS_PX;
  let byUs = 0;
  let doubts = true;
  let isAnchored = null;
  let pressed = -1;
  const element = h("div", { class: "lt-recording-list", role: "list", "aria-label": t("recording.transcript") });

  // Which rows there are --------------------------------------------------------------------

  const origin = () => element.getBoundingClientRect().top - scroller.getBoundingClientRect().top + scroller.scrollTop;

  function schedule() {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      render();
    });
  }

  function render() {
    if (!element.isConnected) return;
    const count = model.total;
    if (!count) return;
    const top = scroller.scrollTop - origin();
    const first = heights.at(Math.max(0, top - OVERSCAN_PX));
    const last = heights.at(Math.max(0, top + scroller.clientHeight + OVERSCAN_PX));
    const wanted = new Set();
    for (let at = first; at <= last; at += 1) wanted.add(at);
    for (const at of pinned(first, last)) wanted.add(at);
    for (const [at, row] of rows) {
      if (wanted.has(at)) continue;
      sizes.unobserve(row.element);
      row.element.remove();
      rows.delete(at);
    }
    const sorted = [...wanted].sort((a, b) => a - b);
    let behind = null;
    for (let n = sorted.length - 1; n >= 0; n -= 1) {
      const at = sorted[n];
      let row = rows.get(at);
      if (!row) {
        row = makeRow(at);
        rows.set(at, row);
        element.insertBefore(row.element, behind);
        sizes.observe(row.element);
      }
      behind = row.element;
    }
    place();
    if (first !== near?.[0] || last !== near?.[1]) {
      near = [first, last];
      model.ensure(Math.max(0, first - 20), last + 40).catch(() => missing());
    }
  }

  /** The one that is edited, and those of a selection, stay however far one scrolls. */
  function pinned(first, last) {
    const found = [];
    if (editing !== null) found.push(editing);
    const focused = document.activeElement?.closest?.(".lt-recording-row");
    if (focused && element.contains(focused)) found.push(Number(focused.dataset.position));
    const selection = getSelection();
    if (selection && !selection.isCollapsed && element.contains(selection.anchorNode)) {
      const ends = [selection.anchorNode, selection.focusNode]
        .map((node) => (node.closest ? node : node.parentElement)?.closest(".lt-recording-row")?.dataset.position)
        .filter(Boolean)
        .map(Number);
      if (ends.length) {
        const from = Math.min(...ends, first);
        const to = Math.max(...ends, last);
        if (to - from < MOST_SELECTED) for (let at = from; at <= to; at += 1) found.push(at);
      }
    }
    return found.filter((at) => at < model.total);
  }

  function place() {
    element.style.height = `${heights.before(model.total)}px`;
    for (const [at, row] of rows) {
      const y = Math.round(heights.before(at));
      if (row.y !== y) {
        row.y = y;
        row.element.style.top = `${y}px`;
      }
    }
  }

  const sizes = new ResizeObserver((entries) => {
    const top = scroller.scrollTop - origin();
    let above = 0;
    for (const entry of entries) {
      const at = Number(entry.target.dataset.position);
      if (rows.get(at)?.element !== entry.target) continue;
      const height = entry.borderBoxSize[0].blockSize;
      if (!height || Math.abs(height - heights.each[at]) < 0.5) continue;
      const isAbove = isAnchored === null ? heights.before(at) + heights.each[at] <= top + 1 : at < isAnchored;
      const by = heights.set(at, height);
      if (isAbove) above += by;
    }
    // What one is reading stays where it is.
    if (above) {
      byUs = performance.now();
      scroller.scrollTop += above;
    }
    place();
    schedule();
  });

  // One row ---------------------------------------------------------------------------------

  const isWritable = () => !model.isReadOnly && model.layer === "written";

  function makeRow(at) {
    const row = { at, segment: null, y: null, words: [], found: [] };
    row.element = h("div", {
      class: "lt-recording-row",
      role: "listitem",
      "aria-setsize": model.total,
      "aria-posinset": at + 1,
      dataset: { position: at },
    });
    draw(row);
    return row;
  }

  function draw(row) {
    const segment = model.segments[row.at] || null;
    row.segment = segment;
    row.words = [];
    row.found = [];
    row.now = -1;
    row.element.classList.toggle("lt-now", row.at === playing);
    row.element.classList.toggle("lt-lit", row.at === lit);
    if (!segment) {
      fill(
        row.element,
        h("div", { class: "lt-recording-ghost", "aria-hidden": "true" }),
        h("span", { class: "lt-hidden" }, t("loading")),
      );
      row.element.setAttribute("aria-busy", "true");
      return;
    }
    row.element.removeAttribute("aria-busy");
    const before = model.segments[row.at - 1];
    const isNew = segment.speaker && (!before || before.speaker !== segment.speaker);
    row.element.classList.toggle("lt-recording-first", Boolean(isNew) || row.at === 0);
    row.element.style.setProperty(
      "--lt-recording-hue",
      segment.speaker ? `var(${COLOURS[colours.of(segment.speaker)]})` : "var(--lt-line)",
    );
    const isChangeable = isWritable();
    const body = row.at === editing && isChangeable ? editor(row, segment) : text(row, segment);
    fill(
      row.element,
      isNew
        && h(
          "button",
          {
            type: "button",
            class: "lt-recording-speaker",
            disabled: model.isReadOnly,
            onclick: () => onSpeaker(row.at),
            "aria-label": t("recording.speakerOf", { name: segment.speaker }),
          },
          segment.speaker,
        ),
      h(
        "button",
        {
          type: "button",
          class: "lt-recording-time lt-number",
          onclick: () => seek(segment.start_s, row.at),
          "aria-label": t("recording.playFrom", { time: clock(segment.start_s) }),
        },
        clock(segment.start_s),
      ),
      body,
      h(
        "span",
        { class: "lt-recording-actions" },
        isChangeable
          && row.at !== editing
          && button(null, () => edit(row.at), { kind: "quiet", label: t("recording.edit"), glyph: "edit" }),
        isChangeable
          && button(null, () => onSpeaker(row.at), {
            kind: "quiet",
            label: t("recording.speakerChange"),
            glyph: "user",
          }),
      ),
    );
    mark(row, model.time);
  }

  function text(row, segment) {
    const shown = model.layer === "spoken" ? segment.spoken : segment.text;
    const made = h("p", { class: "lt-recording-text", lang: segment.language || null, dir: "auto" });
    if (segment.failure) {
      made.append(h("span", { class: "lt-recording-gap" }, t("recording.gap")));
      return made;
    }
    if (!shown) {
      made.append(h("span", { class: "lt-soft" }, t("recording.noText")));
      return made;
    }
    row.words = pieces(segment, model.layer);
    const finds = model.layer === "written" ? model.found?.get(row.at) || [] : [];
    if (doubts && !row.words.length && segment.confidence !== null && segment.confidence < DOUBTFUL)
      made.classList.add("lt-recording-doubt");
    let from = 0;
    const plain = (a, b) => {
      if (b > a) made.append(...marked(shown, a, b, finds));
    };
    row.words.forEach((word, n) => {
      plain(from, word.from);
      const isDoubt = doubts && word.confidence !== null && word.confidence < DOUBTFUL;
      const span = h(
        "span",
        {
          class: `lt-w${isDoubt ? " lt-recording-doubt" : ""}`,
          dataset: { n },
          title: isDoubt ? t("recording.doubtful", { percent: Math.round(100 * word.confidence) }) : null,
        },
        ...marked(shown, word.from, word.to, finds),
      );
      row.found.push(span);
      made.append(span);
      from = word.to;
    });
    plain(from, shown.length);
    return made;
  }

  /** Parts of a text, those that were found within a <mark>. */
  function marked(shown, from, to, finds) {
    const made = [];
    let at = from;
    for (const [a, b] of finds) {
      if (b <= at || a >= to) continue;
      if (a > at) made.push(shown.slice(at, a));
      made.push(h("mark", {}, shown.slice(Math.max(at, a), Math.min(b, to))));
      at = Math.min(b, to);
    }
    if (at < to) made.push(shown.slice(at, to));
    return made;
  }

  // Editing ---------------------------------------------------------------------------------

  function editor(row, segment) {
    const begun = segment.text;
    const area = h("textarea", {
      class: "lt-recording-editor",
      rows: "1",
      value: segment.text,
      lang: segment.language || null,
      dir: "auto",
      maxlength: "20000",
      "aria-label": t("recording.textAt", { time: clock(segment.start_s) }),
      spellcheck: "false",
    });
    const grow = () => {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight + 2}px`;
    };
    area.addEventListener("input", () => {
      model.write([{ position: row.at, text: area.value }], { isTyping: true });
      grow();
    });
    area.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
      if (event.key === "Escape") stop(row.at);
      else if (event.key === "Enter" && isPlain) {
        if (event.shiftKey) editBeside(row.at, -1);
        else editBeside(row.at, 1);
      } else if (event.key === "Tab" && isPlain) {
        if (event.shiftKey) model.player?.step(-5);
        else model.player?.toggle();
      } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
        // What was typed here is the browser's to take back and to put there again.
        if (event.shiftKey ? !model.canRedo : area.value !== begun) return;
        if (event.shiftKey) model.redo();
        else model.undo();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    area.addEventListener("blur", (event) => {
      if (editing === row.at && document.hasFocus() && !event.relatedTarget?.closest?.(".lt-player, .lt-wave"))
        stop(row.at, false);
    });
    row.area = area;
    row.grow = grow;
    return area;
  }

  async function editBeside(at, by) {
    if (at + by >= 0 && at + by < model.total) await edit(at + by);
    else stop(at);
  }

  /** Begin to correct a segment, the caret at a place in it. */
  async function edit(at, caret = null) {
    if (!isWritable() || at >= model.total) return;
    try {
      await model.ensure(at, at + 1);
    } catch (error) {
      toastProblem(error);
      return;
    }
    const before = editing;
    editing = at;
    model.endTyping();
    if (before !== null && before !== at && rows.has(before)) draw(rows.get(before));
    show(at, { isNearest: true });
    render();
    const row = rows.get(at);
    if (!row) return;
    if (playing < 0) model.lastFound = at;
    draw(row);
    row.grow?.();
    row.area?.focus({ preventScroll: true });
    const place_ = caret ?? row.area?.value.length ?? 0;
    row.area?.setSelectionRange(place_, place_);
    model.select(at, { isQuiet: true });
  }

  function stop(at, isFocused = true) {
    if (editing !== at) return;
    editing = null;
    model.endTyping();
    const row = rows.get(at);
    if (!row) return;
    row.area = null;
    draw(row);
    if (isFocused) row.element.querySelector(".lt-recording-time")?.focus({ preventScroll: true });
    schedule();
  }

  // What is heard ---------------------------------------------------------------------------

  /** The row that was pressed stays under the pointer: a second press is for the same one. */
  function seek(s, at) {
    pressed = at;
    setFollowing(true);
    model.seek(s);
  }

  function mark(row, time) {
    const at = row.at === playing && row.words.length && time <= row.segment.end_s + 1 ? pieceAt(row.words, time) : -1;
    if (at === row.now) return;
    row.found[row.now]?.classList.remove("lt-on");
    row.found[at]?.classList.add("lt-on");
    row.now = at;
  }

  function setFollowing(is) {
    if (isFollowing === is) return;
    isFollowing = is;
    onFollow(is);
  }

  /** The place that is heard; scrolls there while it is followed. */
  function heard(time) {
    if (time === 0 && !model.isPlaying && playing < 0) return; // nothing was heard yet
    const at = model.positionAt(time);
    if (at === null || at === undefined || at < 0) return;
    model.lastFound = at;
    if (at !== playing) {
      const before = rows.get(playing);
      playing = at;
      if (before) {
        before.element.classList.remove("lt-now");
        mark(before, time);
      }
      rows.get(at)?.element.classList.add("lt-now");
      if (isFollowing && model.isPlaying && editing === null) show(at);
    }
    const row = rows.get(at);
    if (row) mark(row, time);
  }

  /** Bring a row to where it is read. */
  function show(at, { isNearest = false, isSmooth = false } = {}) {
    const y = heights.before(at) + origin();
    const tall = heights.each[at];
    const room = scroller.clientHeight;
    const top = scroller.scrollTop;
    if (at === pressed && y + tall > top && y < top + room) return;
    pressed = -1;
    const margin = Math.min(140, room / 4);
    if (y >= top + (isNearest ? 60 : margin) && y + tall <= top + room - margin) return;
    byUs = performance.now();
    isAnchored = at;
    const to = Math.max(0, y - room / 3);
    scroller.scrollTo({ top: to, behavior: isSmooth && Math.abs(to - top) < 2 * room ? "smooth" : "instant" });
    render();
    // Rows near it get their real heights only now.
    requestAnimationFrame(() => {
      const now = heights.before(at) + origin() - scroller.scrollTop;
      if (now < 0 || now + Math.min(tall, room / 2) > room) {
        byUs = performance.now();
        scroller.scrollTop += now - room / 3;
      }
      render();
      requestAnimationFrame(() => {
        isAnchored = null;
      });
    });
  }

  async function scrollTo(at) {
    await model.ensure(Math.max(0, at - 5), at + 15);
    show(at);
  }

  // Listening -------------------------------------------------------------------------------

  function reset() {
    for (const row of rows.values()) {
      sizes.unobserve(row.element);
      row.element.remove();
    }
    rows.clear();
    near = null;
    editing = null;
    playing = -1;
    heights = new Heights(model.total, guess);
    element.classList.toggle("lt-recording-hours", model.duration >= 3600);
    guessed();
    render();
    heard(model.time);
  }

  /** What is not on the screen yet is guessed by its length. */
  function guessed() {
    const width = Math.max(200, scroller.clientWidth - 160);
    for (let at = 0; at < model.total; at += 1) {
      const one = model.segments[at];
      if (!one || rows.has(at)) continue;
      const units =
        [...(model.layer === "spoken" ? one.spoken : one.text)].length
        * (/^(zh|ja|yue|ko)/.test(one.language || "") ? 17 : 8.2);
      const isNew = one.speaker && model.segments[at - 1]?.speaker !== one.speaker;
      const tall = 18 + Math.max(1, Math.ceil(units / width)) * 28 + (isNew ? 28 : 0);
      if (Math.abs(tall - heights.each[at]) > 1) heights.set(at, tall);
    }
    let sum = 0;
    let count = 0;
    for (let at = 0; at < model.total; at += 1)
      if (model.segments[at]) {
        sum += heights.each[at];
        count += 1;
      }
    if (count) guess = sum / count;
  }

  const listeners = {
    changed: ({ detail }) => {
      if (heights.count !== model.total) {
        reset();
        return;
      }
      // As many as before: one goes on reading, and typing, where one was.
      if (detail.isNew) {
        near = null;
        if (!model.segments[editing] || model.isReadOnly) editing = null;
      }
      for (let at = detail.from; at < Math.min(detail.to + 1, model.total); at += 1) {
        const row = rows.get(at);
        if (!row) continue;
        if (detail.isTyping && at === editing) continue;
        if (at === editing && row.area && model.segments[at]) {
          if (row.area.value !== model.segments[at].text) {
            row.area.value = model.segments[at].text;
            row.grow();
          }
          continue;
        }
        if (row.segment !== model.segments[at] || at === detail.to) draw(row);
      }
      if (detail.isLoaded || detail.isNew) heard(model.time);
      schedule();
    },
    layer: () => {
      editing = null;
      redraw();
    },
    highlight: redraw,
    revision: () => {
      if (wasReadOnly !== model.isReadOnly) redraw();
    },
    recording: () => {
      if (wasReadOnly !== model.isReadOnly) redraw();
    },
    frame: ({ detail }) => heard(detail.time),
    select: ({ detail }) => {
      const before = rows.get(lit);
      lit = detail.isQuiet ? null : detail.position;
      before?.element.classList.remove("lt-lit");
      rows.get(lit)?.element.classList.add("lt-lit");
      if (!detail.isQuiet && detail.position !== null) {
        setFollowing(false);
        scrollTo(detail.position).catch(() => {});
      }
    },
  };
  let wasReadOnly = model.isReadOnly;

  function redraw() {
    wasReadOnly = model.isReadOnly;
    for (const row of rows.values()) if (row.at !== editing || !row.area) draw(row);
    schedule();
  }

  let again = 0;
  /** A page that could not be loaded is asked for again while it is looked at. */
  function missing() {
    clearTimeout(again);
    again = setTimeout(() => {
      near = null;
      schedule();
    }, 3000);
  }

  for (const [name, run] of Object.entries(listeners)) model.addEventListener(name, run);
  const scrolled = () => {
    schedule();
  };
  const leaves = () => {
    if (performance.now() - byUs > 150) setFollowing(false);
  };
  scroller.addEventListener("scroll", scrolled, { passive: true });
  scroller.addEventListener("wheel", leaves, { passive: true });
  scroller.addEventListener("touchmove", leaves, { passive: true });
  element.addEventListener("click", (event) => {
    const place_ = event.target.closest(".lt-recording-text");
    if (!place_ || !getSelection().isCollapsed) return;
    const row = rows.get(Number(place_.closest(".lt-recording-row").dataset.position));
    const word = event.target.closest(".lt-w");
    if (row?.segment) seek(word ? row.words[Number(word.dataset.n)].start_s : row.segment.start_s, row.at);
  });
  element.addEventListener("dblclick", (event) => {
    const place_ = event.target.closest(".lt-recording-text");
    if (!place_ || !isWritable()) return;
    const at = Number(place_.closest(".lt-recording-row").dataset.position);
    const word = event.target.closest(".lt-w");
    const caret = word ? rows.get(at).words[Number(word.dataset.n)].from : null;
    getSelection().removeAllRanges();
    edit(at, caret);
  });
  element.addEventListener("keydown", (event) => {
    const row = event.target.closest(".lt-recording-row");
    if (!row || event.target.localName === "textarea" || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Number(row.dataset.position);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") focus(at + (event.key === "ArrowDown" ? 1 : -1));
    else if (event.key === "Enter" && event.target.classList.contains("lt-recording-time") && !event.shiftKey) edit(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function focus(at) {
    if (at < 0 || at >= model.total) return;
    show(at, { isNearest: true });
    render();
    rows.get(at)?.element.querySelector(".lt-recording-time")?.focus({ preventScroll: true });
  }

  const widths = new ResizeObserver(() => schedule());
  widths.observe(scroller);

  return {
    element,
    edit,
    scrollTo,
    reset,
    get editing() {
      return editing;
    },
    get playing() {
      return playing;
    },
    get isFollowing() {
      return isFollowing;
    },
    setFollowing(is) {
      setFollowing(is);
      if (is && playing >= 0) show(playing, { isSmooth: true });
    },
    setDoubts(is) {
      doubts = is;
      redraw();
    },
    colours,
    destroy() {
      cancelAnimationFrame(asked);
      clearTimeout(again);
      sizes.disconnect();
      widths.disconnect();
      for (const [name, run] of Object.entries(listeners)) model.removeEventListener(name, run);
      scroller.removeEventListener("scroll", scrolled);
      scroller.removeEventListener("wheel", leaves);
      scroller.removeEventListener("touchmove", leaves);
    },
  };
}
