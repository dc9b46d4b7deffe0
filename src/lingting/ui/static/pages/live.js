// Live captions: what a microphone hears, sentence by sentence, large enough for a projector.

import words from "../words/live.js";
import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { LANGUAGES, clock, languageName, percent, stamp } from "../core/format.js";
import { icon } from "../core/icons.js";
import { go } from "../core/main.js";
import {
  button,
  field,
  menu,
  problem,
  problemBox,
  progress,
  save,
  select,
  toast,
  toastProblem,
} from "../core/parts.js";
import { microphones } from "../core/recorder.js";
import { learn, t } from "../core/words.js";
import { Session } from "./live-session.js";

learn(words);

const SIZES = [20, 24, 28, 34, 40, 48, 58, 70, 84, 100];
const LOOKS = ["page", "dark", "yellow", "light"];
const PLACE = "lingting.live";
const SHOWN = 400;

const chosen = (() => {
  const found = { size: 34, look: "page", language: "", glossary: "", device: "" };
  try {
    return { ...found, ...JSON.parse(localStorage.getItem(PLACE)) };
  } catch {
    return found;
  }
})();
const keep = () => {
  try {
    localStorage.setItem(PLACE, JSON.stringify(chosen));
  } catch {
    /* then not */
  }
};

let session = null;

addEventListener("beforeunload", (event) => {
  if (session?.isUnsaved) event.preventDefault();
});

/** The microphone is off; a session in which nothing was heard is none. */
function stop() {
  session.stop();
  if (session.file) return;
  session.end();
  session = null;
}

/** Nobody looks at it any more: a message says when it is done, or that it could not be saved. */
function aside(left) {
  let told = left.error;
  left.changed = () => {
    if (left.error && left.error !== told) toastProblem(left.error);
    told = left.error;
    if (left.job?.state !== "done") return;
    left.changed = () => {};
    if (session === left) session = null;
    toast(t("live.done"), {
      action: { text: t("live.openIt"), run: () => go(`recordings?id=${left.job.recording_id}`) },
    });
  };
}

class LivePage extends HTMLElement {
  #lines = new Map();
  #isAtEnd = true;
  #awake = null;
  #drawn = null;
  #kept = null;
  #full = () => this.#drawFull();
  #seen = () => {
    if (document.visibilityState === "visible" && session?.state === "on") this.#stayAwake();
  };

  connectedCallback() {
    this.lines = h("div", {
      class: "lt-live-lines",
      role: "log",
      "aria-live": "polite",
      "aria-label": t("live.captions"),
      tabindex: "0",
      onscroll: () => {
        this.#isAtEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 60;
      },
    });
    this.now = h("p", { class: "lt-live-now" });
    this.trouble = h("div", {});
    this.controls = h("div", { class: "lt-row" });
    this.meter = h("meter", { class: "lt-live-meter", min: 0, max: 1, low: 0.15, "aria-label": t("recorder.level") });
    this.time = h("span", { class: "lt-number lt-live-time", role: "timer", "aria-label": t("live.time") });
    this.sizes = h("input", {
      type: "range",
      class: "lt-live-size",
      min: 0,
      max: SIZES.length - 1,
      step: 1,
      "aria-label": t("live.size"),
      oninput: () => this.#size(Number(this.sizes.value)),
    });
    this.fullButton = button(null, () => this.#toggleFull(), {
      kind: "quiet",
      glyph: "expand",
      label: t("live.full"),
      class: "lt-button lt-quiet lt-icon-only",
    });
    this.look = select(
      LOOKS.map((one) => [one, t(`live.look.${one}`)]),
      {
        value: chosen.look,
        "aria-label": t("live.look"),
        class: "lt-live-look",
        onchange: () => {
          chosen.look = this.look.value;
          keep();
          this.#dress();
        },
      },
    );
    this.stage = h(
      "section",
      { class: "lt-live-stage", "aria-label": t("page.live") },
      this.lines,
      this.now,
      h(
        "div",
        { class: "lt-live-bar" },
        this.controls,
        this.meter,
        this.time,
        h(
          "div",
          { class: "lt-row lt-live-view" },
          button("A", () => this.#size(SIZES.indexOf(chosen.size) - 1), {
            kind: "quiet",
            label: t("live.smaller"),
            class: "lt-button lt-quiet lt-live-small",
          }),
          this.sizes,
          button("A", () => this.#size(SIZES.indexOf(chosen.size) + 1), {
            kind: "quiet",
            label: t("live.larger"),
            class: "lt-button lt-quiet lt-live-large",
          }),
          this.look,
          this.fullButton,
        ),
      ),
    );
    this.options = h("div", { class: "lt-card lt-live-options" });
    this.kept = h("div", {});
    fill(
      this,
      h("div", { class: "lt-top" }, h("div", {}, h("h1", {}, t("page.live")), h("p", {}, t("live.about")))),
      this.trouble,
      this.stage,
      this.kept,
      this.options,
    );
    document.addEventListener("fullscreenchange", this.#full);
    document.addEventListener("visibilitychange", this.#seen);
    this.#listen();
    this.#dress();
    this.#drawOptions();
    this.#drawAll();
  }

  disconnectedCallback() {
    document.removeEventListener("fullscreenchange", this.#full);
    document.removeEventListener("visibilitychange", this.#seen);
    this.#awake?.release().catch(() => {});
    if (!session) return;
    if (session.state === "on") {
      stop();
      if (session) toast(t("live.left"), { kind: "warn" });
    } else if (session.state === "asking") {
      session.stop();
      session = null;
    }
    if (session) aside(session);
  }

  // The session.

  #listen() {
    if (!session) return;
    session.changed = (piece) => (piece ? this.#drawPiece(piece) : this.#draw());
    session.ended = () => {
      toast(t("recorder.ended"), { kind: "warn" });
      this.#stop();
    };
    session.leveled = (level) => this.#level(level);
  }

  async #start() {
    fill(this.trouble);
    const mine = (session = new Session({ options: { language: chosen.language, glossary: chosen.glossary } }));
    this.#listen();
    this.#drawAll();
    try {
      await session.start(chosen.device || null);
      if (session !== mine) return;
      this.#stayAwake();
      this.#drawOptions();
    } catch (error) {
      if (session !== mine) return;
      session = null;
      this.#drawAll();
      fill(
        this.trouble,
        problemBox(error, () => this.#start()),
      );
    }
  }

  async #stayAwake() {
    try {
      this.#awake = await navigator.wakeLock?.request("screen");
    } catch {
      /* the screen may go dark then */
    }
    if (session?.state !== "on") this.#awake?.release().catch(() => {});
  }

  #stop() {
    stop();
    this.#awake?.release().catch(() => {});
    this.#drawAll();
  }

  #discard() {
    const left = session;
    // Captions that are still on their way belong to nothing that is shown.
    left.changed = () => {};
    session = null;
    this.#drawAll();
    toast(t("live.discarded"), {
      action: {
        text: t("undo"),
        run: () => {
          if (session) return;
          session = left;
          if (this.isConnected) {
            this.#listen();
            this.#drawAll();
          } else go("live");
        },
      },
    });
  }

  #save() {
    if (session.state === "on") this.#stop();
    if (!session) return;
    const name = (this.name?.value.trim() || t("live.nameOf", { time: stamp(session.startedAt) })).replace(
      /[/\\]/g,
      "-",
    );
    session.save(`${name.replace(/\.wav$/i, "")}.wav`);
  }

  // What is seen.

  #drawAll() {
    this.#lines.clear();
    fill(this.lines);
    for (const piece of session?.pieces || []) this.#drawPiece(piece);
    this.#drawn = null;
    this.#draw();
  }

  #draw() {
    const state = session?.state || "idle";
    if (state === "saved" && session.job?.state === "done") return this.#finished();
    this.stage.dataset.state = state;
    if (this.#drawn !== state) {
      this.#drawn = state;
      this.#drawControls(state);
      this.#drawOptions();
    }
    this.meter.hidden = state !== "on";
    if (state !== "on") this.time.textContent = session ? clock(session.seconds) : "";
    this.#drawNow(state);
    this.#drawKept(state);
    this.#scroll();
  }

  #drawControls(state) {
    const had = this.controls.contains(document.activeElement);
    fill(
      this.controls,
      state === "idle" && button(t("live.start"), () => this.#start(), { kind: "primary", glyph: "mic" }),
      state === "asking"
        && button(t("cancel"), () => {
          session.end();
          session.stop();
          session = null;
          this.#drawAll();
        }),
      state === "on" && [
        button(t("live.stop"), () => this.#stop(), { kind: "primary", glyph: "stop" }),
        button(t("live.save"), () => this.#save(), { glyph: "check" }),
      ],
      state === "saved"
        && button(
          t("live.new"),
          () => {
            aside(session);
            session = null;
            this.#drawAll();
          },
          { glyph: "mic" },
        ),
      ["stopped", "failed"].includes(state) && [
        button(t(state === "failed" ? "live.saveAgain" : "live.save"), () => this.#save(), {
          kind: "primary",
          glyph: "check",
        }),
        menu(t("live.files"), () => this.#files(), { glyph: "download" }),
        button(t("recorder.discard"), () => this.#discard(), { kind: "quiet", glyph: "trash" }),
      ],
    );
    if (had) this.controls.querySelector("button")?.focus();
  }

  #files() {
    const stem = t("live.nameOf", { time: stamp(session.startedAt) });
    return [
      { text: t("live.audioFile"), glyph: "download", run: () => save(`${stem}.wav`, session.file, "audio/wav") },
      session.text && {
        text: t("live.textFile"),
        glyph: "download",
        run: () => save(`${stem}.txt`, `${session.text}\n`),
      },
    ].filter(Boolean);
  }

  /** The one line under the captions: what goes on just now. */
  #drawNow(state) {
    const isBare = !session?.pieces.some((piece) => piece.text || piece.state !== "heard");
    if (state === "idle")
      return fill(
        this.now,
        h(
          "span",
          { class: "lt-live-ready" },
          icon("captions"),
          h("strong", {}, t("live.ready")),
          h("span", {}, t("live.ready.text")),
        ),
      );
    const said = {
      asking: () => t("recorder.asking"),
      on: () =>
        session.isLost
          ? t("live.lost")
          : session.isQuiet
            ? t("recorder.quiet")
            : t(session.isHearing ? "live.hearing" : "live.listening"),
    }[state];
    fill(this.now, said ? said() : isBare && t("live.nothing"));
    this.now.classList.toggle("lt-live-warn", state === "on" && (session.isLost || session.isQuiet));
    return null;
  }

  #drawKept(state) {
    const had = this.#kept;
    this.#kept = state;
    if (!["stopped", "saving", "saved", "failed"].includes(state)) {
      this.name = null;
      return fill(this.kept);
    }
    if (state === "stopped" || state === "failed") {
      if (this.name?.isConnected && had === state) return null;
      const given = this.name?.value || t("live.nameOf", { time: stamp(session.startedAt) });
      this.name = h("input", { type: "text", maxlength: "200", value: given });
      return fill(
        this.kept,
        state === "failed" && problemBox(session.error, () => this.#save()),
        h(
          "section",
          { class: "lt-card lt-live-keep", "aria-label": t("live.save") },
          h(
            "p",
            {},
            h("strong", {}, t("live.stopped", { time: clock(session.seconds) })),
            " ",
            h("span", { class: "lt-soft" }, t("live.again")),
          ),
          field(t("live.name"), this.name),
        ),
      );
    }
    const isSaving = state === "saving";
    const { job } = session;
    if (job && ["failed", "cancelled"].includes(job.state)) {
      return fill(
        this.kept,
        h(
          "div",
          { class: "lt-problem", role: "alert" },
          icon("warn"),
          h("p", {}, t("live.failed")),
          h("a", { class: "lt-button", href: `/app/recordings?id=${job.recording_id}` }, t("live.openIt")),
        ),
      );
    }
    const told = isSaving
      ? t(session.isLost ? "live.savingLost" : "live.saving", { share: percent(session.share) })
      : t("live.transcribing");
    const share = isSaving ? session.share : job?.total_s > 0 ? Math.min(1, job.done_s / job.total_s) : null;
    return fill(
      this.kept,
      h(
        "section",
        { class: "lt-card lt-live-keep", role: "status" },
        h("p", {}, told),
        progress(share || null, told),
        job
          && h(
            "p",
            { class: "lt-live-open" },
            h("a", { href: `/app/recordings?id=${job.recording_id}` }, t("live.open")),
          ),
      ),
    );
  }

  #finished() {
    const { job } = session;
    session = null;
    toast(t("live.done"));
    go(`recordings?id=${job.recording_id}`);
  }

  #drawPiece(piece) {
    let line = this.#lines.get(piece);
    if (!line) {
      line = h("p", { dataset: { at: piece.at_s.toFixed(2) } });
      this.#lines.set(piece, line);
      this.lines.append(line);
      if (this.lines.children.length > SHOWN) this.lines.firstElementChild.remove();
    }
    line.dataset.state = piece.state;
    line.hidden = piece.state === "heard" && !piece.text;
    if (piece.state === "failed")
      fill(
        line,
        h(
          "span",
          { class: "lt-live-failed" },
          icon("warn"),
          `${t("live.pieceFailed")} ${problem(piece.error) || ""}`,
          button(t("again"), () => session.again(piece), { kind: "quiet" }),
        ),
      );
    else fill(line, piece.text || h("span", { "aria-hidden": "true" }, t("live.waiting")));
    this.#drawNow(session?.state || "idle");
    this.#scroll();
  }

  #scroll() {
    if (this.#isAtEnd) this.lines.scrollTop = this.lines.scrollHeight;
  }

  #level(level) {
    this.meter.value = level;
    if (session?.state === "on") this.time.textContent = clock(session.seconds);
  }

  // How it looks.

  #size(at) {
    chosen.size = SIZES[Math.max(0, Math.min(SIZES.length - 1, at))];
    keep();
    this.#dress();
  }

  #dress() {
    if (!SIZES.includes(chosen.size)) chosen.size = 34;
    this.stage.style.setProperty("--lt-live-size", `${chosen.size}px`);
    this.sizes.value = SIZES.indexOf(chosen.size);
    this.sizes.setAttribute("aria-valuetext", `${chosen.size} px`);
    this.stage.dataset.look = chosen.look;
    this.#scroll();
  }

  #toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.stage.requestFullscreen)
      this.stage.requestFullscreen().catch(() => toast(t("live.cannotFull"), { kind: "warn" }));
    else toast(t("live.cannotFull"), { kind: "warn" });
  }

  #drawFull() {
    const is = document.fullscreenElement === this.stage;
    const label = t(is ? "live.fullLeave" : "live.full");
    fill(this.fullButton, icon(is ? "shrink" : "expand"));
    this.fullButton.setAttribute("aria-label", label);
    this.fullButton.title = label;
    this.#scroll();
  }

  // What is chosen before.

  async #drawOptions() {
    const draw = (glossaries, devices) => {
      const isFixed = Boolean(session) && session.state !== "stopped";
      const set =
        (name) =>
        ({ target }) => {
          chosen[name] = target.value;
          keep();
        };
      if (glossaries && !glossaries.some((one) => one.id === chosen.glossary)) chosen.glossary = "";
      // Without a permission browsers name none.
      if (devices.length && !devices.some((one) => one.deviceId === chosen.device)) chosen.device = "";
      const own = (name, options) => select(options, { value: chosen[name], disabled: isFixed, onchange: set(name) });
      fill(
        this.options,
        h(
          "div",
          { class: "lt-grid" },
          field(
            t("options.language"),
            own("language", [["", t("options.language.auto")], ...LANGUAGES.map((code) => [code, languageName(code)])]),
          ),
          field(
            t("options.glossary"),
            own("glossary", [["", t("options.glossary.none")], ...(glossaries || []).map((one) => [one.id, one.name])]),
          ),
          devices.length > 0
            && field(
              t("recorder.device"),
              own("device", [["", t("live.anyMicrophone")], ...devices.map((one) => [one.deviceId, one.label])]),
            ),
        ),
        isFixed && h("p", { class: "lt-hint" }, t("live.fixed")),
      );
    };
    try {
      this.glossaries ||= (await api.get("/glossaries")).items;
      const devices = await microphones();
      if (this.isConnected)
        draw(
          this.glossaries,
          devices.filter((one) => one.deviceId !== "default"),
        );
    } catch (error) {
      draw(null, []);
      this.options.prepend(problemBox(error, () => this.#drawOptions()));
    }
  }
}

customElements.define("lt-live", LivePage);
