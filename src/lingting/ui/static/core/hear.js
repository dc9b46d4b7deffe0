// What is said in a short clip, by the route that OpenAI's clients use: it comes before what waits, is told
// as it is heard, and neither the clip nor its text is kept.

import { ApiError, errorOf, offline } from "./api.js";

const ROUTE = "/v1/audio/transcriptions";

/**
 * The text of `audio` (a Blob); raises ApiError.
 *
 * `options` are fields of the form: language, glossary, hotwords (a list). `onText(text)` is told what was
 * heard so far, `onJob(id)` under which id `listen` hears of it.
 */
export async function hear(audio, { name = "clip", options = {}, signal, onText, onJob } = {}) {
  const form = new FormData();
  for (const [field, value] of Object.entries({ model: "auto", stream: "true", store: "false", ...options })) {
    if (value === null || value === undefined || value === "") continue;
    if (Array.isArray(value)) {
      if (value.length) form.append(field, value.join("\n"));
    } else form.append(field, value);
  }
  form.append("file", audio, name);
  let response;
  try {
    response = await fetch(ROUTE, { method: "POST", body: form, signal, credentials: "same-origin" });
  } catch (cause) {
    throw lost(cause);
  }
  if (!response.ok) throw await errorOf(response);
  onJob?.(response.headers.get("X-Lingting-Job"));
  let text = "";
  for await (const { kind, data } of events(response)) {
    if (kind === "error") throw new ApiError(500, data.error || { code: "server.unclear", message: "" });
    if (data.type === "transcript.text.delta") {
      text += data.delta;
      onText?.(text);
    }
    if (data.type === "transcript.text.done") return data.text;
  }
  throw offline(); // it ended before it was done
}

const lost = (cause) => (cause.name === "AbortError" ? cause : offline());

/** Server-sent events of a response. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw lost(cause);
      });
      if (done) return;
      held += value;
      const whole = held.split("\n\n");
      held = whole.pop();
      for (const one of whole) {
        const lines = one.split("\n");
        const data = lines
          .filter((line) => line.startsWith("data: "))
          .map((line) => line.slice(6))
          .join("\n");
        if (data)
          yield {
            kind: lines.find((line) => line.startsWith("event: "))?.slice(7) || "message",
            data: JSON.parse(data),
          };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
