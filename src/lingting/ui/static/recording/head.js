// What is above the transcript: the name, the facts, the tags, and how the newest job is doing.

import { api } from "../core/api.js";
import { fill, h, newId } from "../core/dom.js";
import { about, clock, languageName, percent, when } from "../core/format.js";
import { icon } from "../core/icons.js";
import { badge, button, guarded, progress, stateBadge, toast, toastProblem } from "../core/parts.js";
import { has, t } from "../core/words.js";

/** The title, which can be changed in its place. */
export function title(model) {
  const holder = h("div", { class: "lt-recording-title" });
  const shown = () => {
    fill(holder, h("h1", { dir: "auto" }, model.recording.name),
      mayChange(model) && button(null, edit, { kind: "quiet", label: t("recording.rename"), glyph: "edit" }));
  };
  const edit = () => {
    let isOver = false;
    const input = h("input", { type: "text", value: model.recording.name, maxlength: "1000", "aria-label": t("recording.name") });
    const end = async (isKept) => {
      if (isOver) return;
      isOver = true;
      const before = model.recording.name, name = input.value.trim();
      if (isKept && name && name !== before) {
        try {
          await model.rename(name);
          toast(t("recording.renamed"), { action: { text: t("undo"), run: () => model.rename(before).catch(toastProblem) } });
        } catch (error) { toastProblem(error); }
      }
      shown();
      holder.querySelector("button")?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") end(true);
      else if (event.key === "Escape") end(false);
      event.stopPropagation();
    });
    input.addEventListener("blur", () => end(true));
    fill(holder, h("h1", { class: "lt-hidden" }, model.recording.name), input);
    input.focus();
    input.select();
  };
  shown();
  model.addEventListener("recording", () => { if (!holder.querySelector("input")) shown(); });
  return holder;
}

/** Whoever may change the recording, whatever state its transcript is in. */
const mayChange = (model) => !["recording.readOnly.scope", "recording.readOnly.others", "recording.readOnly.deleted", "recording.readOnly.loading"].includes(model.whyReadOnly);

export function facts(model) {
  const holder = h("div", { class: "lt-recording-facts" });
  let made = null;
  const draw = () => {
    const it = model.recording;
    const fact = (label, value) => value && h("div", {}, h("dt", {}, label), h("dd", {}, value));
    fill(holder, h("dl", {},
      fact(t("recording.fact.length"), it.duration_s ? clock(it.duration_s) : null),
      fact(t("recording.fact.language"), it.language ? languageName(it.language) : null),
      fact(t("recording.fact.speakers"), it.speakers ? String(it.speakers) : null),
      fact(t("recording.fact.created"), when(it.created_at)),
      fact(t("recording.fact.owner"), it.owner && it.owner !== model.me.user ? it.owner : null),
      fact(t("recording.fact.model"), made)),
    it.held_at && badge(t("recording.held"), "warn"),
    it.is_shared && badge(t("recording.shared"), "busy"),
    tags(model));
  };
  draw();
  model.addEventListener("recording", draw);
  let asked = 0;
  const ask = () => {
    if (!model.recording.revision || asked === model.recording.revision) return;
    asked = model.recording.revision;
    api.get(`/transcripts/${model.id}/revisions`).then(({ items }) => {
      const found = [...items].reverse().find((one) => one.model)?.model || null;
      if (found !== made) { made = found; draw(); }
    }, () => {});
  };
  ask();
  model.addEventListener("revision", ask);
  return holder;
}

function tags(model) {
  const isMine = mayChange(model);
  const listed = h("ul", { class: "lt-recording-tags", "aria-label": t("recording.tags") });
  const draw = () => fill(listed, (model.recording.tags || []).map((tag) => h("li", {}, icon("tag"), h("span", { dir: "auto" }, tag),
    isMine && button(null, (event) => guarded(event.currentTarget, async () => {
      await model.tag([], [tag]);
      toast(t("recording.untagged", { tag }), { action: { text: t("undo"), run: () => model.tag([tag], []).catch(toastProblem) } });
    }), { kind: "quiet", label: t("recording.untag", { tag }), glyph: "close" }))),
  isMine && h("li", { class: "lt-recording-newtag" }, adder()));
  const adder = () => {
    const opener = button(t("recording.tag"), () => {
      const id = newId();
      const input = h("input", { type: "text", id, maxlength: "100", "aria-label": t("recording.tagName"), placeholder: t("recording.tagName") });
      let isOver = false;
      const end = async (isKept) => {
        if (isOver) return;
        isOver = true;
        const given = input.value.trim();
        if (isKept && given) { try { await model.tag([given], []); return; } catch (error) { toastProblem(error); } }
        draw();
      };
      input.addEventListener("keydown", (event) => {
        if (event.isComposing) return;
        if (event.key === "Enter") end(true);
        else if (event.key === "Escape") end(false);
        event.stopPropagation();
      });
      input.addEventListener("blur", () => end(true));
      opener.replaceWith(input);
      input.focus();
    }, { kind: "quiet", glyph: "plus" });
    return opener;
  };
  draw();
  return listed;
}

/** The sentence of a job's error in the language of the page. */
export const reason = (error) => (has(`error.${error.code}`) ? t(`error.${error.code}`) : error.message);

/**
 * The newest job while it is of interest: progress with what can be done, or why it failed.
 * `again()` makes another one.
 */
export function jobCard(model) {
  const holder = h("div", { class: "lt-recording-job" });
  const act = (action) => (event) => guarded(event.currentTarget, async () => {
    model.job = await api.post(`/jobs/${model.job.id}/${action}`);
    draw();
    model.dispatchEvent(new CustomEvent("recording"));
  });
  const again = (event) => guarded(event.currentTarget, async () => {
    model.job = await api.post(`/recordings/${model.id}/jobs`, { options: { words: true } });
    draw();
    model.dispatchEvent(new CustomEvent("recording"));
  });
  let bar = null, line = null;
  const draw = () => {
    const { job, recording: it } = model;
    const isMine = mayChange(model);
    bar = line = null;
    holder.removeAttribute("role");
    if (!job || job.state === "done") {
      fill(holder, !it.revision && h("div", { class: "lt-note" }, h("p", {}, t("recording.noTranscript")), isMine && button(t("recording.transcribe"), again, { kind: "primary", glyph: "wave" })));
    } else if (job.state === "failed") {
      fill(holder, h("div", { class: "lt-problem", role: "alert" }, icon("warn"),
        h("p", {}, h("strong", {}, t(it.revision ? "recording.failedAgain" : "recording.failed")), " ", reason(job.error || { code: "", message: "" })),
        isMine && button(t("recording.retry"), act("retry"), { glyph: "refresh" })));
    } else if (job.state === "cancelled") {
      fill(holder, !it.revision && h("div", { class: "lt-note" }, h("p", {}, t("recording.cancelled")), isMine && button(t("recording.retry"), act("retry"), { glyph: "refresh" })));
    } else {
      const share = shareOf(job);
      bar = progress(share, t("recording.progress"));
      line = h("p", { class: "lt-soft lt-small lt-number", role: "status" }, told(job));
      fill(holder, h("div", { class: "lt-card lt-recording-progress" },
        h("div", { class: "lt-row lt-spread" }, h("div", { class: "lt-row" }, stateBadge(job.state), it.revision ? t("recording.againRunning") : null),
          isMine && h("div", { class: "lt-row" },
            job.state === "paused" ? button(t("recording.resume"), act("resume"), { kind: "quiet", glyph: "play" }) : button(t("recording.pause"), act("pause"), { kind: "quiet", glyph: "pause" }),
            button(t("recording.cancelJob"), act("cancel"), { kind: "quiet", glyph: "stop" }))),
        bar, line));
    }
    holder.hidden = !holder.childNodes.length;
  };
  draw();
  const seen = () => `${model.job?.id} ${model.job?.state} ${model.recording.revision > 0} ${model.whyReadOnly}`;
  let before = seen();
  model.addEventListener("recording", () => {
    if (seen() !== before || !bar) { before = seen(); draw(); return; }
    const share = shareOf(model.job);
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    line.textContent = told(model.job);
  });
  return holder;
}

const shareOf = (job) => (job.state === "running" && job.total_s ? Math.min(1, job.done_s / job.total_s) : job.done_s && job.total_s ? job.done_s / job.total_s : job.state === "running" ? null : 0);

function told(job) {
  if (job.state === "queued") return t("recording.waiting");
  const parts = [];
  if (job.total_s) parts.push(`${clock(job.done_s)} / ${clock(job.total_s)} · ${percent(job.done_s / job.total_s)}`);
  if (job.state === "running" && job.eta_s) parts.push(t("recording.eta", { time: about(job.eta_s) }));
  return parts.join(" · ");
}
