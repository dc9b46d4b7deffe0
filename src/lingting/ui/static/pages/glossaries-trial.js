// A clip transcribed twice, with a list of hotwords and without, side by side.

import { api, listen } from "../core/api.js";
import { createClipChooser } from "../core/clip.js";
import { fill, h } from "../core/dom.js";
import { LANGUAGES, clock, languageName } from "../core/format.js";
import { hear } from "../core/hear.js";
import { differences, occurrences } from "../core/hotwords.js";
import { badge, button, field, problem, progress, select, spinner, stateBadge } from "../core/parts.js";
import { t } from "../core/words.js";

const LONG_S = 300;

/** `words()` are those to test. {element, release()} */
export function createTrial(words) {
  let running = null;
  const chooser = createClipChooser({ onchange: took });
  const player = h("audio", {
    controls: true,
    class: "lt-glossaries-player",
    "aria-label": t("glossaries.test.listen"),
    hidden: true,
    preload: "metadata",
    onerror: () => {
      player.hidden = true;
    },
  });
  const long = h("p", { class: "lt-hint" });
  const language = select([["", t("options.language.auto")], ...LANGUAGES.map((code) => [code, languageName(code)])]);
  const run = button(t("glossaries.test.run"), () => (running ? stop() : start()), {
    kind: "primary",
    glyph: "play",
    disabled: true,
  });
  const told = h("div", { class: "lt-glossaries-summary", role: "status" });
  const sides = { without: side("without"), with: side("with") };
  const result = h("div", { class: "lt-glossaries-sides", hidden: true }, sides.without.element, sides.with.element);
  const element = h(
    "section",
    { class: "lt-card", "aria-label": t("glossaries.test") },
    h("h2", {}, t("glossaries.test")),
    h("p", { class: "lt-soft" }, t("glossaries.test.about")),
    chooser.element,
    player,
    long,
    h("div", { class: "lt-row lt-glossaries-run" }, field(t("options.language"), language), run),
    told,
    result,
  );

  function took(clip) {
    stop();
    result.hidden = true;
    fill(told);
    run.disabled = !clip;
    player.hidden = !clip;
    player.src = chooser.address();
    fill(long, clip.duration_s > LONG_S && t("glossaries.test.long", { time: clock(clip.duration_s) }));
  }

  function drawRun() {
    fill(
      run,
      ...button(running ? t("glossaries.test.stop") : t("glossaries.test.run"), null, {
        glyph: running ? "stop" : "play",
      }).childNodes,
    );
  }

  function stop() {
    running?.abort();
    running = null;
    drawRun();
  }

  async function start() {
    const asking = (running = new AbortController());
    const given = words();
    drawRun();
    fill(told);
    result.hidden = false;
    for (const one of Object.values(sides)) one.begin();
    try {
      const audio = await chooser.bytes(asking.signal);
      const options = { language: language.value };
      const both = await Promise.allSettled([
        sides.without.hear(audio, chooser.clip.name, options, asking.signal),
        sides.with.hear(audio, chooser.clip.name, { ...options, hotwords: given }, asking.signal),
      ]);
      if (running !== asking) return;
      const [without, with_] = both.map((one) => (one.status === "fulfilled" ? one.value : null));
      if (without !== null && with_ !== null) compare(without, with_, given);
    } catch (error) {
      if (running === asking) for (const one of Object.values(sides)) one.fail(error);
    } finally {
      if (running === asking) {
        running = null;
        drawRun();
      }
    }
  }

  function compare(without, with_, given) {
    const found = differences(without, with_);
    const heard = [occurrences(without, given), occurrences(with_, given)];
    sides.without.draw(without, found?.left || [], heard[0]);
    sides.with.draw(with_, found?.right || [], heard[1]);
    const first =
      found === null
        ? t("glossaries.test.unmarked")
        : found.places
          ? t("glossaries.test.differ", { n: found.places })
          : t("glossaries.test.same");
    fill(
      told,
      h(
        "p",
        {},
        h("strong", {}, first),
        " ",
        t("glossaries.test.heard", { without: heard[0].length, with: heard[1].length }),
      ),
      h(
        "p",
        { class: "lt-small lt-soft lt-row" },
        h("span", { class: "lt-glossaries-differs" }, t("glossaries.legend.differs")),
        h("mark", {}, t("glossaries.legend.word")),
      ),
    );
  }

  return {
    element,
    release: () => {
      stop();
      chooser.release();
    },
  };
}

/** One of the two texts, live while it is heard. */
function side(name) {
  const state = h("span", {});
  const bar = h("div", { class: "lt-glossaries-bar" });
  const text = h("p", { class: "lt-glossaries-text" });
  const element = h(
    "section",
    { class: "lt-glossaries-side", "aria-label": t(`glossaries.test.${name}`), dataset: { side: name } },
    h("div", { class: "lt-row lt-spread" }, h("h3", {}, t(`glossaries.test.${name}`)), state),
    bar,
    text,
  );

  function fail(error) {
    fill(bar);
    fill(state, error.name === "AbortError" ? stateBadge("cancelled") : stateBadge("failed"));
    if (error.name !== "AbortError") fill(text, h("span", { class: "lt-danger-text" }, problem(error) || ""));
  }

  return {
    element,
    fail,
    begin() {
      fill(state, badge(t("glossaries.test.sending"), "busy"));
      fill(bar, progress(null, t(`glossaries.test.${name}`)));
      fill(text);
    },
    async hear(audio, title, options, signal) {
      let quit = () => {};
      const onJob = async (id) => {
        const see = async () => {
          try {
            const job = await api.get(`/jobs/${id}`, null, { signal });
            if (["queued", "running", "paused"].includes(job.state)) fill(state, stateBadge(job.state));
          } catch {
            /* it ends with the text, whatever is told of the job */
          }
        };
        quit = listen((event) => {
          if (event.job_id === id && ["job.started", "job.queued"].includes(event.kind)) see();
        });
        await see();
      };
      try {
        const found = await hear(audio, { name: title, options, signal, onJob, onText: (so) => fill(text, so) });
        quit();
        fill(bar);
        fill(state, stateBadge("done"));
        fill(text, found || h("span", { class: "lt-soft" }, t("glossaries.test.silent")));
        return found;
      } catch (error) {
        quit();
        fail(error);
        throw error;
      }
    },
    /** `differing` and `heard` are ranges of characters. */
    draw(content, differing, heard) {
      if (!content) return;
      const edges = new Set([0, content.length]);
      for (const [start, end] of [...differing, ...heard]) {
        edges.add(start);
        edges.add(end);
      }
      const isIn = (ranges, at) => ranges.some(([start, end]) => start <= at && at < end);
      const sorted = [...edges].sort((one, other) => one - other);
      fill(
        text,
        sorted.slice(0, -1).map((start, at) => {
          let piece = content.slice(start, sorted[at + 1]);
          if (isIn(heard, start)) piece = h("mark", {}, piece);
          return isIn(differing, start) ? h("span", { class: "lt-glossaries-differs" }, piece) : piece;
        }),
      );
    },
  };
}
