// One recording: its waveform and player, its transcript to read and correct, and panels beside it.

import words from "../words/recording.js";
import { api, listen } from "../core/api.js";
import { debounced, fill, h } from "../core/dom.js";
import { clock } from "../core/format.js";
import { icon } from "../core/icons.js";
import { isFinished } from "../core/jobs.js";
import { go, me, unloaded } from "../core/main.js";
import { button, copy, dialog, menu, problemBox, spinner, toast, toastProblem } from "../core/parts.js";
import { createPlayer } from "../core/player.js";
import { createWaveform } from "../core/waveform.js";
import { learn, t } from "../core/words.js";
import { pathOf } from "../history/asked.js";
import { COLOUR_KINDS } from "../recording/colours.js";
import { facts, jobCard, title } from "../recording/head.js";
import { RecordingModel } from "../recording/model.js";
import { PANELS } from "../recording/panels.js";
import { createTranscript } from "../recording/transcript.js";

learn(words);

const ICONS = {
  find: "search",
  speakers: "people",
  notes: "note",
  revisions: "history",
  share: "share",
  exports: "download",
};
const DOUBTS = "lingting.doubts";
const PUT_TOGETHER_MS = 700;

class RecordingPage extends HTMLElement {
  connectedCallback() {
    this.ends = [];
    this.turn = this.asks = this.answered = 0;
    this.open();
  }

  disconnectedCallback() {
    this.shut();
  }

  shut() {
    this.turn += 1;
    this.closePanel(false);
    for (const end of this.ends.splice(0)) end();
    this.model?.close();
    this.model = null;
  }

  /** Another recording, or another place in this one. */
  addressChanged() {
    const asked = new URLSearchParams(location.search);
    if (this.model && asked.get("id") === this.model.id) this.goTo(asked);
    else {
      this.shut();
      this.open();
    }
  }

  async open() {
    const asked = new URLSearchParams(location.search);
    const { turn } = this;
    const id = asked.get("id");
    const waiting = setTimeout(() => fill(this, spinner()), 200);
    const peaks = api.bytes(`/recordings/${encodeURIComponent(id)}/peaks`).catch(() => null);
    let model = null;
    try {
      model = new RecordingModel(id, await me);
      this.on(model, "conflict", ({ detail }) => this.conflict(detail));
      await model.open();
    } catch (error) {
      clearTimeout(waiting);
      model?.close();
      if (turn !== this.turn) return;
      fill(
        this,
        h("h1", {}, t("recording")),
        problemBox(error, () => {
          this.shut();
          this.open();
        }),
        h("a", { class: "lt-button", href: "/app/recordings" }, t("recording.back")),
      );
      return;
    }
    clearTimeout(waiting);
    if (turn !== this.turn) {
      model.close();
      return;
    }
    this.model = model;
    this.build(asked, peaks);
  }

  on(target, name, run, options) {
    target.addEventListener(name, run, options);
    this.ends.push(() => target.removeEventListener(name, run, options));
  }

  build(asked, peaks) {
    const { model } = this;
    document.title = `${model.recording.name} · ${t("product")}`;
    this.player = createPlayer({
      src: api.address(`/recordings/${model.id}/audio`),
      duration: model.recording.duration_s || 0,
      onDuration: (s) => {
        if (!model.recording.duration_s) this.wave?.setDuration(s);
      },
      onTime: (s) => {
        this.wave?.setTime(s);
        model.ticked(s);
      },
      onState: () => {
        if (this.model === model) this.following();
      },
      onProblem: (key) => toast(t(key), { kind: "warn", ms: 10_000 }),
    });
    model.player = this.player;
    this.ends.push(() => this.player.destroy());
    this.wave = createWaveform({
      label: t("recording.position"),
      height: matchMedia("(max-width: 640px), (max-height: 560px)").matches ? 60 : 84,
      onSeek: (s, { final }) => {
        this.transcript?.setFollowing(true);
        this.player.seek(s);
        if (final) this.lookFor(s);
      },
      onMark: (mark) => {
        this.panel("notes", { id: mark.id });
        model.mark(mark.id);
        this.player.seek(mark.at_s);
        this.lookFor(mark.at_s);
      },
    });
    this.ends.push(() => this.wave.destroy());
    this.wave.setDuration(model.duration);
    if (!model.duration) this.player.load();
    const { wave } = this;
    peaks.then((bytes) => {
      if (bytes?.byteLength) wave.setPeaks(new Int8Array(bytes), model.duration);
    });

    this.scroller = h("div", { class: "lt-recording-scroll" });
    this.transcript = createTranscript(model, this.scroller, {
      onSpeaker: (position) => this.panel("speakers", { position }),
      onFollow: () => this.following(),
    });
    this.ends.push(() => this.transcript.destroy());
    this.followButton = button(t("recording.follow"), () => this.transcript.setFollowing(true), {
      glyph: "wave",
      class: "lt-button lt-recording-follow",
      hidden: true,
    });
    this.drawer = h("aside", { class: "lt-recording-drawer", hidden: true, "aria-label": t("recording.panels") });
    this.live = h("div", {
      class: "lt-recording-live",
      hidden: true,
      "aria-label": t("recording.live"),
      role: "log",
      "aria-live": "off",
    });
    this.notice = h("div", { class: "lt-recording-notice" });
    fill(
      this.scroller,
      h(
        "div",
        { class: "lt-recording-head" },
        h(
          "a",
          { class: "lt-recording-back", href: `/app/${this.listPath}`, onclick: (event) => this.goBack(event) },
          icon("back"),
          t("recording.back"),
        ),
        title(model),
        facts(model),
        jobCard(model),
      ),
      this.toolbar(),
      this.notice,
      this.transcript.element,
      this.live,
    );
    fill(
      this,
      h(
        "div",
        { class: "lt-recording" },
        h("div", { class: "lt-recording-stage" }, this.scroller, this.followButton),
        this.drawer,
        h("div", { class: "lt-recording-foot" }, this.wave.element, this.player.element),
      ),
    );

    this.follow(model);
    this.transcript.reset();
    this.spans();
    this.readOnly();
    if (model.left) toast(t(model.left === 1 ? "recording.takenUp.one" : "recording.takenUp", { n: model.left }));
    if (["running", "paused", "failed"].includes(model.job?.state)) this.heardOf({ kind: "job.progress" });
    this.goTo(asked);
  }

  /** What happens to the recording is heard until it is left. */
  follow(model) {
    this.on(model, "marks", ({ detail }) => this.wave.setMarks(detail.list));
    // What went wrong is said by their panel.
    import("../recording/notes.js").then((notes) => notes.marks(model)).catch(() => {});
    this.on(model, "changed", () => this.spans());
    this.on(model, "recording", () => {
      document.title = `${model.recording.name} · ${t("product")}`;
      this.wave.setDuration(model.duration);
      this.readOnly();
    });
    this.ends.push(() => cancelAnimationFrame(this.spansAsked));
    this.on(model, "revision", () => this.readOnly());
    this.on(model, "seek", ({ detail }) => this.lookFor(detail.time));
    this.on(document, "keydown", (event) => this.key(event));
    // Of which recording another job is, an event does not tell.
    const maybeOurs = debounced(() => model.refresh().catch(() => {}), PUT_TOGETHER_MS);
    this.ends.push(
      maybeOurs.cancel,
      listen((event) => {
        if (event.job_id && event.job_id === model.job?.id) this.heardOf(event);
        else if (event.kind === "job.queued" && (!model.job || isFinished(model.job))) maybeOurs();
      }),
    );
  }

  // The toolbar -----------------------------------------------------------------------------

  toolbar() {
    const { model } = this;
    const undo = button(null, () => model.undo(), {
      kind: "quiet",
      label: t("recording.undo"),
      glyph: "undo",
      "aria-keyshortcuts": "Control+Z",
    });
    const redo = button(null, () => model.redo(), {
      kind: "quiet",
      label: t("recording.redo"),
      glyph: "redo",
      "aria-keyshortcuts": "Control+Shift+Z",
    });
    const layers = h(
      "div",
      { class: "lt-recording-layers", role: "group", "aria-label": t("recording.layer") },
      ["written", "spoken"].map((layer) =>
        h(
          "button",
          {
            type: "button",
            dataset: { layer },
            "aria-pressed": String(model.layer === layer),
            title: t(`recording.layer.${layer}.about`),
            onclick: () => model.setLayer(layer),
          },
          t(`recording.layer.${layer}`),
        ),
      ),
    );
    const isMarked = localStorage.getItem(DOUBTS) !== "no";
    this.transcript.setDoubts(isMarked);
    const doubts = button(
      t("recording.doubts"),
      () => {
        const is = doubts.getAttribute("aria-pressed") !== "true";
        doubts.setAttribute("aria-pressed", String(is));
        localStorage.setItem(DOUBTS, is ? "yes" : "no");
        this.transcript.setDoubts(is);
      },
      {
        kind: "quiet",
        "aria-pressed": String(isMarked),
        title: t("recording.doubts.about"),
        class: "lt-button lt-quiet lt-recording-doubts",
        glyph: "eye",
      },
    );
    this.tabs = h(
      "div",
      { class: "lt-recording-tabs", role: "toolbar", "aria-label": t("recording.panels") },
      PANELS.map((name) =>
        button(t(`recording.tab.${name}`), () => (this.opened === name ? this.closePanel() : this.panel(name)), {
          kind: "quiet",
          glyph: ICONS[name],
          title: t(`recording.tab.${name}`),
          "aria-label": t(`recording.tab.${name}`),
          "aria-expanded": "false",
          dataset: { panel: name },
        }),
      ),
    );
    const more = menu(
      null,
      () => [
        { text: t("recording.copyAll"), glyph: "copy", run: () => this.copyAll() },
        {
          text: t("recording.download"),
          glyph: "download",
          run: () =>
            h("a", { href: api.address(`/recordings/${model.id}/audio`), download: model.recording.name }).click(),
        },
        null,
        { text: t("recording.keys"), glyph: "keyboard", run: () => this.help() },
      ],
      { label: t("more"), kind: "quiet" },
    );
    const steps = () => {
      undo.disabled = !model.canUndo;
      redo.disabled = !model.canRedo;
    };
    const edits = h("div", { class: "lt-row lt-recording-edits" }, undo, redo, this.saving());
    steps();
    this.on(model, "steps", steps);
    this.on(model, "revision", steps);
    this.on(model, "recording", steps);
    this.on(model, "layer", () => {
      for (const one of layers.children) one.setAttribute("aria-pressed", String(one.dataset.layer === model.layer));
    });
    const made = h("div", { class: "lt-recording-bar" }, edits, layers, doubts, this.tabs, more);
    const shown = () => {
      made.hidden = !model.recording.revision;
      edits.hidden = model.isReadOnly;
    };
    shown();
    this.on(model, "recording", shown);
    this.on(model, "revision", shown);
    return made;
  }

  /** Whether all is saved, and what can be done if it is not. */
  saving() {
    const { model } = this;
    const made = h("span", { class: "lt-recording-state lt-small", role: "status" });
    this.on(model, "saving", ({ detail: { state, error } }) => {
      made.dataset.state = state;
      fill(
        made,
        t(`recording.saving.${state}`),
        ["failed", "offline"].includes(state) && button(t("again"), () => model.flush(), { kind: "quiet" }),
      );
      if (state !== "failed" || !error) return;
      toastProblem(error);
      if (error.status !== 403) return;
      model.isRefused = true;
      model.dispatchEvent(new CustomEvent("recording"));
    });
    return made;
  }

  /** The way back is offered while it plays and one looks elsewhere. */
  following() {
    this.followButton.hidden = this.transcript.isFollowing || !this.player.isPlaying || !this.model.total;
  }

  readOnly() {
    const why = this.model.whyReadOnly;
    const isTold = why !== null && this.model.recording.revision > 0;
    fill(
      this.notice,
      isTold
        && h(
          "div",
          { class: "lt-note lt-row lt-spread" },
          h("span", {}, t(why, { revision: this.model.revision })),
          why === "recording.readOnly.earlier"
            && button(t("recording.current"), () => this.model.show(null).catch(toastProblem)),
        ),
    );
  }

  /** Who speaks when, under the waveform; as far as it is loaded. */
  spans() {
    cancelAnimationFrame(this.spansAsked);
    this.spansAsked = requestAnimationFrame(() => {
      const found = [];
      for (const one of this.model.segments) {
        if (!one?.speaker) continue;
        const kind = COLOUR_KINDS[this.model.colours.of(one.speaker)];
        const last = found.at(-1);
        if (last?.kind === kind && one.start_s - last.end_s < 1) last.end_s = one.end_s;
        else found.push({ start_s: one.start_s, end_s: one.end_s, kind });
      }
      this.wave.setSpans(found);
    });
  }

  // Places ----------------------------------------------------------------------------------

  async goTo(asked) {
    const { model } = this;
    const segment = Number(asked.get("segment") ?? NaN);
    const time = Number(asked.get("t") ?? NaN);
    try {
      if (Number.isInteger(segment) && segment >= 0 && segment < model.total) {
        await model.ensure(segment, segment + 1);
        if (model !== this.model) return;
        const at = Number.isFinite(time) ? time : model.segments[segment].start_s;
        this.player.seek(at);
        await this.transcript.scrollTo(segment);
        model.select(segment);
      } else if (Number.isFinite(time)) {
        this.player.seek(time);
        const at = await model.locate(time);
        if (model !== this.model) return;
        if (at !== null) {
          model.lastFound = at;
          await this.transcript.scrollTo(at);
          model.ticked(time);
        }
      }
      if (PANELS.includes(asked.get("panel"))) this.panel(asked.get("panel"));
    } catch (error) {
      toastProblem(error);
    }
  }

  /** The row of a time, loaded if it is not there. */
  async lookFor(time) {
    const { model } = this;
    if (!model.total) return;
    try {
      const at = await model.locate(time);
      if (model !== this.model || at === null || Math.abs(this.player.time - time) > 30) return;
      model.lastFound = at;
      if (this.transcript.isFollowing && this.transcript.editing === null) await this.transcript.scrollTo(at);
      model.ticked(this.player.time);
    } catch (error) {
      toastProblem(error);
    }
  }

  /** The list as it was left, with what was searched and chosen; the whole one if none was shown. */
  get listPath() {
    const asked = this.closest("lt-recordings")?.asked;
    return asked ? pathOf(asked) : "recordings";
  }

  goBack(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(this.listPath); // the list knows how far it was scrolled
  }

  // The job ---------------------------------------------------------------------------------

  async heardOf(event) {
    const { model } = this;
    const asked = ++this.asks;
    try {
      if (event.kind === "job.done") {
        this.answered = asked;
        await model.refresh();
        if (model === this.model) await this.transcribed();
        return;
      }
      const job = await api.get(`/jobs/${model.job.id}`);
      if (model !== this.model || asked < this.answered) return; // answers come in any order
      this.answered = asked;
      model.job = job;
      model.dispatchEvent(new CustomEvent("recording"));
      if (!model.recording.revision) this.watch();
    } catch (error) {
      if (error.status !== 0) toastProblem(error);
    }
  }

  /** What is read or corrected is not taken away for a new transcript. */
  async transcribed() {
    const { model, wave } = this;
    if (!model.current) {
      this.live.hidden = true;
      fill(this.live);
      await model.reload();
      const bytes = await api.bytes(`/recordings/${model.id}/peaks`);
      if (bytes.byteLength) wave.setPeaks(new Int8Array(bytes), model.duration);
    } else if (model.recording.revision > model.current) {
      this.ends.push(
        toast(t("recording.newTranscript"), {
          ms: 60_000,
          action: {
            text: t("recording.showNew"),
            run: () =>
              model
                .saved()
                .then(() => model.reload())
                .catch(toastProblem),
          },
        }),
      );
    }
  }

  /** The text as it comes, while there is no transcript yet. */
  async watch() {
    const { model, live } = this;
    if (!model.job || !["running", "paused", "failed"].includes(model.job.state) || this.isWatching) return;
    this.isWatching = true;
    try {
      for (let next = live.childElementCount; next !== null;) {
        const page = await api.get(`/jobs/${model.job.id}/segments`, { start: next, limit: 500 });
        if (model !== this.model || model.recording.revision || !page.items.length) break;
        live.hidden = false;
        for (const one of page.items) {
          live.append(
            h(
              "p",
              { class: "lt-recording-row lt-recording-coming" },
              h(
                "button",
                {
                  type: "button",
                  class: "lt-recording-time lt-number",
                  onclick: () => this.player.seek(one.start_s),
                  "aria-label": t("recording.playFrom", { time: clock(one.start_s) }),
                },
                clock(one.start_s),
              ),
              h("span", { class: "lt-recording-text", lang: one.language || null, dir: "auto" }, one.text),
            ),
          );
        }
        next = page.next;
      }
    } catch (error) {
      if (error.status && error.status !== 404) toastProblem(error);
    } finally {
      this.isWatching = false;
    }
  }

  // Panels ----------------------------------------------------------------------------------

  async panel(name, wish = {}) {
    if (!PANELS.includes(name)) return;
    if (this.opened === name) {
      this.closing?.wish?.(wish);
      return;
    }
    this.closePanel(false);
    this.opened = name;
    this.openedBy = document.activeElement;
    const into = h("div", { class: "lt-recording-panel" });
    fill(
      this.drawer,
      h(
        "header",
        {},
        h("h2", { tabindex: "-1" }, t(`recording.tab.${name}`)),
        button(null, () => this.closePanel(), { kind: "quiet", label: t("close"), glyph: "close" }),
      ),
      into,
    );
    this.drawer.hidden = false;
    this.drawn();
    try {
      const made = await import(`../recording/${name}.js`);
      if (!into.isConnected) return;
      const close = await made.open(this.model, into, wish);
      if (!into.isConnected) {
        close();
        return;
      }
      this.closing = close;
      if (!into.contains(document.activeElement)) this.drawer.querySelector("h2").focus({ preventScroll: true });
    } catch (error) {
      if (!error.code) await unloaded(error);
      fill(
        into,
        problemBox(error.code ? error : { code: "page", message: t("error.load") }, () => {
          this.opened = null;
          this.panel(name, wish);
        }),
      );
    }
  }

  closePanel(isBack = true) {
    if (!this.opened) return;
    this.closing?.();
    this.closing = null;
    this.opened = null;
    this.drawer.hidden = true;
    fill(this.drawer);
    this.drawn();
    if (isBack) this.openedBy?.focus?.();
  }

  drawn() {
    for (const one of this.tabs.children) one.setAttribute("aria-expanded", String(one.dataset.panel === this.opened));
  }

  // What can be done with all of it ---------------------------------------------------------

  async copyAll() {
    try {
      const all = await this.model.all();
      const isSpoken = this.model.layer === "spoken";
      let speaker = null;
      await copy(
        all
          .map((one) => {
            const name = one.speaker && one.speaker !== speaker ? `\n${one.speaker}  ${clock(one.start_s)}\n` : "";
            speaker = one.speaker;
            return name + (isSpoken ? one.spoken : one.text);
          })
          .join("\n")
          .trim(),
      );
    } catch (error) {
      toastProblem(error);
    }
  }

  /** Somebody else changed the same segments: shown side by side, nothing is thrown away unasked. */
  async conflict({ clashes, resolve }) {
    const mine = clashes.map((one) => one.mine.text).join("\n");
    const canMine = clashes.every((one) => one.theirs !== null);
    const said = (one, isNamed) => [
      isNamed && h("p", { class: "lt-soft" }, one.speaker || t("recording.conflict.nobody")),
      h("p", { dir: "auto" }, one.text),
    ];
    const choice = await dialog(
      t("recording.conflict"),
      (close) => [
        h(
          "p",
          {},
          t(clashes.length === 1 ? "recording.conflict.text.one" : "recording.conflict.text", { n: clashes.length }),
        ),
        h(
          "div",
          { class: "lt-recording-clashes" },
          clashes.slice(0, 50).map(({ start_s: at, mine: ours, theirs }) => {
            const isNamed = ours.speaker !== theirs?.speaker;
            return h(
              "div",
              { class: "lt-recording-clash" },
              h("span", { class: "lt-number lt-soft" }, clock(at)),
              h(
                "div",
                {},
                h("h3", {}, t("recording.conflict.theirs")),
                theirs ? said(theirs, isNamed) : h("p", {}, t("recording.conflict.gone")),
              ),
              h("div", {}, h("h3", {}, t("recording.conflict.mine")), said(ours, isNamed)),
            );
          }),
        ),
        h(
          "footer",
          {},
          button(t("recording.conflict.copy"), () => copy(mine), { glyph: "copy" }),
          button(t("recording.conflict.keepTheirs"), () => close("theirs")),
          canMine && button(t("recording.conflict.keepMine"), () => close("mine"), { kind: "primary" }),
        ),
      ],
      { wide: true },
    );
    resolve(choice);
  }

  // Keys ------------------------------------------------------------------------------------

  key(event) {
    if (event.defaultPrevented || event.isComposing || !this.model || document.querySelector("dialog[open]")) return;
    const isTyping = event.target.matches?.(
      "input:not([type=checkbox], [type=range]), textarea, select, [contenteditable]",
    );
    const isCommand = event.ctrlKey || event.metaKey;
    const { player } = this;
    if (isCommand && !event.altKey) {
      const key = event.key.toLowerCase();
      if (key === "z" && !isTyping) this.model[event.shiftKey ? "redo" : "undo"]();
      else if (key === "y" && !isTyping) this.model.redo();
      else if (key === "s") this.model.flush();
      else if (key === "f" && !event.shiftKey) this.panel("find");
      else return;
      event.preventDefault();
      return;
    }
    if (isTyping || event.altKey) return;
    const isOnControl =
      event.target.closest?.("button, a, [role=slider], [role=menu]") && !event.target.closest?.(".lt-recording-time");
    const run = {
      " ": isOnControl ? null : () => player.toggle(),
      k: () => player.toggle(),
      j: () => player.step(-5),
      l: () => player.step(5),
      ArrowLeft: () => player.step(event.shiftKey ? -1 : -5),
      ArrowRight: () => player.step(event.shiftKey ? 1 : 5),
      "[": () => player.faster(-1),
      "]": () => player.faster(1),
      e: () => this.transcript.edit(Math.max(0, this.transcript.playing)),
      g: () => this.transcript.setFollowing(true),
      f: () => this.panel("find"),
      n: () => this.panel("notes", { at_s: player.time }),
      v: () => this.model.setLayer(this.model.layer === "written" ? "spoken" : "written"),
      "?": () => this.help(),
      Escape: this.opened ? () => this.closePanel() : null,
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run) return;
    run();
    event.preventDefault();
  }

  help() {
    const row = (keys, key) =>
      h(
        "div",
        {},
        h(
          "dt",
          {},
          keys.map((one) => h("kbd", {}, one)),
        ),
        h("dd", {}, t(key)),
      );
    dialog(
      t("recording.keys"),
      () =>
        h(
          "div",
          { class: "lt-recording-keys" },
          h("h3", {}, t("recording.keys.listening")),
          h(
            "dl",
            {},
            row(["Space", "K"], "recording.keys.play"),
            row(["←", "→", "J", "L"], "recording.keys.step"),
            row(["Shift ← →"], "recording.keys.small"),
            row(["[", "]"], "recording.keys.speed"),
            row(["G"], "recording.keys.follow"),
          ),
          h("h3", {}, t("recording.keys.editing")),
          h(
            "dl",
            {},
            row(["E", "Enter"], "recording.keys.edit"),
            row(["Enter"], "recording.keys.next"),
            row(["Shift Enter"], "recording.keys.previous"),
            row(["Tab"], "recording.keys.tab"),
            row(["Shift Tab"], "recording.keys.shiftTab"),
            row(["Esc"], "recording.keys.escape"),
            row(["Ctrl Z"], "recording.keys.undo"),
            row(["Ctrl Shift Z"], "recording.keys.redo"),
            row(["Ctrl S"], "recording.keys.save"),
          ),
          h("h3", {}, t("recording.keys.page")),
          h(
            "dl",
            {},
            row(["↑", "↓"], "recording.keys.rows"),
            row(["V"], "recording.keys.layer"),
            row(["F", "Ctrl F"], "recording.keys.find"),
            row(["N"], "recording.keys.note"),
            row(["?"], "recording.keys.help"),
          ),
        ),
      { wide: true },
    );
  }
}

customElements.define("lt-recording", RecordingPage);
