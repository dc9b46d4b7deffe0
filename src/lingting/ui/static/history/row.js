// One recording in the list.

import { ApiError } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { clock, languageName, percent, when } from "../core/format.js";
import { icon } from "../core/icons.js";
import { badge, menu, progress, stateBadge } from "../core/parts.js";
import { t } from "../core/words.js";

export const linkTo = (id, more = {}) => `/app/recordings?${new URLSearchParams({ id, ...more })}`;

const BUSY = new Set(["queued", "running", "paused"]);

/**
 * `host` knows what is selected (`isSelected(id)`), is told of clicks (`select(id, isOn, isRange)`,
 * `narrow({tag})`) and has what can be done with a recording (`actions(item)`).
 */
export function recordingRow(first, host) {
  let item = first;
  const tick = h("input", { type: "checkbox", onclick: (event) => host.select(item.id, tick.checked, event.shiftKey) });
  const link = h("a", { class: "lt-recordings-name", dir: "auto" });
  const tags = h("span", { class: "lt-recordings-tags" });
  const below = h("div", { class: "lt-recordings-below" });
  const state = h("div", { class: "lt-recordings-state" });
  const spoken = h("div", { class: "lt-recordings-spoken" });
  const length = h("div", { class: "lt-recordings-length lt-number" });
  const kept = h("div", { class: "lt-recordings-when lt-number" });
  const owner = h("div", { class: "lt-recordings-owner" });
  const more = menu(null, () => host.actions(item), { kind: "quiet", label: " " });
  const made = h(
    "div",
    { class: "lt-recordings-row", role: "listitem", dataset: { id: item.id } },
    h("label", { class: "lt-recordings-tick" }, tick),
    h("div", { class: "lt-recordings-main" }, h("div", { class: "lt-recordings-title" }, link, tags), below),
    state,
    spoken,
    length,
    kept,
    owner,
    more,
  );

  made.show = (given) => {
    item = given;
    const isSelected = host.isSelected(item.id);
    tick.checked = isSelected;
    tick.setAttribute("aria-label", t("recordings.select", { name: item.name }));
    for (const name of ["aria-label", "title"])
      more.firstChild.setAttribute(name, t("recordings.actions", { name: item.name }));
    made.classList.toggle("lt-on", isSelected);
    fill(link, item.name);
    link.title = item.name;
    if (item.deleted_at) link.removeAttribute("href");
    else link.href = linkTo(item.id);
    fill(
      tags,
      item.tags
        .slice(0, 3)
        .map((tag) =>
          h(
            "button",
            {
              type: "button",
              class: "lt-recordings-tag",
              title: t("recordings.byTag", { tag }),
              onclick: () => host.narrow({ tag }),
            },
            tag,
          ),
        ),
      item.tags.length > 3
        && h("span", { class: "lt-soft lt-small", title: item.tags.slice(3).join(", ") }, `+${item.tags.length - 3}`),
    );
    fill(below, ...belowOf(item));
    fill(state, stateOf(item));
    fill(
      spoken,
      item.language && languageName(item.language),
      item.speakers > 0
        && h(
          "span",
          { class: "lt-soft" },
          t(item.speakers === 1 ? "recordings.speaker" : "recordings.speakers", { n: item.speakers }),
        ),
    );
    fill(length, h("span", { class: "lt-hidden" }, `${t("recordings.length")} `), clock(item.duration_s));
    fill(kept, when(item.created_at));
    fill(owner, item.owner || "");
    owner.title = item.owner || "";
  };
  made.show(item);
  return made;
}

function stateOf(item) {
  const job = item.job;
  return [
    job && job.state !== "done" && stateBadge(job.state),
    item.held_by && badge(t("recordings.held"), "warn"),
    item.is_shared
      && h(
        "span",
        { class: "lt-recordings-shared", title: t("recordings.isShared") },
        icon("share"),
        h("span", { class: "lt-hidden" }, t("recordings.isShared")),
      ),
  ];
}

const said = (text, kind = "") => h("span", { class: `lt-recordings-excerpt ${kind}`, dir: "auto" }, text);

function belowOf(item) {
  const job = item.job;
  if (job && job.state === "failed" && job.error && !item.revision)
    return [said(new ApiError(422, job.error).message, "lt-danger-text")];
  if (job && BUSY.has(job.state)) {
    const share = job.total_s ? Math.min(1, job.done_s / job.total_s) : null;
    if (job.state !== "queued")
      return [
        progress(share, t("recordings.progress", { name: item.name })),
        share !== null && h("span", { class: "lt-number" }, percent(share)),
      ];
    if (!item.excerpt) return [said(t("recordings.waiting"))];
  }
  return [said(item.excerpt || t(item.revision ? "recordings.silent" : "recordings.noText"))];
}
