// What the list is asked for, and how it stands in the address, so that a link keeps it.
// What is searched is behind the #, which browsers send to nobody: no log of a proxy holds it.

import { languageName } from "../core/format.js";
import { t } from "../core/words.js";

export const VIEWS = ["all", "shared", "deleted"];
export const ORDERS = ["newest", "oldest", "name", "longest", "shortest"];
export const STATES = ["queued", "running", "paused", "done", "failed", "cancelled", "none"];
const TEXTS = ["language", "speaker", "tag", "owner", "department"];
const DAYS = ["since", "until"];
const MINUTES = ["min", "max"];
/** What narrows the list, in the order in which it is shown. */
const FILTERS = [...DAYS, ...TEXTS, "state", ...MINUTES];

const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00`));
const isMinutes = (text) => text !== "" && Number(text) >= 0 && Number.isFinite(Number(text));

/** From an address; whatever is not understood is left out. */
export function readAsked() {
  const open = new URLSearchParams(location.search);
  const quiet = new URLSearchParams(location.hash.slice(1));
  const found = {
    view: VIEWS.includes(open.get("view")) ? open.get("view") : "all",
    order: ORDERS.includes(open.get("order")) ? open.get("order") : "newest",
    state: open.getAll("state").filter((one) => STATES.includes(one)),
    q: quiet.get("q") || open.get("q") || "",
    match: (quiet.get("match") || open.get("match")) === "sound" ? "sound" : "text",
  };
  for (const name of TEXTS) found[name] = open.get(name) || "";
  for (const name of DAYS) found[name] = isDay(open.get(name) || "") ? open.get(name) : "";
  for (const name of MINUTES) found[name] = isMinutes(open.get(name) || "") ? open.get(name) : "";
  return found;
}

/** The address below /app of what is asked. */
export function pathOf(asked) {
  const open = new URLSearchParams();
  const quiet = new URLSearchParams();
  if (asked.view !== "all") open.set("view", asked.view);
  if (asked.order !== "newest") open.set("order", asked.order);
  for (const name of [...DAYS, ...TEXTS, ...MINUTES]) if (asked[name]) open.set(name, asked[name]);
  for (const one of asked.state) open.append("state", one);
  if (asked.q) quiet.set("q", asked.q);
  if (asked.q && asked.match === "sound") quiet.set("match", "sound");
  const before = open.toString();
  const behind = quiet.toString();
  return `recordings${before && `?${before}`}${behind && `#${behind}`}`;
}

/** The names of the filters that are set; a search looks at no state. */
export const filtersIn = (asked) =>
  FILTERS.filter((name) => (name === "state" ? asked.state.length && !asked.q : asked[name]));

export const without = (asked, names) => ({
  ...asked,
  ...Object.fromEntries(names.map((name) => [name, name === "state" ? [] : ""])),
});

const startOf = (day, later = 0) => {
  const at = new Date(`${day}T00:00`);
  at.setDate(at.getDate() + later);
  return at.toISOString();
};

/** What list and search are both told. */
function common(asked) {
  const told = {};
  for (const name of TEXTS) if (asked[name]) told[name] = asked[name];
  if (asked.since) told.since = startOf(asked.since);
  if (asked.until) told.until = startOf(asked.until, 1);
  if (asked.min) told.min_duration_s = 60 * Number(asked.min);
  if (asked.max) told.max_duration_s = 60 * Number(asked.max);
  if (asked.view === "shared") told.shared = true;
  return told;
}

/** For GET /recordings. */
export const listOf = (asked) => ({
  ...common(asked),
  order: asked.order,
  state: asked.state,
  ...(asked.view === "deleted" && { deleted: true }),
});

/** For POST /search. */
export const searchOf = (asked) => ({ ...common(asked), query: asked.q, match: asked.match });

/** A filter in words. */
export function told(name, asked) {
  const value =
    name === "state"
      ? asked.state.map((one) => t(`recordings.state.${one}`)).join(t("recordings.or"))
      : name === "language"
        ? languageName(asked[name])
        : asked[name];
  return t(`recordings.filter.${name}`, { value });
}
