// The system: load, queue, speed, memory and errors of the last hour; processes; versions.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { about, number, percent, size, when } from "../core/format.js";
import { badge, button } from "../core/parts.js";
import { t } from "../core/words.js";
import { chart } from "./chart.js";
import { Section, facts, heading, refill, table } from "./section.js";
import { restart } from "./stored.js";

const EVERY_MS = 10_000;

class System extends Section {
  #machine = h("div", { class: "lt-card" });
  #charts = h("div", { class: "lt-settings-charts" });
  #processes = h("div", {});

  async load() {
    const now = await api.get("/system");
    fill(
      this,
      heading("system"),
      this.#charts,
      h("h3", {}, t("settings.system.processes")),
      this.#processes,
      h("h3", {}, t("settings.system.machine")),
      this.#machine,
    );
    this.#draw(now);
    this.every(EVERY_MS, async () => this.#draw(await api.get("/system")));
  }

  #draw({ machine, processes, samples }) {
    // What somebody has opened to read stays as it is until they close it.
    if (!this.#charts.querySelector("details[open]")) this.#drawCharts(machine, samples);
    refill(
      this.#processes,
      table(
        t("settings.system.processes"),
        [
          [
            t("settings.system.process"),
            (one) => [
              h("strong", {}, t(`settings.process.${one.name}`)),
              " ",
              h("span", { class: "lt-soft lt-small" }, one.id),
            ],
          ],
          [
            t("settings.state"),
            (one) =>
              badge(t(one.is_alive ? "settings.system.runs" : "settings.system.silent"), one.is_alive ? "good" : "bad"),
          ],
          [t("settings.engine.memory"), (one) => h("span", { class: "lt-number" }, size(one.resident_bytes))],
          [t("settings.system.since"), (one) => when(one.since)],
          [
            "",
            (one) =>
              one.can_restart
              && button(t("settings.restart"), (event) => restart(event.currentTarget, one.name, () => this.show()), {
                kind: "quiet",
                glyph: "refresh",
                "data-of": one.id,
                "aria-label": t("settings.restartOf", { name: t(`settings.process.${one.name}`) }),
              }),
            "lt-settings-end",
          ],
        ],
        processes,
      ),
    );
    const used =
      machine.memory_bytes && machine.memory_available_bytes !== null
        ? machine.memory_bytes - machine.memory_available_bytes
        : null;
    fill(
      this.#machine,
      facts([
        [t("settings.system.version"), `Lingting ${machine.version}`],
        ["Python", machine.python],
        [t("settings.system.os"), machine.system],
        [t("settings.system.cpus"), number(machine.cpus)],
        [
          t("settings.system.memory"),
          used === null
            ? "–"
            : t("settings.limit.of", {
                used: size(used),
                most: size(machine.memory_bytes),
                share: percent(used / machine.memory_bytes),
              }),
        ],
        [
          t("settings.system.disk"),
          t("settings.system.free", { free: size(machine.data_free_bytes), of: size(machine.data_size_bytes) }),
        ],
        [t("settings.system.up"), about(machine.up_s)],
      ]),
    );
  }

  #drawCharts(machine, samples) {
    const { at } = samples;
    if (!at.length) {
      fill(this.#charts, h("p", { class: "lt-soft" }, t("settings.system.soon")));
      return;
    }
    const line = (key, name = t(`settings.system.${key}`)) => ({ name, values: samples[key] });
    fill(
      this.#charts,
      chart(t("settings.system.load"), at, [line("load")], { show: number, atLeast: machine.cpus }),
      chart(t("settings.system.queue_jobs"), at, [line("queue_jobs")], { show: number, atLeast: 4 }),
      chart(t("settings.system.queue_audio_s"), at, [line("queue_audio_s")], {
        show: (value) => (value ? about(value) : "0"),
        atLeast: 60,
      }),
      chart(t("settings.system.rtfx"), at, [line("rtfx")], { show: (value) => `${number(value)} ×`, atLeast: 1 }),
      chart(t("settings.system.memory_bytes"), at, [line("memory_bytes")], { show: size, atLeast: 1e9 }),
      chart(t("settings.system.answers"), at, [line("requests"), line("errors")], { show: number, atLeast: 10 }),
    );
  }
}

customElements.define("lt-settings-system", System);
