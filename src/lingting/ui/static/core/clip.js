// Choose audio to try something on: a file of this computer, which is not kept, or a recording.

import clipWords from "../words/clip.js";
import { api } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { clock, when } from "./format.js";
import { icon } from "./icons.js";
import { button, dialog, droppable, problemBox, spinner } from "./parts.js";
import { ACCEPT } from "./upload.js";
import { learn, t } from "./words.js";

learn(clipWords);

/**
 * `onchange(clip)` is told what was chosen: `{file, name}` or `{recording, name, duration_s}`.
 *
 * {element, choose(clip), address()}; `address` is for `<audio src>`. `release()` when the page is left.
 */
export function createClipChooser({ onchange, large = false }) {
  const input = h("input", {
    type: "file",
    accept: ACCEPT,
    class: "lt-hidden",
    tabindex: "-1",
    id: newId(),
    "aria-label": t("clip.file"),
    onchange: () => {
      if (input.files[0]) took(input.files[0]);
      input.value = "";
    },
  });
  let clip = null;
  let url = null;

  function choose(chosen) {
    if (url) URL.revokeObjectURL(url);
    clip = chosen;
    url = clip?.file ? URL.createObjectURL(clip.file) : null;
    draw();
    onchange(clip);
  }
  const took = (file) => choose({ file, name: file.name });

  async function chooseRecording() {
    const found = await dialog(t("clip.recording"), recordings, { wide: true });
    if (found) choose({ recording: found.id, name: found.name, duration_s: found.duration_s });
  }

  const buttons = () =>
    h(
      "div",
      { class: "lt-row" },
      button(t("clip.file"), () => input.click(), { kind: clip || !large ? "" : "primary", glyph: "upload" }),
      button(t("clip.recording"), chooseRecording, { glyph: "list" }),
    );

  const element = h("div", { class: "lt-clip" });
  droppable(element, ({ files }) => {
    if (files[0]) took(files[0]);
  });

  function draw() {
    const isLarge = large && !clip;
    element.classList.toggle("lt-drop", isLarge);
    fill(
      element,
      input,
      isLarge && icon("wave"),
      clip
        ? h("p", { class: "lt-clip-name" }, icon(clip.file ? "upload" : "list"), h("span", {}, clip.name))
        : h("p", { class: isLarge ? "" : "lt-soft" }, t(isLarge ? "clip.drop" : "clip.none")),
      buttons(),
      isLarge && h("p", { class: "lt-hint" }, t("clip.passing")),
    );
  }
  draw();

  return {
    element,
    choose,
    get clip() {
      return clip;
    },
    address: () => url || (clip && api.address(`/recordings/${clip.recording}/audio`)),
    /** The audio itself, to send it along. */
    bytes: async (signal) =>
      clip.file || new Blob([await api.bytes(`/recordings/${clip.recording}/audio`, null, { signal })]),
    release: () => {
      if (url) URL.revokeObjectURL(url);
    },
  };
}

/** The inside of a dialog: recordings by name, the newest first. */
function recordings(close) {
  const list = h("ul", { class: "lt-clip-list" });
  const foot = h("div", { class: "lt-row" });
  const all = [];
  let next = null;
  const seek = h("input", {
    type: "search",
    placeholder: t("clip.filter"),
    "aria-label": t("clip.filter"),
    oninput: draw,
  });

  function draw() {
    const wanted = seek.value.trim().toLowerCase();
    const fits = all.filter((one) => one.name.toLowerCase().includes(wanted));
    fill(
      list,
      fits.map((one) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => close(one) },
            h("span", { class: "lt-clip-title" }, one.name),
            h("span", { class: "lt-soft lt-small lt-number" }, `${clock(one.duration_s)} · ${when(one.created_at)}`),
          ),
        ),
      ),
      !fits.length && h("li", { class: "lt-soft" }, t(all.length ? "clip.nothingFits" : "clip.noRecordings")),
    );
  }

  async function more() {
    fill(foot, spinner());
    try {
      const page = await api.get("/recordings", { limit: 100, after: next });
      all.push(...page.items);
      next = page.next;
      fill(foot, next && button(t("clip.older"), more));
      draw();
    } catch (error) {
      fill(foot, problemBox(error, more));
    }
  }
  more();
  return h("div", { class: "lt-clip-dialog" }, seek, list, foot);
}
