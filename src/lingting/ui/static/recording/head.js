// What is above the transcript: the name, the facts, the tags, and how the newest job is doing.

import { ApiError, api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { about, clock, languageName, percent, when } from "../core/format.js";
import { icon } from "../core/icons.js";
import { shareOf } from "../core/jobs.js";
import { badge, button, guarded, problem, progress, stateBadge, toast, toastProblem } from "../core/parts.js";
import { t } from "../core/words.js";

/**
 * A field in the place of what it changes: Enter and leaving it keep what was typed, Escape does not,
 * and what the service refuses stays in it. `put(isByKey)` puts back what was there.
 */
function inPlace(input, keep, put) {
  let isOver = false;
  const end = async (isKept, isByKey) => {
    if (isOver) return;
    isOver = true;
    const given = input.value.trim();
    if (isKept && given) {
      try {
        await keep(given);
      } catch (error) {
        toastProblem(error);
        isOver = false;
        return;
      }
    }
    put(isByKey);
  };
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") end(true, true);
    else if (event.key === "Escape") end(false, true);
    event.stopPropagation();
  });
  // A window that is left takes the focus too.
  input.addEventListener("blur", () => {
    if (document.hasFocus()) end(true, false);
  });
  return input;
}

/** The title, which can be changed in its place. */
export function title(model) {
  const holder = h("div", { class: "lt-recording-title" });
  const shown = () => {
    fill(
      holder,
      h("h1", { dir: "auto" }, model.recording.name),
      model.mayChange && button(null, edit, { kind: "quiet", label: t("recording.rename"), glyph: "edit" }),
    );
  };
  const rename = async (name) => {
    const before = model.recording.name;
    if (name === before) return;
    await model.rename(name);
    toast(t("recording.renamed"), { action: { text: t("undo"), run: () => model.rename(before).catch(toastProblem) } });
  };
  const edit = () => {
    const input = h("input", {
      type: "text",
      value: model.recording.name,
      maxlength: "1000",
      dir: "auto",
      "aria-label": t("recording.name"),
    });
    inPlace(input, rename, (isByKey) => {
      shown();
      if (isByKey) holder.querySelector("button")?.focus();
    });
    fill(holder, h("h1", { class: "lt-hidden" }, model.recording.name), input);
    input.focus();
    input.select();
  };
  shown();
  model.addEventListener("recording", () => {
    if (!holder.querySelector("input")) shown();
  });
  return holder;
}

export function facts(model) {
  const holder = h("div", { class: "lt-recording-facts" });
  let made = null;
  const draw = () => {
    const it = model.recording;
    const fact = (label, value) => value && h("div", {}, h("dt", {}, label), h("dd", {}, value));
    fill(
      holder,
      h(
        "dl",
        {},
        fact(t("recording.fact.length"), it.duration_s ? clock(it.duration_s) : null),
        fact(t("recording.fact.language"), it.language ? languageName(it.language) : null),
        fact(t("recording.fact.speakers"), it.speakers ? String(it.speakers) : null),
        fact(t("recording.fact.created"), when(it.created_at)),
        fact(t("recording.fact.owner"), it.owner && it.owner !== model.me.user ? it.owner : null),
        fact(t("recording.fact.model"), made),
      ),
      it.held_at && badge(t("recording.held"), "warn"),
      it.is_shared && badge(t("recording.shared"), "busy"),
      tags(model),
    );
  };
  draw();
  // While a tag is typed nothing is drawn anew beneath it.
  model.addEventListener("recording", () => {
    if (!holder.querySelector("input")) draw();
  });
  let asked = 0;
  const ask = () => {
    if (!model.recording.revision || asked === model.recording.revision) return;
    asked = model.recording.revision;
    api.get(`/transcripts/${model.id}/revisions`).then(
      ({ items }) => {
        const found = [...items].reverse().find((one) => one.model)?.model || null;
        if (found !== made) {
          made = found;
          draw();
        }
      },
      () => {},
    );
  };
  ask();
  model.addEventListener("changed", ({ detail }) => {
    if (detail.isNew) ask();
  });
  return holder;
}

function tags(model) {
  const listed = h("ul", { class: "lt-recording-tags", "aria-label": t("recording.tags") });
  const add = () => {
    const input = h("input", {
      type: "text",
      maxlength: "100",
      "aria-label": t("recording.tagName"),
      placeholder: t("recording.tagName"),
    });
    inPlace(
      input,
      (given) => model.tag([given], []),
      (isByKey) => {
        draw();
        if (isByKey) listed.lastElementChild.querySelector("button").focus();
      },
    );
    listed.lastElementChild.replaceChildren(input);
    input.focus();
  };
  const remove = (event, tag) =>
    guarded(event.currentTarget, async () => {
      await model.tag([], [tag]);
      toast(t("recording.untagged", { tag }), {
        action: { text: t("undo"), run: () => model.tag([tag], []).catch(toastProblem) },
      });
    });
  const draw = () =>
    fill(
      listed,
      (model.recording.tags || []).map((tag) =>
        h(
          "li",
          {},
          icon("tag"),
          h("span", { dir: "auto" }, tag),
          model.mayChange
            && button(null, (event) => remove(event, tag), {
              kind: "quiet",
              label: t("recording.untag", { tag }),
              glyph: "close",
            }),
        ),
      ),
      model.mayChange
        && h("li", { class: "lt-recording-newtag" }, button(t("recording.tag"), add, { kind: "quiet", glyph: "plus" })),
    );
  draw();
  return listed;
}

/**
 * The newest job while it is of interest: progress with what can be done, or why it failed.
 */
export function jobCard(model) {
  const holder = h("div", { class: "lt-recording-job" });
  const act = (action) => (event) =>
    guarded(event.currentTarget, async () => {
      model.job = await api.post(`/jobs/${model.job.id}/${action}`);
      model.dispatchEvent(new CustomEvent("recording"));
    });
  const again = (event) =>
    guarded(event.currentTarget, async () => {
      model.job = await api.post(`/recordings/${model.id}/jobs`, { options: { words: true } });
      model.dispatchEvent(new CustomEvent("recording"));
    });
  let bar = null;
  let line = null;
  const draw = () => {
    const { job, recording: it } = model;
    const isMine = model.mayChange;
    bar = line = null;
    holder.removeAttribute("role");
    if (!job || job.state === "done") {
      fill(
        holder,
        !it.revision
          && h(
            "div",
            { class: "lt-note" },
            h("p", {}, t("recording.noTranscript")),
            isMine && button(t("recording.transcribe"), again, { kind: "primary", glyph: "wave" }),
          ),
      );
    } else if (job.state === "failed") {
      fill(
        holder,
        h(
          "div",
          { class: "lt-problem", role: "alert" },
          icon("warn"),
          h(
            "p",
            {},
            h("strong", {}, t(it.revision ? "recording.failedAgain" : "recording.failed")),
            " ",
            job.error && problem(new ApiError(422, job.error)),
          ),
          isMine && button(t("recording.retry"), act("retry"), { glyph: "refresh" }),
        ),
      );
    } else if (job.state === "cancelled") {
      fill(
        holder,
        !it.revision
          && h(
            "div",
            { class: "lt-note" },
            h("p", {}, t("recording.cancelled")),
            isMine && button(t("recording.retry"), act("retry"), { glyph: "refresh" }),
          ),
      );
    } else {
      bar = progress(barOf(job), t("recording.progress"));
      line = h("p", { class: "lt-soft lt-small lt-number", role: "status" }, told(job));
      fill(
        holder,
        h(
          "div",
          { class: "lt-card lt-recording-progress" },
          h(
            "div",
            { class: "lt-row lt-spread" },
            h("div", { class: "lt-row" }, stateBadge(job.state), it.revision ? t("recording.againRunning") : null),
            isMine
              && h(
                "div",
                { class: "lt-row" },
                job.state === "paused"
                  ? button(t("recording.resume"), act("resume"), { kind: "quiet", glyph: "play" })
                  : button(t("recording.pause"), act("pause"), { kind: "quiet", glyph: "pause" }),
                button(t("recording.cancelJob"), act("cancel"), { kind: "quiet", glyph: "stop" }),
              ),
          ),
          bar,
          line,
        ),
      );
    }
    holder.hidden = !holder.childNodes.length;
  };
  draw();
  const seen = () => `${model.job?.id} ${model.job?.state} ${model.recording.revision > 0} ${model.whyReadOnly}`;
  let before = seen();
  model.addEventListener("recording", () => {
    if (seen() !== before || !bar) {
      before = seen();
      draw();
      return;
    }
    const share = barOf(model.job);
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    line.textContent = told(model.job);
  });
  return holder;
}

/** Only what runs moves while nobody knows how far it is. */
const barOf = (job) => shareOf(job) ?? (job.state === "running" ? null : 0);

function told(job) {
  if (job.state === "queued") return t("recording.waiting");
  const parts = [];
  if (job.total_s) parts.push(`${clock(job.done_s)} / ${clock(job.total_s)} · ${percent(shareOf(job))}`);
  if (job.state === "running" && job.eta_s) parts.push(t("recording.eta", { time: about(job.eta_s) }));
  return parts.join(" · ");
}
