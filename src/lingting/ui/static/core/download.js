// Files that the service makes: fetched, so that a refusal is a sentence and not a page.

import { ask, body as content } from "./api.js";
import { save } from "./parts.js";

/** Under the name that the service gives it; `body` makes it a POST. */
export async function download(path, { query, body, signal, name = "download" } = {}) {
  const response = await ask(body === undefined ? "GET" : "POST", path, { query, body, signal });
  const told = response.headers.get("Content-Disposition") || "";
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(told)?.[1];
  const plain = /filename="([^"]*)"/.exec(told)?.[1];
  save(
    encoded ? decodeURIComponent(encoded) : plain || name,
    await content(response, "blob"),
    response.headers.get("Content-Type") || "",
  );
}

export const FORMATS = [
  ["txt", "TXT"],
  ["srt", "SRT"],
  ["vtt", "WebVTT"],
  ["docx", "Word (DOCX)"],
  ["md", "Markdown"],
  ["csv", "CSV"],
  ["json", "JSON"],
];
