// The transcript: its rows, what is heard lit in them, and the one that is corrected.

import { fill, h } from "../core/dom.js";
import { clock } from "../core/format.js";
import { button, toastProblem } from "../core/parts.js";
import { t } from "../core/words.js";
import { createEditor } from "./editor.js";
import { createLine } from "./line.js";
import { createRows } from "./rows.js";
import { pieceAt } from "./spans.js";

const MOST_SELECTED = 400;
const AGAIN_MS = 3000;

/**
 * `scroller` is the element that scrolls, `model` a RecordingModel. Returns {element, scrollTo, edit,
 * reset, destroy, …}; `onSpeaker(position)` when somebody wants another one,
 * `onFollow(isFollowing)` when somebody scrolls away from what is heard.
 */
export function createTranscript(model, scroller, { onSpeaker, onFollow }) {
  let playing = -1;
  let lit = null;
  let editing = null;
  let isFollowing = true;
  let doubts = true;
  let wasReadOnly = model.isReadOnly;
  let again = 0;
  const element = h("div", { class: "lt-recording-list", role: "list", "aria-label": t("recording.transcript") });
  const rows = createRows(scroller, element, { total: () => model.total, make: makeRow, pinned, onNear });

  // Which rows there are --------------------------------------------------------------------

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

  /** A page that could not be loaded is asked for again while it is looked at. */
  function onNear(first, last) {
    model.ensure(Math.max(0, first - 20), last + 40).catch(() => {
      clearTimeout(again);
      again = setTimeout(() => {
        rows.forgetNear();
        rows.schedule();
      }, AGAIN_MS);
    });
  }

  /** How tall a row of a known text will be, about. */
  function heightOf(at) {
    const one = model.segments[at];
    if (!one) return null;
    const width = Math.max(200, scroller.clientWidth - 160);
    const units =
      [...(model.layer === "spoken" ? one.spoken : one.text)].length
      * (/^(zh|ja|yue|ko)/.test(one.language || "") ? 17 : 8.2);
    const isNew = one.speaker && model.segments[at - 1]?.speaker !== one.speaker;
    return 18 + Math.max(1, Math.ceil(units / width)) * 28 + (isNew ? 28 : 0);
  }

  // One row ---------------------------------------------------------------------------------

  const isWritable = () => !model.isReadOnly && model.layer === "written";

  function makeRow(at) {
    const row = { at, segment: null, words: [], found: [] };
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
    Object.assign(row, { segment, words: [], found: [], now: -1, editor: null });
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
      segment.speaker ? model.colours.valueOf(segment.speaker) : "var(--lt-line)",
    );
    fill(row.element, isNew && speaker(row), time(row), body(row), actions(row));
    mark(row, model.time);
  }

  const speaker = ({ at, segment }) =>
    h(
      "button",
      {
        type: "button",
        class: "lt-recording-speaker",
        disabled: model.isReadOnly,
        onclick: () => onSpeaker(at),
        "aria-label": t("recording.speakerOf", { name: segment.speaker }),
      },
      segment.speaker,
    );

  const time = ({ at, segment }) =>
    h(
      "button",
      {
        type: "button",
        class: "lt-recording-time lt-number",
        onclick: () => seek(segment.start_s, at),
        "aria-label": t("recording.playFrom", { time: clock(segment.start_s) }),
      },
      clock(segment.start_s),
    );

  function body(row) {
    const { at } = row;
    if (at === editing && isWritable()) {
      row.editor = createEditor(model, at, {
        stop: (isFocused) => stop(at, isFocused),
        beside: (by) => editBeside(at, by),
      });
      return row.editor.element;
    }
    const finds = (model.layer === "written" && model.found?.get(at)) || [];
    const line = createLine(row.segment, { layer: model.layer, finds, doubts });
    row.words = line.words;
    row.found = line.found;
    return line.element;
  }

  const actions = ({ at }) =>
    h(
      "span",
      { class: "lt-recording-actions" },
      isWritable()
        && at !== editing
        && button(null, () => edit(at), { kind: "quiet", label: t("recording.edit"), glyph: "edit" }),
      isWritable()
        && button(null, () => onSpeaker(at), { kind: "quiet", label: t("recording.speakerChange"), glyph: "user" }),
    );

  // Editing ---------------------------------------------------------------------------------

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
    rows.show(at, { isNearest: true });
    rows.render();
    const row = rows.get(at);
    if (!row) return;
    if (playing < 0) model.lastFound = at;
    draw(row);
    if (row.editor) {
      row.editor.grow();
      const area = row.editor.element;
      area.focus({ preventScroll: true });
      area.setSelectionRange(caret ?? area.value.length, caret ?? area.value.length);
    }
    model.select(at, { isQuiet: true });
  }

  function stop(at, isFocused = true) {
    if (editing !== at) return;
    editing = null;
    model.endTyping();
    const row = rows.get(at);
    if (!row) return;
    draw(row);
    if (isFocused) focusTime(row);
    rows.schedule();
  }

  const focusTime = (row) => row?.element.querySelector(".lt-recording-time")?.focus({ preventScroll: true });

  // What is heard ---------------------------------------------------------------------------

  function seek(s, at) {
    rows.press(at);
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
      if (isFollowing && model.isPlaying && editing === null) rows.show(at);
    }
    const row = rows.get(at);
    if (row) mark(row, time);
  }

  async function scrollTo(at) {
    await model.ensure(Math.max(0, at - 5), at + 15);
    rows.show(at);
  }

  // Listening -------------------------------------------------------------------------------

  function reset() {
    editing = null;
    playing = -1;
    element.classList.toggle("lt-recording-hours", model.duration >= 3600);
    rows.reset(heightOf);
    heard(model.time);
  }

  function redraw() {
    wasReadOnly = model.isReadOnly;
    for (const row of rows.all()) if (row.at !== editing || !row.editor) draw(row);
    rows.schedule();
  }

  const redrawAllowed = () => {
    if (wasReadOnly !== model.isReadOnly) redraw();
  };

  function changed({ detail }) {
    if (!rows.isCurrent()) {
      reset();
      return;
    }
    // As many as before: one goes on reading, and typing, where one was.
    if (detail.isNew) {
      rows.forgetNear();
      if (!model.segments[editing] || model.isReadOnly) editing = null;
    }
    for (let at = detail.from; at < Math.min(detail.to + 1, model.total); at += 1) {
      const row = rows.get(at);
      if (!row || (detail.isTyping && at === editing)) continue;
      const segment = model.segments[at];
      if (at === editing && row.editor && segment) {
        if (row.editor.element.value !== segment.text) {
          row.editor.element.value = segment.text;
          row.editor.grow();
        }
      } else if (row.segment !== segment || at === detail.to) draw(row);
    }
    if (detail.isLoaded || detail.isNew) heard(model.time);
    rows.schedule();
  }

  function selected({ detail }) {
    const before = rows.get(lit);
    lit = detail.isQuiet ? null : detail.position;
    before?.element.classList.remove("lt-lit");
    rows.get(lit)?.element.classList.add("lt-lit");
    if (!detail.isQuiet && detail.position !== null) {
      setFollowing(false);
      scrollTo(detail.position).catch(() => {});
    }
  }

  const listeners = {
    changed,
    layer: () => {
      editing = null;
      redraw();
    },
    highlight: redraw,
    revision: redrawAllowed,
    recording: redrawAllowed,
    frame: ({ detail }) => heard(detail.time),
    select: selected,
  };
  for (const [name, run] of Object.entries(listeners)) model.addEventListener(name, run);

  const leaves = () => {
    if (!rows.wasOurs()) setFollowing(false);
  };
  for (const kind of ["wheel", "touchmove"]) scroller.addEventListener(kind, leaves, { passive: true });

  /** The row whose text an event is about, and its word. */
  function pressed(event) {
    const text = event.target.closest(".lt-recording-text");
    const row = text && rows.get(Number(text.closest(".lt-recording-row").dataset.position));
    const word = event.target.closest(".lt-w");
    return { row, word: row && word ? row.words[Number(word.dataset.n)] : null };
  }

  element.addEventListener("click", (event) => {
    if (!getSelection().isCollapsed) return;
    const { row, word } = pressed(event);
    if (row?.segment) seek((word || row.segment).start_s, row.at);
  });
  element.addEventListener("dblclick", (event) => {
    const { row, word } = pressed(event);
    if (!row || !isWritable()) return;
    getSelection().removeAllRanges();
    edit(row.at, word ? word.from : null);
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
    rows.show(at, { isNearest: true });
    rows.render();
    focusTime(rows.get(at));
  }

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
      if (is && playing >= 0) rows.show(playing, { isSmooth: true });
    },
    setDoubts(is) {
      doubts = is;
      redraw();
    },
    destroy() {
      clearTimeout(again);
      rows.destroy();
      for (const [name, run] of Object.entries(listeners)) model.removeEventListener(name, run);
      for (const kind of ["wheel", "touchmove"]) scroller.removeEventListener(kind, leaves);
    },
  };
}
