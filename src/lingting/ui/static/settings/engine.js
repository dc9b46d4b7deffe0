// Engine hosts: their memory, what they compute on, how much they take at once.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { about, number, size } from "../core/format.js";
import { badge, button, empty, guarded, toast } from "../core/parts.js";
import { t } from "../core/words.js";
import { isRecogniser } from "./models.js";
import { Section, facts, heading, refill } from "./section.js";
import { pendingNote, settingsForm } from "./stored.js";

class Engine extends Section {
  #hosts = h("div", {});

  async load() {
    const [models, { items }, { processes }] = await Promise.all([
      api.get("/models"),
      api.get("/settings"),
      api.get("/system"),
    ]);
    const changed = () => this.show();
    const recognisers = models.items
      .filter((one) => one.installed === "installed" && isRecogniser(one))
      .map((one) => one.id);
    fill(
      this,
      heading(
        "engine",
        models.engines.length > 0
          && button(t("settings.engine.clear"), (event) => this.#clear(event.currentTarget, null), {
            glyph: "refresh",
          }),
      ),
      pendingNote(items, processes, changed),
      this.#hosts,
      h("h3", {}, t("settings.engine.how")),
      settingsForm(items, [[null, ["model", "device", "compute", "threads", "engine_batch_s", "engine_queue_s"]]], {
        changed,
        models: recognisers,
      }),
    );
    this.#draw(models);
    this.every(5000, async () => this.#draw(await api.get("/models")));
  }

  #draw(models) {
    const many = models.engines.length > 1;
    refill(
      this.#hosts,
      models.engines.length
        ? models.engines.map((engine) => this.#host(engine, models.items, many))
        : empty(t("settings.engine.none"), t("settings.engine.none.text")),
    );
  }

  #host(engine, models, many) {
    const on = models.flatMap((model) =>
      model.on.filter((one) => one.engine === engine.name).map((one) => ({ ...one, id: model.id })),
    );
    const ready = on.filter((one) => one.state === "ready");
    return h(
      "div",
      { class: "lt-card" },
      h(
        "div",
        { class: "lt-row lt-spread lt-settings-head" },
        h("h3", {}, engine.name === "unix" ? t("settings.engine.here") : engine.name, " ", stateOf(engine)),
        many
          && engine.is_answering
          && button(t("settings.engine.clearOne"), (event) => this.#clear(event.currentTarget, engine.name), {
            "data-of": `clear ${engine.name}`,
            "aria-label": t("settings.engine.clearOf", { name: engine.name }),
          }),
      ),
      facts([
        [t("settings.engine.memory"), size(engine.resident_bytes)],
        engine.device_total_bytes !== null && [
          t("settings.engine.gpu"),
          t("settings.engine.gpuOf", {
            used: size(engine.device_bytes),
            free: size(engine.device_free_bytes),
            total: size(engine.device_total_bytes),
          }),
        ],
        [
          t("settings.engine.device"),
          [...new Set(ready.map((one) => [one.device, one.compute].filter(Boolean).join(" · ")))].join(", ") || "–",
        ],
        [t("settings.engine.loaded"), ready.map((one) => one.id).join(", ") || t("settings.engine.nothing")],
        [
          t("settings.engine.batch"),
          ready.find((one) => one.batch_s)
            ? t("time.seconds", { n: number(ready.find((one) => one.batch_s).batch_s) })
            : "–",
        ],
        [t("settings.engine.waiting"), engine.waiting_s ? about(engine.waiting_s) : t("settings.limit.nothing")],
        [t("settings.engine.requests"), engine.requests === null ? "–" : number(engine.requests)],
        [t("settings.engine.up"), about(engine.up_s)],
      ]),
    );
  }

  async #clear(control, name) {
    const before = await api.get("/models").catch(() => null);
    const done = await guarded(control, async () => {
      const { engines } = await api.post("/engines/clear", {}, { query: { engine: name } });
      await new Promise((resolve) => setTimeout(resolve, 600));
      return { engines, now: await api.get("/models") };
    });
    if (!done) return;
    this.#draw(done.now);
    const sum = (models) =>
      (models?.engines || []).reduce((all, one) => all + (one.device_bytes ?? one.resident_bytes ?? 0), 0);
    const freed = before ? sum(before) - sum(done.now) : 0;
    toast(
      freed > 1e6
        ? t("settings.engine.freed", { size: size(freed) })
        : t("settings.engine.cleared", { n: done.engines.length }),
    );
  }
}

customElements.define("lt-settings-engine", Engine);

function stateOf(engine) {
  if (!engine.is_answering) return badge(t("settings.engine.away"), "bad");
  return engine.is_draining ? badge(t("settings.engine.draining"), "warn") : badge(t("settings.active"), "good");
}
