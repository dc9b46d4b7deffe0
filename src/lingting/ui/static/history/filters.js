// What narrows the list: a panel of controls, and what is set as chips that take it away again.

import { fill, h, newId } from "../core/dom.js";
import { languageName } from "../core/format.js";
import { icon } from "../core/icons.js";
import { button, field, select } from "../core/parts.js";
import { t } from "../core/words.js";
import { STATES, filtersIn, told, without } from "./asked.js";

const MOST_TO_SELECT = 60;
const KINDS = { language: "languages", speaker: "speakers", tag: "tags", owner: "owners", department: "departments" };

/** `ask(asked)` is told what is wanted then. The panel's `show(asked, facets)` draws what is. */
export function filterPanel(ask) {
  let asked = null;
  const change = (given) => ask({ ...asked, ...given });
  const since = h("input", { type: "date", onchange: () => change({ since: since.value }) });
  const until = h("input", { type: "date", onchange: () => change({ until: until.value }) });
  const shortest = h("input", {
    type: "number",
    min: 0,
    step: "any",
    inputmode: "decimal",
    onchange: () => change({ min: shortest.value }),
  });
  const longest = h("input", {
    type: "number",
    min: 0,
    step: "any",
    inputmode: "decimal",
    onchange: () => change({ max: longest.value }),
  });
  const states = STATES.map((state) => {
    const box = h("input", {
      type: "checkbox",
      value: state,
      onchange: () => change({ state: states.filter((one) => one.box.checked).map((one) => one.state) }),
    });
    return { state, box, element: h("label", { class: "lt-recordings-check" }, box, t(`recordings.state.${state}`)) };
  });
  const choices = Object.keys(KINDS).map((name) => choice(name, (value) => change({ [name]: value })));
  const ofStates = h(
    "fieldset",
    { class: "lt-recordings-states" },
    h("legend", { class: "lt-legend" }, t("recordings.state")),
    states.map((one) => one.element),
  );
  const element = h(
    "div",
    { class: "lt-card lt-recordings-filters" },
    h(
      "div",
      { class: "lt-recordings-controls" },
      field(t("recordings.since"), since),
      field(t("recordings.until"), until),
      choices.map((one) => one.element),
      field(t("recordings.min"), shortest),
      field(t("recordings.max"), longest),
    ),
    ofStates,
  );
  return {
    element,
    show(given, facets) {
      asked = given;
      const put = (control, value) => {
        if (control.value !== value && document.activeElement !== control) control.value = value;
      };
      put(since, asked.since);
      put(until, asked.until);
      put(shortest, asked.min);
      put(longest, asked.max);
      for (const one of states) one.box.checked = asked.state.includes(one.state);
      ofStates.hidden = Boolean(asked.q);
      for (const one of choices) one.show(asked[one.name], facets?.[KINDS[one.name]]);
    },
  };
}

/** One of the values that there are; typed where there are too many to look through. */
function choice(name, choose) {
  const listId = newId();
  const chosen = select([["", t("recordings.any")]], { onchange: () => choose(chosen.value) });
  const typed = h("input", {
    type: "text",
    list: listId,
    autocomplete: "off",
    placeholder: t("recordings.any"),
    onchange: () => choose(typed.value.trim()),
  });
  const list = h("datalist", { id: listId });
  const ofChosen = field(t(`recordings.by.${name}`), chosen);
  const ofTyped = field(t(`recordings.by.${name}`), typed);
  const shown = (value) => (name === "language" ? languageName(value) : value);
  const element = h("div", { class: `lt-recordings-by-${name}` }, ofChosen);
  let known = "";
  let wasLong = false;
  const put = (value, facet) => {
    const items = facet?.items || [];
    const isLong = items.length > MOST_TO_SELECT || facet?.is_complete === false;
    if (isLong !== wasLong) fill(element, isLong ? [ofTyped, list] : ofChosen);
    wasLong = isLong;
    // Drawn anew only when the values are others: an open list would close.
    const now = JSON.stringify([value, items]);
    if (now === known) return;
    known = now;
    if (isLong) {
      fill(
        list,
        items.map((one) => h("option", { value: one.value })),
      );
      typed.value = value;
      return;
    }
    const others = value && !items.some((one) => one.value === value) ? [{ value, count: null }] : [];
    fill(
      chosen,
      h("option", { value: "" }, t("recordings.any")),
      [...items, ...others].map((one) =>
        h(
          "option",
          { value: one.value },
          one.count === null ? shown(one.value) : t("recordings.counted", { value: shown(one.value), n: one.count }),
        ),
      ),
    );
    chosen.value = value;
  };
  return { name, element, show: put };
}

/** What is set; nothing when nothing is. */
export function chips(asked, ask) {
  const set = filtersIn(asked);
  if (!set.length) return null;
  return h(
    "div",
    { class: "lt-recordings-chips" },
    set.map((name) =>
      h(
        "button",
        {
          type: "button",
          class: "lt-recordings-chip",
          "aria-label": t("recordings.takeAway", { what: told(name, asked) }),
          onclick: () => ask(without(asked, [name])),
        },
        told(name, asked),
        icon("close"),
      ),
    ),
    button(t("recordings.takeAllAway"), () => ask(without(asked, set)), { kind: "quiet" }),
  );
}
