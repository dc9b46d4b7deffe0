// Speech activity: where somebody speaks, by parameters that are tried out on a file or a recording.

import words from "../words/vad.js";
import { api } from "../core/api.js";
import { createClipChooser } from "../core/clip.js";
import { debounced, fill, h, newId } from "../core/dom.js";
import { clock, number, percent, size } from "../core/format.js";
import { icon } from "../core/icons.js";
import { badge, button, menu, problemBox, save, spinner, toastProblem } from "../core/parts.js";
import { createWaveform } from "../core/waveform.js";
import { has, language, learn, t } from "../core/words.js";

learn(words);

const SETTLED_MS = 350;
const ROWS = 200;
/** What was changed from the defaults; it stays while one looks at another page. */
const chosen = {};

const titleOf = (parameter) => t(`vad.p.${parameter.name}`);
const exact = (seconds) => `${seconds.toFixed(2)}`;
const about = (parameter) =>
  parameter.about[language].replace(/\b[a-z]+(_[a-z]+)+\b/g, (name) =>
    has(`vad.p.${name}`) ? t("vad.named", { name: t(`vad.p.${name}`) }) : name,
  );
const shown = (parameter, value) => `${value}${parameter.unit ? ` ${parameter.unit}` : ""}`;

class VadPage extends HTMLElement {
  #parameters = null;
  #limits = null;
  #found = null;
  #asking = null;
  #again = 0;
  #tab = "spans";
  #rows = ROWS;
  #playing = null;
  #frame = 0;
  #marked = null;
  #later = debounced(() => this.#find(), SETTLED_MS);

  connectedCallback() {
    this.chooser = createClipChooser({ onchange: (clip) => this.#took(clip), large: true });
    this.wave = createWaveform({ label: t("vad.wave"), onSeek: (seconds) => this.#seek(seconds) });
    this.audio = h("audio", {
      preload: "metadata",
      ontimeupdate: () => this.#followed(),
      onended: () => this.#stopped(),
      onpause: () => this.#stopped(),
      onplay: () => this.#started(),
      onerror: () => {
        if (this.audio.hasAttribute("src")) {
          this.play.disabled = true;
          fill(this.deaf, t("vad.cannotPlay"));
          this.#drawTable();
        }
      },
    });
    this.play = button(t("vad.play"), () => this.#toggle(), { glyph: "play", class: "lt-button lt-vad-play" });
    this.deaf = h("p", { class: "lt-hint" });
    this.status = h("div", { class: "lt-vad-status", role: "status" });
    this.legend = h(
      "p",
      { class: "lt-vad-legend lt-soft lt-small", hidden: true },
      h("span", { class: "lt-vad-key" }),
      t("vad.spans"),
      h("span", { class: "lt-vad-key lt-vad-clips" }),
      t("vad.clips"),
    );
    this.totals = h("dl", { class: "lt-vad-totals" });
    this.trouble = h("div", {});
    this.table = h("div", { class: "lt-vad-table" });
    this.panel = h("section", { class: "lt-card lt-vad-parameters", "aria-labelledby": "lt-vad-parameters" });
    this.work = h(
      "div",
      { class: "lt-vad-work", hidden: true },
      h(
        "section",
        { class: "lt-card lt-vad-wave", "aria-label": t("vad.wave") },
        this.wave.element,
        h("div", { class: "lt-row lt-vad-below" }, this.play, this.status, this.legend),
        this.deaf,
        this.totals,
      ),
      this.panel,
      h("section", { class: "lt-vad-result", "aria-label": t("vad.result") }, this.trouble, this.table),
    );
    fill(
      this,
      h("div", { class: "lt-top" }, h("div", {}, h("h1", {}, t("page.vad")), h("p", {}, t("vad.about")))),
      this.chooser.element,
      this.work,
    );
    this.#learn();
    this.addressChanged();
  }

  disconnectedCallback() {
    this.#later.cancel();
    clearTimeout(this.#again);
    cancelAnimationFrame(this.#frame);
    this.#asking?.abort();
    this.audio.pause();
    this.wave.destroy();
    this.chooser.release();
  }

  /** `?recording=` names one to begin with. */
  async addressChanged() {
    const id = new URLSearchParams(location.search).get("recording");
    if (!id || this.chooser.clip?.recording === id) return;
    try {
      const found = await api.get(`/recordings/${encodeURIComponent(id)}`);
      if (this.isConnected && new URLSearchParams(location.search).get("recording") === id)
        this.chooser.choose({ recording: found.id, name: found.name, duration_s: found.duration_s });
    } catch (error) {
      toastProblem(error);
    }
  }

  async #learn() {
    fill(this.panel, spinner());
    try {
      const told = await api.get("/speech/parameters");
      this.#parameters = told.parameters;
      this.#limits = told.clip;
      this.#drawParameters();
      if (this.chooser.clip) this.#find();
    } catch (error) {
      fill(
        this.panel,
        problemBox(error, () => this.#learn()),
      );
    }
  }

  #took(clip) {
    this.work.hidden = !clip;
    this.#found = null;
    this.#rows = ROWS;
    this.audio.pause();
    this.audio.src = this.chooser.address();
    this.play.disabled = false;
    fill(this.deaf);
    fill(this.trouble);
    fill(this.totals);
    fill(this.table);
    this.wave.setSpans([]);
    this.wave.setPeaks([], clip.duration_s || 0);
    this.wave.setTime(0);
    history.replaceState({}, "", `${location.pathname}${clip.recording ? `?recording=${clip.recording}` : ""}`);
    if (this.#parameters) this.#find();
  }

  // What is found.

  async #find() {
    const { clip } = this.chooser;
    if (!clip) return;
    clearTimeout(this.#again);
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    if (clip.file && clip.file.size > this.#limits.max_bytes) return this.#refuse();
    fill(
      this.status,
      h("span", { class: "lt-spinner", "aria-hidden": "true" }),
      t(clip.file ? "vad.sending" : "vad.finding"),
    );
    try {
      const found = await this.#asked(clip, asking.signal);
      if (this.#asking !== asking) return;
      this.#found = found;
      fill(
        this.trouble,
        found.damage.missing_s > 0
          && h("p", { class: "lt-note" }, t("vad.damaged", { s: number(found.damage.missing_s) })),
      );
      fill(this.status);
      this.#draw();
    } catch (error) {
      if (error.name === "AbortError" || this.#asking !== asking) return;
      if (error.retryAfterS && error.status === 503) {
        fill(this.status, t("vad.busy"));
        this.#again = setTimeout(() => this.#find(), 1000 * error.retryAfterS);
        return;
      }
      fill(this.status);
      fill(this.trouble, this.#clash(error) || problemBox(error, () => this.#find()));
    }
  }

  /** Two parameters that do not fit each other, by the names they have on this page. */
  #clash(error) {
    const names = (error.code === "option.invalid" && error.message.match(/\b[a-z]+(_[a-z]+)+\b/g)) || [];
    const titles = [...new Set(names)]
      .filter((name) => has(`vad.p.${name}`))
      .map((name) => t("vad.named", { name: t(`vad.p.${name}`) }));
    if (titles.length < 2) return null;
    return h(
      "div",
      { class: "lt-problem", role: "alert" },
      icon("warn"),
      h("p", {}, t("vad.clash", { names: titles.join(t("vad.and")) })),
    );
  }

  #asked(clip, signal) {
    if (clip.recording) return api.post(`/recordings/${clip.recording}/speech`, chosen, { signal });
    const form = new FormData();
    for (const [name, value] of Object.entries(chosen)) form.append(name, JSON.stringify(value));
    form.append("file", clip.file, "clip");
    return api.post("/speech", form, { signal });
  }

  #refuse() {
    fill(this.status);
    fill(
      this.trouble,
      h(
        "div",
        { class: "lt-problem", role: "alert" },
        icon("warn"),
        h(
          "p",
          {},
          t("vad.tooLong", { minutes: Math.round(this.#limits.max_s / 60), size: size(this.#limits.max_bytes) }),
        ),
        h("a", { class: "lt-button", href: "/app/" }, t("vad.upload")),
      ),
    );
  }

  #draw() {
    const found = this.#found;
    this.legend.hidden = false;
    this.wave.setPeaks(found.peaks, found.duration_s);
    this.wave.setSpans([
      ...found.spans.map((one) => ({ ...one, kind: "speech" })),
      ...found.clips.map((one, at) => ({ ...one, kind: at % 2 ? "c1" : "c2" })),
    ]);
    const told = [
      ["speech", clock(found.speech_s, { tenths: true })],
      ["share", percent(found.speech_share)],
      ["duration", clock(found.duration_s, { tenths: true })],
      ["spans", number(found.spans.length)],
      ["clips", number(found.clips.length)],
      ["took", `${found.took_s.toFixed(2)} s`],
    ];
    fill(
      this.totals,
      told.map(([key, value]) =>
        h("div", {}, h("dt", {}, t(`vad.${key}`)), h("dd", { class: "lt-number", dataset: { total: key } }, value)),
      ),
    );
    this.#drawTable();
  }

  #drawTable() {
    const found = this.#found;
    this.#marked = null;
    if (!found) return;
    if (!found.spans.length) {
      fill(
        this.table,
        h(
          "div",
          { class: "lt-empty" },
          icon("wave"),
          h("h2", {}, t("vad.none")),
          h("p", {}, t("vad.none.text")),
          h(
            "div",
            { class: "lt-row" },
            button(t("vad.reset"), () => this.#reset(), { glyph: "undo" }),
          ),
        ),
      );
      return;
    }
    const panelId = newId();
    const tabs = ["spans", "clips"].map((name) =>
      button(`${t(`vad.${name}`)} (${number(found[name].length)})`, () => this.#show(name), {
        role: "tab",
        class: "",
        "aria-selected": String(name === this.#tab),
        "aria-controls": panelId,
        tabindex: name === this.#tab ? "0" : "-1",
        id: `lt-vad-tab-${name}`,
      }),
    );
    const bar = h(
      "div",
      {
        class: "lt-tabs",
        role: "tablist",
        "aria-label": t("vad.result"),
        onkeydown: (event) => {
          if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
          this.#show(this.#tab === "spans" ? "clips" : "spans");
        },
      },
      tabs,
    );
    const all = found[this.#tab];
    const last = this.#tab === "spans" ? "score" : "inClip";
    const head = ["number", "start", "end", "length", last].map((key) =>
      h("th", { scope: "col", title: key === "score" ? t("vad.scoreHint") : null }, t(`vad.${key}`)),
    );
    const rows = all.slice(0, this.#rows).map((one, at) => this.#row(one, at, last));
    fill(
      this.table,
      h(
        "div",
        { class: "lt-row lt-spread lt-vad-head" },
        bar,
        menu(
          t("vad.export"),
          () => [
            { text: t("vad.exportSpans"), glyph: "download", run: () => this.#export("spans") },
            { text: t("vad.exportClips"), glyph: "download", run: () => this.#export("clips") },
            { text: t("vad.exportJson"), glyph: "download", run: () => this.#export("json") },
          ],
          { glyph: "download" },
        ),
      ),
      h(
        "div",
        { id: panelId, role: "tabpanel", "aria-labelledby": `lt-vad-tab-${this.#tab}` },
        h(
          "div",
          { class: "lt-scroll", tabindex: "0", role: "group", "aria-label": t(`vad.${this.#tab}`) },
          h(
            "table",
            { class: "lt-table lt-number" },
            h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "lt-hidden" }, t("vad.play"))), head)),
            h("tbody", {}, rows),
          ),
        ),
        all.length > this.#rows
          && button(t("more"), () => {
            this.#rows += 5 * ROWS;
            this.#drawTable();
          }),
      ),
    );
  }

  #row(one, at, last) {
    const label = t("vad.playSpan", {
      from: clock(one.start_s, { tenths: true }),
      to: clock(one.end_s, { tenths: true }),
    });
    return h(
      "tr",
      { dataset: { start: one.start_s } },
      h(
        "td",
        {},
        button(null, () => this.#playSpan(one), { kind: "quiet", glyph: "play", label, disabled: this.play.disabled }),
      ),
      h("td", {}, at + 1),
      h("td", {}, clock(one.start_s, { tenths: true })),
      h("td", {}, clock(one.end_s, { tenths: true })),
      h("td", {}, `${exact(one.end_s - one.start_s)} s`),
      h(
        "td",
        {},
        last === "score"
          ? h(
              "span",
              { class: "lt-vad-score" },
              h("span", {
                class: "lt-vad-bar",
                "aria-hidden": "true",
                style: { "inline-size": `${Math.round(44 * one.score)}px` },
              }),
              one.score.toFixed(2),
            )
          : `${exact(one.speech_s)} s`,
      ),
    );
  }

  #show(name) {
    this.#tab = name;
    this.#rows = ROWS;
    this.#drawTable();
    document.getElementById(`lt-vad-tab-${name}`)?.focus();
  }

  #export(what) {
    const found = this.#found;
    const stem = this.chooser.clip.name.replace(/\.[^.]+$/, "");
    if (what === "json") return save(`${stem}.speech.json`, `${JSON.stringify(found, null, 1)}\n`, "application/json");
    const last = what === "spans" ? "score" : "speech_s";
    const lines = found[what].map((one) =>
      [one.start_s, one.end_s, Number((one.end_s - one.start_s).toFixed(3)), one[last]].join(","),
    );
    save(`${stem}.${what}.csv`, `start_s,end_s,duration_s,${last}\r\n${lines.join("\r\n")}\r\n`, "text/csv");
  }

  // What is heard.

  #toggle() {
    this.#playing = null;
    if (this.audio.paused) this.#run();
    else this.audio.pause();
  }

  #playSpan(span) {
    this.#playing = span;
    this.audio.currentTime = span.start_s;
    this.#run();
  }

  #run() {
    this.audio.play().catch((cause) => {
      if (cause.name !== "AbortError" && cause.name !== "NotSupportedError") toastProblem(cause);
    });
  }

  #seek(seconds) {
    this.#playing = null;
    this.audio.currentTime = seconds;
  }

  #started() {
    fill(this.play, icon("pause"), h("span", {}, t("vad.pause")));
    const tick = () => {
      this.#followed();
      if (!this.audio.paused) this.#frame = requestAnimationFrame(tick);
    };
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(tick);
  }

  #stopped() {
    fill(this.play, icon("play"), h("span", {}, t("vad.play")));
    this.#mark(null);
  }

  #followed() {
    const now = this.audio.currentTime;
    this.wave.setTime(now);
    if (this.#playing && now >= this.#playing.end_s && !this.audio.paused) {
      this.audio.pause();
      this.#playing = null;
    }
    if (!this.audio.paused)
      this.#mark(this.#found?.[this.#tab].find((one) => one.start_s <= now && now < one.end_s) ?? null);
  }

  #mark(span) {
    if (span === this.#marked) return;
    this.#marked = span;
    for (const row of this.table.querySelectorAll("tr[data-start]")) {
      row.classList.toggle("lt-vad-now", Boolean(span) && Number(row.dataset.start) === span.start_s);
    }
  }

  // What can be chosen.

  #drawParameters() {
    const isWide = matchMedia("(min-width: 900px)").matches;
    this.count = h("span", {});
    const group = (name) =>
      h(
        "details",
        { open: name === "detector" && isWide, class: "lt-vad-group" },
        h("summary", {}, t(`vad.group.${name}`)),
        this.#parameters.filter((one) => one.group === name).map((one) => this.#control(one)),
      );
    fill(
      this.panel,
      h(
        "div",
        { class: "lt-row lt-spread" },
        h("h2", { id: "lt-vad-parameters" }, t("vad.parameters")),
        this.count,
        button(t("vad.reset"), () => this.#reset(), { kind: "quiet", glyph: "undo" }),
      ),
      group("detector"),
      group("packing"),
    );
    this.#countChanged();
  }

  #countChanged() {
    const many = Object.keys(chosen).length;
    fill(this.count, many > 0 && badge(t("vad.changed", { n: many }), "busy"));
  }

  #reset() {
    for (const name of Object.keys(chosen)) delete chosen[name];
    const held = this.panel.contains(document.activeElement);
    this.#drawParameters();
    if (held) this.panel.querySelector("button").focus();
    this.#later();
  }

  #set(parameter, value) {
    if (JSON.stringify(value) === JSON.stringify(parameter.default)) delete chosen[parameter.name];
    else chosen[parameter.name] = value;
    this.#countChanged();
    this.#later();
  }

  #control(parameter) {
    if (parameter.kind === "boolean") return this.#switch(parameter);
    return parameter.kind === "pairs" ? this.#schedule(parameter) : this.#slider(parameter);
  }

  #slider(parameter) {
    const { name, lowest: min, highest: max, step } = parameter;
    const title = titleOf(parameter);
    const hint = newId();
    const id = newId();
    const isInteger = parameter.kind === "integer";
    const value = chosen[name] ?? parameter.default;
    const range = h("input", {
      type: "range",
      id,
      min,
      max,
      step,
      "aria-describedby": hint,
      oninput: () => take(Number(range.value)),
    });
    const typed = h("input", {
      type: "number",
      class: "lt-vad-exact",
      min,
      max,
      step: "any",
      "aria-label": t("vad.exact", { name: title }),
      onchange: () => {
        const given = typed.value === "" ? parameter.default : Math.min(max, Math.max(min, Number(typed.value)));
        take(isInteger ? Math.round(given) : given);
      },
    });
    const back = button(
      null,
      () => {
        take(parameter.default);
        range.focus();
      },
      {
        kind: "quiet",
        glyph: "undo",
        label: t("vad.resetOne", { name: title, value: shown(parameter, parameter.default) }),
      },
    );
    const draw = (now) => {
      range.value = now;
      typed.value = now;
      range.setAttribute("aria-valuetext", shown(parameter, now));
      back.classList.toggle("lt-vad-unchanged", now === parameter.default);
      back.disabled = now === parameter.default;
    };
    const take = (now) => {
      draw(now);
      this.#set(parameter, now);
    };
    draw(value);
    return h(
      "div",
      { class: "lt-vad-parameter" },
      h(
        "div",
        { class: "lt-vad-line" },
        h("label", { for: id }, title),
        back,
        typed,
        h("span", { class: "lt-vad-unit lt-soft lt-small" }, parameter.unit || ""),
      ),
      range,
      h("p", { class: "lt-hint", id: hint }, about(parameter)),
    );
  }

  #switch(parameter) {
    const id = newId();
    const box = h("input", {
      type: "checkbox",
      role: "switch",
      id,
      checked: chosen[parameter.name] ?? parameter.default,
      onchange: () => this.#set(parameter, box.checked),
    });
    return h(
      "div",
      { class: "lt-toggle" },
      box,
      h("label", { for: id }, titleOf(parameter)),
      h("p", { class: "lt-hint" }, about(parameter)),
    );
  }

  #schedule(parameter) {
    const now = chosen[parameter.name];
    const hint = newId();
    const id = newId();
    const wrong = h("p", { class: "lt-hint lt-danger-text", role: "status" });
    const area = h("textarea", {
      rows: "2",
      id,
      spellcheck: "false",
      placeholder: "5000, 1200\n20000, 500",
      "aria-describedby": hint,
      onchange: () => {
        const lines = area.value
          .split("\n")
          .map((line) => line.trim())
          .filter(Boolean);
        const pairs = lines.map((line) => line.split(/[\s,，]+/).map(Number));
        const isRight = pairs.every(
          (pair) => pair.length === 2 && pair.every((one) => Number.isInteger(one) && one >= 0),
        );
        fill(wrong, !isRight && t("vad.schedule.wrong"));
        if (isRight) this.#set(parameter, pairs.length ? pairs : null);
      },
    });
    area.value = (now || []).map((pair) => pair.join(", ")).join("\n");
    return h(
      "div",
      { class: "lt-vad-parameter" },
      h("label", { for: id }, t("vad.schedule", { name: titleOf(parameter) })),
      area,
      wrong,
      h("p", { class: "lt-hint", id: hint }, about(parameter)),
    );
  }
}

customElements.define("lt-vad", VadPage);
