// Settings of the service as a form: what applies at once, what after a restart, what only at the start.

import { api, ask } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { when } from "../core/format.js";
import { badge, button, confirmed, field, guarded, select, toast } from "../core/parts.js";
import { has, t } from "../core/words.js";
import { NAMES as LIMITS, UNITS, inUnits } from "./limits_of.js";

const UNIT_OF = { ...UNITS, max_duration_s: 3600, max_upload_bytes: 2 ** 30 };
const CHOICES = {
  device: ["auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"],
  compute: ["auto", "int8", "float16", "bfloat16", "float32"],
};
const BACK_TRIES = 45;
const BACK_MS = 2000;
/** Numbers of which there are no parts. */
const WHOLE = ["threads", "worker_slots", "readers"];

const settingText = (name) => (has(`settings.set.${name}`) ? t(`settings.set.${name}`) : name);
const shownIn = (name, value) =>
  typeof value === "number" && UNIT_OF[name] ? Number((value / UNIT_OF[name]).toPrecision(10)) : value;

/**
 * One form for all, so that saving loses nothing that was typed elsewhere. `groups`: [heading or null,
 * names]; `items`: what GET /settings says; `models`: those to choose from; `changed()` is called when
 * something was saved.
 */
export function settingsForm(items, groups, { changed, models = [] }) {
  const among = (names) =>
    names.map((name) => items.find((one) => one.name === name)).filter((one) => one?.is_changeable);
  const shown = among(groups.flatMap(([, names]) => names));
  const controls = new Map();
  const form = h("form", {
    class: "lt-card",
    onsubmit: (event) => {
      event.preventDefault();
      send();
    },
  });
  const submit = h("button", { type: "submit", class: "lt-button lt-primary" }, t("save"));
  for (const one of shown) controls.set(one.name, control(one, models));
  fill(
    form,
    groups.map(([text, names]) => [
      text && h("h3", {}, text),
      h(
        "div",
        { class: "lt-settings-set" },
        among(names).map((one) => {
          const own = field(settingText(one.name), controls.get(one.name), { hint: hintOf(one) });
          if (one.is_set_here)
            own.append(
              button(t("settings.takeBack"), (event) => takeBack(event.currentTarget, one), {
                kind: "quiet",
                class: "lt-button lt-quiet lt-settings-back",
                "aria-label": t("settings.takeBackOf", { name: settingText(one.name) }),
              }),
            );
          return own;
        }),
      ),
    ]),
    h("div", { class: "lt-row" }, submit),
  );

  async function send() {
    const given = {};
    for (const one of shown) {
      const text = controls.get(one.name).value;
      const before = valueOf(one);
      if (text === String(before ?? "")) continue;
      if (typeof one.value === "string" || CHOICES[one.name] || one.name === "model") given[one.name] = text;
      else if (text === "")
        given[one.name] = LIMITS.includes(one.name) ? 0 : null; // as it says in the empty field
      else given[one.name] = inUnits(text, UNIT_OF[one.name]);
    }
    if (!Object.keys(given).length) {
      toast(t("settings.nothingChanged"));
      return;
    }
    await store(submit, given);
  }

  async function takeBack(control, one) {
    await store(control, { [one.name]: null });
  }

  async function store(control, given) {
    const before = Object.fromEntries(shown.filter((one) => one.name in given).map((one) => [one.name, setHere(one)]));
    if (!(await guarded(control, () => api.patch("/settings", given)))) return;
    const isLater = shown.some((one) => one.name in given && one.applies === "restart");
    toast(t(isLater ? "settings.savedLater" : "settings.savedNow"), {
      action: {
        text: t("undo"),
        run: () =>
          guarded(null, async () => {
            await api.patch("/settings", before);
            await changed();
          }),
      },
    });
    await changed();
  }
  return form;
}

/** What was set here, to set it again; null: nothing. */
export const setHere = (one) => (one.is_set_here ? (one.stored ?? one.value) : null);

/** What is kept, whether it is in force yet or not. */
function valueOf(one) {
  const value = one.is_pending && one.is_set_here ? one.stored : one.value;
  // A limit of 0 is none: an empty field says so better.
  return LIMITS.includes(one.name) && !value ? "" : shownIn(one.name, value);
}

function control(one, models) {
  const value = valueOf(one);
  if (CHOICES[one.name])
    return select(
      [...new Set([...CHOICES[one.name], String(value)])].map((choice) => [
        choice,
        has(`settings.choice.${choice}`) ? t(`settings.choice.${choice}`) : choice,
      ]),
      { value: String(value) },
    );
  if (one.name === "model")
    return select(
      [...new Set(["auto", ...models, String(value)])].map((choice) => [
        choice,
        choice === "auto" ? t("settings.choice.auto") : choice,
      ]),
      { value: String(value) },
    );
  if (typeof one.value === "number" || one.value === null) {
    return h("input", {
      type: "number",
      min: "0",
      step: WHOLE.includes(one.name) ? "1" : "any",
      inputmode: "decimal",
      value: String(value ?? ""),
      placeholder: LIMITS.includes(one.name) ? t("settings.limit.none") : t("settings.choice.auto"),
    });
  }
  return h("input", { value: String(value ?? "") });
}

function hintOf(one) {
  const parts = [has(`settings.set.${one.name}.hint`) && t(`settings.set.${one.name}.hint`)];
  if (one.is_pending)
    parts.push(t("settings.pending", { value: String(shownIn(one.name, one.value) ?? t("settings.choice.auto")) }));
  else if (one.applies === "restart")
    parts.push(t("settings.applies.restart", { processes: processesText(one.processes) }));
  else parts.push(t("settings.applies.at_once"));
  return parts.filter(Boolean).join(" ");
}

const processesText = (names) => names.map((name) => t(`settings.process.${name}`)).join(t("settings.and"));

/** What waits for a restart, and the restart itself where this service can do it. */
export function pendingNote(items, processes, after) {
  const waiting = items.filter((one) => one.is_pending);
  if (!waiting.length) return null;
  const names = [...new Set(waiting.flatMap((one) => one.processes))];
  return h(
    "div",
    { class: "lt-note lt-settings-pending", role: "status" },
    h(
      "p",
      {},
      t("settings.waiting", {
        names: waiting.map((one) => settingText(one.name)).join(t("settings.and")),
        processes: processesText(names),
      }),
    ),
    h(
      "div",
      { class: "lt-row" },
      names.map((name) =>
        processes.some((one) => one.name === name && one.can_restart)
          ? button(
              t("settings.restartOf", { name: t(`settings.process.${name}`) }),
              (event) => restart(event.currentTarget, name, after),
              { glyph: "refresh" },
            )
          : badge(t("settings.restartElsewhere", { name: t(`settings.process.${name}`) })),
      ),
    ),
  );
}

/** End a process in good order and wait until the service has it back. */
export async function restart(control, name, after) {
  if (
    !(await confirmed(t("settings.restartOf", { name: t(`settings.process.${name}`) }), t(`settings.restart.${name}`), {
      yes: t("settings.restart"),
    }))
  )
    return;
  const title = t(`settings.process.${name}`);
  const alive = async () =>
    (await api.get("/system")).processes
      .filter((one) => one.name === name && one.is_alive)
      .map((one) => `${one.id} ${one.since}`);
  const before = await guarded(control, async () => {
    const there = await alive();
    await ask("POST", `/processes/${name}/restart`);
    return there;
  });
  if (!before) return;
  toast(t("settings.restarting", { name: title }));
  control.disabled = true;
  let isBack = false;
  for (let tries = 0; tries < BACK_TRIES && !isBack; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, BACK_MS));
    // The web process itself is away for a moment.
    isBack = (await alive().catch(() => [])).some((one) => !before.includes(one));
  }
  toast(t(isBack ? "settings.restarted" : "settings.notBack", { name: title }), { kind: isBack ? "info" : "warn" });
  await guarded(control, after);
}

/** Every setting, for reading. */
export function allSettings(items) {
  const shown = (value) =>
    value === null || ["", "()", "{}"].includes(typeof value === "object" ? JSON.stringify(value) : value)
      ? "–"
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value);
  const draw = (wanted) =>
    items
      .filter((one) => one.name.includes(wanted) || settingText(one.name).toLowerCase().includes(wanted))
      .map((one) =>
        h(
          "tr",
          {},
          h("td", { "data-label": t("settings.setting") }, h("code", {}, `LINGTING_${one.name.toUpperCase()}`)),
          h(
            "td",
            { "data-label": t("settings.value") },
            h("span", { class: "lt-settings-long" }, shown(one.value)),
            one.is_set_here && [" ", badge(t("settings.setHere"))],
          ),
          h("td", { "data-label": t("settings.appliesTitle") }, t(`settings.applies.short.${one.applies}`)),
        ),
      );
  const rows = h("tbody", {}, draw(""));
  const search = h("input", {
    type: "search",
    "aria-label": t("settings.find"),
    placeholder: t("settings.find"),
    oninput: () => fill(rows, draw(search.value.trim().toLowerCase())),
  });
  return h(
    "details",
    { class: "lt-settings-all" },
    h("summary", {}, t("settings.all", { n: items.length })),
    h("p", { class: "lt-hint" }, t("settings.allText")),
    h("div", { class: "lt-settings-filter" }, search),
    h(
      "div",
      { class: "lt-scroll", tabindex: "0", role: "region", "aria-label": t("settings.all", { n: items.length }) },
      h(
        "table",
        { class: "lt-table lt-cards" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["settings.setting", "settings.value", "settings.appliesTitle"].map((key) =>
              h("th", { scope: "col" }, t(key)),
            ),
          ),
        ),
        rows,
      ),
    ),
  );
}
