// The native API. What it refuses is an ApiError with a sentence and a next step for the person.

import { t, has } from "./words.js";

const ROOT = "/api/v1";

export class ApiError extends Error {
  /** `status` is 0 when the service was not reached. */
  constructor(status, told, retryAfterS = null) {
    super(sentence(told));
    this.status = status;
    this.code = told.code;
    this.nextStep = has(`error.${told.code}.next`)
      ? t(`error.${told.code}.next`, { next: told.next_step || "" })
      : told.next_step || "";
    this.incident = told.incident || null;
    this.retryAfterS = retryAfterS;
  }
  get isOffline() {
    return this.status === 0;
  }
  get isSignedOut() {
    return this.status === 401;
  }
}

/** In English the service's own words; in Chinese those of the code, with the service's where they say more. */
const sentence = (told) =>
  has(`error.${told.code}`) ? t(`error.${told.code}`, { message: told.message || "" }) : told.message || told.code;

/** What a response that is no success says. */
export async function errorOf(response) {
  let told = unclear(response.status);
  try {
    told = (await response.json()).error || told;
  } catch {
    /* a proxy's page */
  }
  const after = Number(response.headers.get("Retry-After"));
  const error = new ApiError(response.status, told, after > 0 ? after : null);
  if (error.isSignedOut) document.dispatchEvent(new CustomEvent("lt-signed-out"));
  return error;
}

export const offline = () => new ApiError(0, { code: "offline", message: t("error.offline") });

/** No empty segment and none of dots, however they are written. */
const PLAIN = /^(?:\/(?!(?:\.|%2e){1,2}(?:\/|$))[\w.~%:@+,;=!'()*-]+)+$/i;

/** An id may come from the address of the page, that is from a link of anybody: it must not lead elsewhere. */
function address(path, query) {
  if (!PLAIN.test(path)) throw new ApiError(404, { code: "address", message: t("error.address") });
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query || {})) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of [value].flat()) given.append(name, one);
  }
  const text = given.toString();
  return ROOT + path + (text ? `?${text}` : "");
}

/** A response; raises ApiError for anything but success. */
export async function ask(method, path, { query, body: sent, headers, signal } = {}) {
  const options = { method, headers: { ...headers }, signal, credentials: "same-origin" };
  if (sent !== undefined) {
    const isRaw = sent instanceof FormData || sent instanceof Blob || sent instanceof ArrayBuffer;
    options.body = isRaw ? sent : JSON.stringify(sent);
    if (!isRaw) options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw offline();
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

const unclear = (status) => ({ code: "server.unclear", message: t("error.unclear", { status }) });

/** What a response holds: the connection may be lost on the way, or a proxy answer in the service's place. */
export async function body(response, kind) {
  try {
    return await response[kind]();
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw cause.name === "SyntaxError" ? new ApiError(response.status, unclear(response.status)) : offline();
  }
}

async function json(method, path, options) {
  const response = await ask(method, path, options);
  return response.status === 204 ? null : body(response, "json");
}

export const api = {
  get: (path, query, options) => json("GET", path, { query, ...options }),
  post: (path, body, options) => json("POST", path, { body: body === undefined ? {} : body, ...options }),
  put: (path, body, options) => json("PUT", path, { body, ...options }),
  patch: (path, body, options) => json("PATCH", path, { body, ...options }),
  delete: (path, query, options) => json("DELETE", path, { query, ...options }),
  bytes: async (path, query, options) => body(await ask("GET", path, { query, ...options }), "arrayBuffer"),
  /** An address for `<a download>` and `<audio src>`. */
  address,
};

/** All items of a paged list, page by page; stop by leaving the loop. */
export async function* pages(path, query) {
  let after = null;
  do {
    const page = await api.get(path, { ...query, after });
    yield page;
    after = page.next;
  } while (after !== null && after !== undefined);
}

const EVENT_KINDS = [
  "job.queued",
  "job.started",
  "job.progress",
  "job.paused",
  "job.resumed",
  "job.done",
  "job.failed",
  "job.cancelled",
  "batch.done",
];

const REOPEN_MS = 5000;

// One stream of events for all that is on the page; it goes on behind the last one that was heard.
const listeners = new Set();
let source = null;
let last = null;
let reopening = 0;

/** `heard(event)` for everything that happens to one's jobs; returns how to stop. */
export function listen(heard) {
  listeners.add(heard);
  if (source === null) open();
  return () => {
    listeners.delete(heard);
    if (!listeners.size) shut();
  };
}

function shut() {
  source?.close();
  source = last = null;
  clearTimeout(reopening);
  removeEventListener("focus", open);
}

function open() {
  source?.close();
  source = new EventSource(address("/events", { after: last }));
  source.onmessage = tell;
  for (const kind of EVENT_KINDS) source.addEventListener(kind, tell);
  source.onopen = () => document.dispatchEvent(new CustomEvent("lt-connection", { detail: true }));
  source.onerror = () => {
    document.dispatchEvent(new CustomEvent("lt-connection", { detail: false }));
    // A browser asks again after a lost connection, but never after a refusal: of a service that starts or is busy.
    if (source?.readyState === EventSource.CLOSED) {
      clearTimeout(reopening);
      reopening = setTimeout(reopen, REOPEN_MS);
    }
  };
}

/** Not while nobody is signed in: whoever comes back has perhaps signed in elsewhere. */
async function reopen() {
  const error = await api.get("/users/me").then(
    () => null,
    (cause) => cause,
  );
  if (!listeners.size) return;
  if (error?.isSignedOut) addEventListener("focus", open, { once: true });
  else if (error) reopening = setTimeout(reopen, REOPEN_MS);
  else open();
}

function tell(message) {
  let event;
  try {
    event = JSON.parse(message.data);
  } catch {
    return;
  }
  last = event.id ?? last;
  for (const heard of [...listeners]) heard(event);
}
