// Models: which there are, which are installed, which an engine host has loaded.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { languageName, number, percent, size } from "../core/format.js";
import { badge, button, empty, guarded, menu, progress, toast } from "../core/parts.js";
import { has, t } from "../core/words.js";
import { Section, heading, refill } from "./section.js";
import { pendingNote, setHere } from "./stored.js";

/** Headings, in order; the catalogue says in words what a model does. */
const KINDS = ["recognition", "live", "speech", "other"];
const kindOf = (model) => {
  const task = model.task || "";
  if (task.startsWith("live")) return "live";
  if (task.includes("recognition")) return "recognition";
  if (task.includes("activity") || task.includes("speaker") || task.includes("punctuation")) return "speech";
  return model.on.length ? "recognition" : "other";
};
export const isRecogniser = (model) => kindOf(model) === "recognition";
const QUICK_MS = 1500;
const SLOW_MS = 8000;

class Models extends Section {
  #list = h("div", { class: "lt-settings-models" });
  #note = h("div", {});
  #seen = "";

  async load() {
    const [models] = await Promise.all([api.get("/models"), this.#readPending()]);
    fill(this, heading("models"), this.#note, this.#list);
    this.#draw(models);
  }

  async #readPending() {
    const [{ items }, { processes }] = await Promise.all([api.get("/settings"), api.get("/system")]);
    fill(
      this.#note,
      pendingNote(items, processes, () => this.#again()),
    );
  }

  async #again() {
    const [models] = await Promise.all([api.get("/models"), this.#readPending()]);
    this.#draw(models);
  }

  /** Looked at more often while something is on its way; drawn only when something is different. */
  #draw(models) {
    const isMoving = models.items.some(
      (one) => one.pull?.state === "running" || one.on.some((host) => host.state === "loading"),
    );
    this.every(isMoving ? QUICK_MS : SLOW_MS, async () => this.#draw(await api.get("/models")));
    const seen = JSON.stringify(models.items);
    if (seen === this.#seen || this.#list.querySelector("[role=menu]:not([hidden])")) return;
    this.#seen = seen;
    const kinds = KINDS.filter((kind) => models.items.some((one) => kindOf(one) === kind));
    refill(
      this.#list,
      models.hosts_answering < models.hosts
        && h(
          "div",
          { class: "lt-problem" },
          h("p", {}, t("settings.models.away", { n: models.hosts - models.hosts_answering, of: models.hosts })),
        ),
      models.items.length
        ? kinds.map((kind) => [
            h("h3", {}, t(`settings.task.${kind}`)),
            h(
              "ul",
              { class: "lt-settings-list" },
              models.items.filter((one) => kindOf(one) === kind).map((one) => this.#model(one, models)),
            ),
          ])
        : empty(t("settings.models.none"), t("settings.models.none.text")),
    );
  }

  #model(model, models) {
    const isPulling = model.pull?.state === "running";
    const languages =
      model.languages.length > 6
        ? t("settings.models.languages", { n: model.languages.length })
        : model.languages.map(languageName).join(", ");
    return h(
      "li",
      { class: "lt-card lt-settings-model", "data-model": model.id },
      h(
        "div",
        { class: "lt-grow" },
        h(
          "div",
          { class: "lt-row" },
          h("strong", {}, model.id),
          installedBadge(model),
          model.on.map((host) => hostBadge(host, model.on.length > 1)),
          model.is_default && badge(t("settings.models.default"), "busy"),
        ),
        h(
          "p",
          { class: "lt-soft lt-small" },
          [languages, model.size_bytes && size(model.size_bytes), model.licence, speedOf(model)]
            .filter(Boolean)
            .join(" · "),
        ),
        isPulling && pulling(model.pull),
        model.pull?.state === "failed"
          && h(
            "p",
            { class: "lt-danger-text lt-small", role: "alert" },
            t("settings.models.pullFailed", { why: errorText(model.pull.error) }),
          ),
        model.on
          .filter((host) => host.error)
          .map((host) =>
            h(
              "p",
              { class: "lt-danger-text lt-small" },
              t("settings.models.loadFailed", { why: errorText(host.error) }),
            ),
          ),
      ),
      h("div", { class: "lt-row" }, this.#actions(model, models, isPulling)),
    );
  }

  #actions(model, models, isPulling) {
    const made = [];
    const id = model.id;
    if (model.installed !== "installed" && model.task !== null && !isPulling)
      made.push(
        button(
          t(model.installed === "partial" ? "settings.models.resume" : "settings.models.install"),
          (event) => this.#order(event.currentTarget, `/models/${id}/pull`),
          { glyph: "download", "data-of": `pull ${id}`, "aria-label": t("settings.models.installOf", { name: id }) },
        ),
      );
    const absent = model.on.filter((host) => ["absent", "failed"].includes(host.state));
    const ready = model.on.filter((host) => host.state === "ready");
    if (absent.length)
      made.push(
        button(t("settings.models.load"), (event) => this.#order(event.currentTarget, `/models/${id}/load`), {
          glyph: "play",
          "data-of": `load ${id}`,
          "aria-label": t("settings.models.loadOf", { name: id }),
        }),
      );
    else if (ready.length)
      made.push(
        button(t("settings.models.unload"), (event) => this.#order(event.currentTarget, `/models/${id}/unload`), {
          glyph: "stop",
          "data-of": `unload ${id}`,
          "aria-label": t("settings.models.unloadOf", { name: id }),
        }),
      );
    const items = [];
    if (isRecogniser(model) && model.installed === "installed" && !model.is_default)
      items.push({ text: t("settings.models.makeDefault"), glyph: "check", run: () => this.#makeDefault(id) });
    if (model.on.length > 1) {
      for (const host of absent)
        items.push({
          text: t("settings.models.loadOn", { name: host.engine }),
          glyph: "play",
          run: () => this.#order(null, `/models/${id}/load?engine=${encodeURIComponent(host.engine)}`),
        });
      for (const host of ready)
        items.push({
          text: t("settings.models.unloadOn", { name: host.engine }),
          glyph: "stop",
          run: () => this.#order(null, `/models/${id}/unload?engine=${encodeURIComponent(host.engine)}`),
        });
    }
    if (items.length)
      made.push(menu(null, () => items, { kind: "quiet", label: t("settings.actionsOf", { name: id }) }));
    return made;
  }

  async #order(control, path) {
    if (await guarded(control, () => api.post(path))) await this.#again().catch(() => {});
  }

  #makeDefault(id) {
    const put = async (model) => {
      await api.patch("/settings", { model });
      await this.#again();
    };
    return guarded(null, async () => {
      const was = setHere((await api.get("/settings")).items.find((one) => one.name === "model"));
      await put(id);
      toast(t("settings.savedLater"), { action: { text: t("undo"), run: () => guarded(null, () => put(was)) } });
    });
  }
}

customElements.define("lt-settings-models", Models);

const errorText = (code) => (has(`error.${code}`) ? t(`error.${code}`, { message: code }) : code);

function installedBadge(model) {
  if (model.installed === "installed") return badge(t("settings.models.installed"), "good");
  if (model.installed === "changed") return badge(t("settings.models.changed"), "warn");
  if (model.installed === "partial") return badge(t("settings.models.partial"), "warn");
  return model.task === null ? null : badge(t("settings.models.missing"));
}

function hostBadge(host, isNamed) {
  const text = t(`settings.host.${host.state}`);
  return badge(
    isNamed ? `${host.engine}: ${text}` : text,
    { ready: "good", loading: "busy", failed: "bad" }[host.state] || "",
  );
}

function speedOf(model) {
  const fast = model.on.map((host) => host.rtfx).filter((one) => one);
  const where = [
    ...new Set(model.on.map((host) => [host.device, host.compute].filter(Boolean).join(" ")).filter(Boolean)),
  ];
  return [where.join(", "), fast.length && t("settings.models.speed", { n: number(Math.max(...fast)) })]
    .filter(Boolean)
    .join(" · ");
}

function pulling(pull) {
  const share = pull.total_bytes ? pull.done_bytes / pull.total_bytes : null;
  const text =
    t(`settings.pull.${pull.phase || "wait"}`)
    + (share === null ? "" : ` · ${percent(share)} · ${size(pull.done_bytes)} / ${size(pull.total_bytes)}`);
  return h(
    "div",
    { class: "lt-settings-pull" },
    progress(share, text),
    h("span", { class: "lt-small lt-soft lt-number" }, text),
  );
}
