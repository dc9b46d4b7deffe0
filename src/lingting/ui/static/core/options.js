// How a recording is transcribed: the controls that several pages have, remembered for each person.

import uploadWords from "../words/upload.js";
import { api } from "./api.js";
import { debounced, fill, h } from "./dom.js";
import { LANGUAGES, languageName } from "./format.js";
import { button, field, problemBox, select, toggle } from "./parts.js";
import { learn, t } from "./words.js";

learn(uploadWords);

const DEFAULTS = {
  language: "",
  model: "auto",
  glossary: "",
  hotwords: "",
  itn: true,
  script: "simplified",
  translate: false,
  words: true,
  split: false,
};

const placeOf = (user) => `lingting.options.${user}`;

/** What this person chose last; of the words, which are nobody else's, only as long as the tab is open. */
export function storedOptions(user) {
  const at = placeOf(user);
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(at)), hotwords: sessionStorage.getItem(at) || "" };
  } catch {
    return { ...DEFAULTS };
  }
}

function store(user, { hotwords, ...others }) {
  const at = placeOf(user);
  try {
    sessionStorage.setItem(at, hotwords);
    localStorage.setItem(at, JSON.stringify(others));
  } catch {
    /* then not */
  }
}

/** The fields of a form, or `options` of JSON, that say the same. */
export function fieldsOf(chosen) {
  const hotwords = chosen.hotwords
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  return {
    model: chosen.model,
    itn: chosen.itn,
    script: chosen.script,
    words: chosen.words,
    translate: chosen.translate,
    ...(chosen.language && { language: chosen.language }),
    ...(chosen.glossary && { glossary: chosen.glossary }),
    ...(hotwords.length && { hotwords }),
    ...(chosen.split && { channels: "split" }),
  };
}

/** `{element, value()}`: the controls, and what they say now as fields. */
export function optionsPanel(user) {
  const chosen = storedOptions(user);
  const element = h("div", { class: "lt-options" });
  const keep = debounced(() => store(user, chosen), 200);
  const set =
    (name) =>
    ({ target }) => {
      chosen[name] = target.type === "checkbox" ? target.checked : target.value;
      keep();
    };
  let models = [];
  let glossaries = [];
  let isKnown = false;
  let error = null;

  const languages = () => {
    const all = [
      ...new Set(
        models.filter((one) => chosen.model === "auto" || one.id === chosen.model).flatMap((one) => one.languages),
      ),
    ];
    // What was chosen before stays while nobody knows what there is.
    if (isKnown && all.length && !all.includes(chosen.language)) chosen.language = "";
    const known = all.length ? all : [...new Set([...LANGUAGES, chosen.language].filter(Boolean))];
    const option = (code) => h("option", { value: code }, languageName(code));
    const rest = known
      .filter((code) => !LANGUAGES.includes(code))
      .sort((a, b) => languageName(a).localeCompare(languageName(b)));
    const made = h(
      "select",
      { onchange: set("language") },
      h("option", { value: "" }, t("options.language.auto")),
      h(
        "optgroup",
        { label: t("options.language.common") },
        LANGUAGES.filter((code) => known.includes(code)).map(option),
      ),
      rest.length > 0 && h("optgroup", { label: t("options.language.others") }, rest.map(option)),
    );
    made.value = chosen.language;
    return made;
  };

  const draw = () => {
    const usable = models.filter(
      (one) => one.hosts.length && /recognition/.test(one.task || "recognition") && !/live/.test(one.task || ""),
    );
    if (chosen.model !== "auto" && isKnown && !usable.some((one) => one.id === chosen.model)) chosen.model = "auto";
    if (isKnown && !glossaries.some((one) => one.id === chosen.glossary)) chosen.glossary = "";
    const isOpen =
      element.querySelector("details")?.open ?? Boolean(chosen.hotwords || chosen.translate || chosen.split);
    fill(
      element,
      error && problemBox(error, load),
      field(t("options.language"), languages()),
      field(
        t("options.model"),
        select(
          [
            ["auto", t("options.model.auto")],
            ...usable.map((one) => [
              one.id,
              one.hosts.includes("ready") ? one.id : t("options.model.loading", { model: one.id }),
            ]),
          ],
          {
            value: chosen.model,
            onchange: (event) => {
              set("model")(event);
              draw();
              element.querySelectorAll("select")[1].focus();
            },
          },
        ),
      ),
      field(
        t("options.glossary"),
        select(
          [
            ["", t("options.glossary.none")],
            !isKnown && chosen.glossary && [chosen.glossary, "…"],
            ...glossaries.map((one) => [one.id, one.name]),
          ].filter(Boolean),
          { value: chosen.glossary, onchange: set("glossary") },
        ),
      ),
      toggle(t("options.itn"), { checked: chosen.itn, onchange: set("itn"), hint: t("options.itn.hint") }),
      h(
        "details",
        { class: "lt-options-more", open: isOpen },
        h("summary", {}, t("options.more")),
        field(
          t("options.hotwords"),
          h("textarea", { value: chosen.hotwords, rows: 3, oninput: set("hotwords"), spellcheck: "false" }),
          { hint: t("options.hotwords.hint") },
        ),
        field(
          t("options.script"),
          select(
            ["simplified", "traditional", "as-is"].map((one) => [one, t(`options.script.${one}`)]),
            { value: chosen.script, onchange: set("script") },
          ),
        ),
        toggle(t("options.words"), { checked: chosen.words, onchange: set("words"), hint: t("options.words.hint") }),
        toggle(t("options.translate"), {
          checked: chosen.translate,
          onchange: set("translate"),
          hint: t("options.translate.hint"),
        }),
        toggle(t("options.split"), { checked: chosen.split, onchange: set("split"), hint: t("options.split.hint") }),
        button(
          t("options.reset"),
          () => {
            Object.assign(chosen, DEFAULTS);
            keep();
            draw();
            element.querySelector("summary").focus();
          },
          { kind: "quiet", glyph: "undo" },
        ),
      ),
    );
  };

  const load = async () => {
    try {
      const [known, lists] = await Promise.all([api.get("/models"), api.get("/glossaries")]);
      [models, glossaries, isKnown, error] = [known.items, lists.items, true, null];
    } catch (problem) {
      error = problem;
    }
    const controls = () => [...element.querySelectorAll("select, input, textarea, summary")];
    const at = controls().indexOf(document.activeElement);
    draw();
    controls()[at]?.focus();
  };
  draw();
  load();
  return { element, value: () => fieldsOf(chosen) };
}
