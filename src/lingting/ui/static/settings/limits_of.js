// Limits in the units of people, and the control that sets those of one user or key.

import { h, newId } from "../core/dom.js";
import { number, size } from "../core/format.js";
import { select } from "../core/parts.js";
import { t } from "../core/words.js";

/** Of each limit how many of the API's units one of the people's is. */
export const UNITS = { requests_per_minute: 1, audio_s_per_day: 3600, stored_bytes: 1e9 };
export const NAMES = Object.keys(UNITS);

/** A number of people's units in those of the API; bytes and the like have no parts. */
export const inUnits = (text, unit = 1) => (unit === 1 ? Number(text) : Math.round(Number(text) * unit));

/** A limit as text. */
export function limitText(name, value) {
  if (value === null || value === undefined || value === 0) return t("settings.limit.none");
  if (name === "stored_bytes") return size(value);
  return t(`settings.limit.${name}.value`, { n: number(value / UNITS[name]) });
}

/** Controls for a user's own limits; `values()` is what the API takes. */
export function limitsField(own) {
  const rows = NAMES.map((name) => {
    const isOwn = own[name] !== undefined,
      amount = h("input", {
        type: "number",
        min: "0",
        step: "any",
        inputmode: "decimal",
        "aria-label": t(`settings.limit.${name}.amount`),
        value: isOwn && own[name] !== null ? String(own[name] / UNITS[name]) : "",
      });
    const kind = select(
      [
        ["all", t("settings.limit.asAll")],
        ["none", t("settings.limit.none")],
        ["own", t("settings.limit.own")],
      ],
      { value: !isOwn ? "all" : own[name] === null ? "none" : "own", onchange: () => drawn(), id: newId() },
    );
    const drawn = () => {
      amount.hidden = amount.disabled = kind.value !== "own";
      amount.required = kind.value === "own";
    };
    drawn();
    return {
      name,
      kind,
      amount,
      row: h(
        "div",
        { class: "lt-settings-limit" },
        h("label", { for: kind.id }, t(`settings.limit.${name}`)),
        kind,
        amount,
      ),
    };
  });
  const made = h(
    "div",
    {},
    rows.map(({ row }) => row),
  );
  made.values = () =>
    Object.fromEntries(
      rows
        .filter(({ kind }) => kind.value !== "all")
        .map(({ name, kind, amount }) => [name, kind.value === "none" ? null : inUnits(amount.value, UNITS[name])]),
    );
  return made;
}
