// A small line chart in SVG, with a table of its numbers for who cannot see it.

import { fill, h } from "../core/dom.js";
import { language, t } from "../core/words.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDE = 480;
const HIGH = 120;
const LEFT = 4;
const TOP = 8;
const FOOT = 4;
const times = new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit" });
const drawn = (name, attributes) => {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

/**
 * `lines`: [{name, values}], one number or null for each of `at` (seconds since 1970); `show(value)` is
 * a number as text. Gaps stay gaps.
 */
export function chart(title, at, lines, { show, atLeast = 0 }) {
  const known = lines.flatMap((line) => line.values).filter((one) => one !== null && one !== undefined);
  const last = (line) => line.values.findLast((one) => one !== null && one !== undefined);
  const most = Math.max(atLeast, ...known) || 1;
  const from = at[0];
  const until = at.at(-1);
  const extent = Math.max(1, until - from);
  const x = (time) => LEFT + ((time - from) / extent) * (WIDE - 2 * LEFT);
  const y = (value) => HIGH - FOOT - (value / (most * 1.08)) * (HIGH - TOP - FOOT);
  const svg = drawn("svg", {
    viewBox: `0 0 ${WIDE} ${HIGH}`,
    class: "lt-settings-chart",
    role: "img",
    "aria-label": summary(title, lines, last, known, show),
    preserveAspectRatio: "none",
  });
  for (const share of [0, 0.5, 1])
    svg.append(
      drawn("line", { x1: 0, x2: WIDE, y1: y(most * share), y2: y(most * share), class: "lt-settings-chart-grid" }),
    );
  lines.forEach((line, place) => {
    for (const piece of pieces(at, line.values)) {
      const points = piece.map(([time, value]) => `${x(time).toFixed(1)} ${y(value).toFixed(1)}`);
      if (place === 0 && points.length > 1)
        svg.append(
          drawn("path", {
            d: `M${x(piece[0][0]).toFixed(1)} ${y(0)}L${points.join("L")}L${x(piece.at(-1)[0]).toFixed(1)} ${y(0)}Z`,
            class: "lt-settings-chart-area",
          }),
        );
      svg.append(
        drawn("path", {
          d: points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h1`,
          class: `lt-settings-chart-line lt-settings-line${place}`,
        }),
      );
    }
  });
  return h(
    "figure",
    { class: "lt-card lt-settings-figure" },
    h(
      "figcaption",
      { class: "lt-row lt-spread" },
      h("strong", {}, title),
      h(
        "span",
        { class: "lt-row lt-small" },
        lines.map((line, place) =>
          h(
            "span",
            { class: "lt-number" },
            lines.length > 1 && h("span", { class: `lt-settings-key lt-settings-key${place}`, "aria-hidden": "true" }),
            lines.length > 1 && `${line.name} `,
            h("strong", {}, last(line) === undefined ? "–" : show(last(line))),
          ),
        ),
      ),
    ),
    known.length
      ? h(
          "div",
          { class: "lt-settings-plot" },
          svg,
          h("span", { class: "lt-settings-most", "aria-hidden": "true" }, show(most)),
        )
      : h("p", { class: "lt-soft lt-settings-nothing" }, t("settings.system.nothing")),
    h(
      "div",
      { class: "lt-row lt-spread lt-small lt-soft lt-number", "aria-hidden": "true" },
      h("span", {}, times.format(from * 1000)),
      h("span", {}, times.format(until * 1000)),
    ),
    known.length > 0 && numbers(title, at, lines, show),
  );
}

function summary(title, lines, last, known, show) {
  if (!known.length) return `${title}: ${t("settings.system.nothing")}`;
  const newest = lines.map((line) => `${line.name} ${last(line) === undefined ? "–" : show(last(line))}`).join(", ");
  const range = { least: show(Math.min(...known)), most: show(Math.max(...known)) };
  return `${title}: ${newest}; ${t("settings.system.range", range)}`;
}

/** Every tenth sample, in a table that is made when somebody opens it. */
function numbers(title, at, lines, show) {
  const into = h("div", {});
  return h(
    "details",
    {
      class: "lt-small",
      ontoggle: () => {
        if (into.hasChildNodes()) return;
        const step = Math.max(1, Math.ceil(at.length / 12)),
          chosen = at
            .map((_, place) => place)
            .filter((place) => (at.length - 1 - place) % step === 0)
            .reverse();
        fill(
          into,
          h(
            "table",
            { class: "lt-table" },
            h("caption", { class: "lt-hidden" }, title),
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                h("th", { scope: "col" }, t("settings.when")),
                lines.map((line) => h("th", { scope: "col" }, line.name)),
              ),
            ),
            h(
              "tbody",
              {},
              chosen.map((place) =>
                h(
                  "tr",
                  {},
                  h("td", {}, times.format(at[place] * 1000)),
                  lines.map((line) =>
                    h("td", { class: "lt-number" }, line.values[place] === null ? "–" : show(line.values[place])),
                  ),
                ),
              ),
            ),
          ),
        );
      },
    },
    h("summary", {}, t("settings.system.numbers")),
    into,
  );
}

function pieces(at, values) {
  const found = [];
  let piece = [];
  values.forEach((value, place) => {
    if (value === null || value === undefined) {
      if (piece.length) found.push(piece);
      piece = [];
    } else piece.push([at[place], value]);
  });
  if (piece.length) found.push(piece);
  return found;
}
