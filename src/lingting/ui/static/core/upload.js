// Files on their way to the service: small ones as a form, large ones by tus, in pieces that survive a lost connection.

import uploadWords from "../words/upload.js";
import { ApiError, api, errorOf, offline } from "./api.js";
import { percent } from "./format.js";
import { learn, t } from "./words.js";

learn(uploadWords);

const PIECE_BYTES = 8 << 20;
const AT_ONCE = 3;
/** Given to the network, and told a little later. */
const UNDERWAY_BYTES = 4 << 20;
const LONGEST_PAUSE_MS = 15_000;
const LONGEST_WAIT_S = 120;
const MEMORY = "lingting.uploads";
const REMEMBERED_MS = 23 * 3600_000;

const MEDIA = new Set(
  "3g2 3gp 3gpp aac ac3 aif aifc aiff amr ape asf au avi awb caf dss dts f4v flac flv gsm it m2ts m4a m4b m4p m4v mka mkv mov mp1 mp2 mp3 mp4 mpa mpe mpeg mpg mts mxf oga ogg ogv ogx opus qcp ra ram rm rmvb s3m sln snd spx ts tta vob voc vox w64 wav wave weba webm wma wmv wv".split(
    " ",
  ),
);
const OTHERS =
  /^(text|image|font|model)\/|^application\/(pdf|zip|gzip|x-tar|json|xml|msword|rtf|javascript|vnd\.(openxml|ms-|oasis)|x-7z|x-rar|x-sh|x-msdownload)/;

/** For `<input type=file accept>`. */
export const ACCEPT = ["audio/*", "video/*", ...[...MEDIA].map((ending) => `.${ending}`)].join(",");

const endingOf = (name) => (name.includes(".") ? name.split(".").pop().toLowerCase() : "");

/** Whether it may hold sound; for sure only the service can tell. `strictly`: unknown endings do not. */
function isMedia(file, strictly = false) {
  if (/^(audio|video)\//.test(file.type) || MEDIA.has(endingOf(file.name))) return true;
  return !strictly && !OTHERS.test(file.type) && !file.name.startsWith(".");
}

/**
 * What is fit to be sent, and a sentence for what is not.
 * `found`: [{file, path}]; of folders only what looks like a recording is taken.
 */
export function sorted(found) {
  const good = [];
  const others = [];
  const hollow = [];
  const told = [];
  for (const one of found) (isMedia(one.file, Boolean(one.path)) ? (one.file.size ? good : hollow) : others).push(one);
  const say = (some, key) => {
    if (some.length) told.push(t(some.length === 1 ? `${key}.one` : key, { n: some.length, name: some[0].file.name }));
  };
  say(hollow, "upload.emptyFile");
  say(
    others.filter((one) => !one.path),
    "upload.notMedia",
  );
  if (!good.length && !told.length && found.length) told.push(t("upload.noFiles"));
  return { good, told };
}

/** Of a file input, folders too. */
export const chosen = (input) => [...input.files].map((file) => ({ file, path: file.webkitRelativePath || "" }));

/** Of a drop, folders with all that is below them. Call it within the event. */
export function dropped(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory))
    return Promise.resolve([...transfer.files].map((file) => ({ file, path: "" })));
  return walked(entries.filter(Boolean), 0);
}

async function walked(entries, depth) {
  const found = [];
  for (const entry of entries) {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
      if (file) found.push({ file, path: depth ? entry.fullPath.slice(1) : "" });
    } else if (depth < 32) {
      found.push(...(await walked(await children(entry), depth + 1)));
    }
  }
  return found;
}

/** A browser gives them a hundred at a time. */
async function children(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
    if (!some.length) return all;
    all.push(...some);
  }
}

/** One request that tells how much of it was sent; `fetch` cannot. */
function request(method, address, { body = null, headers = {}, signal, onsent } = {}) {
  return new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest();
    const abort = () => asked.abort();
    const end = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) {
      reject(aborted());
      return;
    }
    signal?.addEventListener("abort", abort);
    asked.open(method, address);
    for (const [name, value] of Object.entries(headers)) asked.setRequestHeader(name, value);
    if (onsent) asked.upload.onprogress = (event) => onsent(event.loaded);
    asked.onload = async () => {
      end();
      if (asked.status >= 200 && asked.status < 300) resolve(asked);
      else
        reject(
          await errorOf(
            new Response(asked.responseText, {
              status: asked.status,
              headers: { "Retry-After": asked.getResponseHeader("Retry-After") || "" },
            }),
          ),
        );
    };
    asked.onerror = () => {
      end();
      reject(offline());
    };
    asked.onabort = () => {
      end();
      reject(aborted());
    };
    asked.send(body);
  });
}

const aborted = () => new DOMException("aborted", "AbortError");

/** Whether the same request may go well a little later. */
export function isPassing(error) {
  if (error.isOffline || [502, 504].includes(error.status)) return true;
  return (
    [429, 503].includes(error.status) && (error.retryAfterS ?? 1) <= LONGEST_WAIT_S && error.code !== "limit.storage"
  );
}

/** Until `ms` have passed, the network is back, or it is not wanted any more. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = (settle, value) => () => {
      clearTimeout(timer);
      removeEventListener("online", back);
      signal?.removeEventListener("abort", stop);
      settle(value);
    };
    const back = end(resolve);
    const stop = end(reject, aborted());
    const timer = setTimeout(back, ms);
    addEventListener("online", back);
    signal?.addEventListener("abort", stop);
  });
}

/** `work` again and again while what keeps it from succeeding passes. */
async function persistently(work, { signal, onheld, isReadable }) {
  for (let tries = 0; ; tries += 1) {
    try {
      const value = await work(() => {
        tries = 0;
      });
      onheld?.(null);
      return value;
    } catch (error) {
      if (!(error instanceof ApiError) || !isPassing(error)) throw error;
      // A file that was changed or taken away looks like a lost connection to the browser.
      if (error.isOffline && !(await isReadable()))
        throw new ApiError(0, { code: "upload.file_gone", message: t("upload.gone") });
      onheld?.([429, 503].includes(error.status) ? "busy" : "lost");
      await pause(Math.max((error.retryAfterS || 0) * 1000, Math.min(LONGEST_PAUSE_MS, 500 * 2 ** tries)), signal);
    }
  }
}

/**
 * One file to the service; the job that it became. Goes on by itself after a lost connection.
 * `fields`: of the form, options, batch, priority; `key`: the same one never makes two jobs; `onheld(why)`
 * hears what holds it up: "lost", no connection; "busy", the service takes no more at the moment; null, nothing.
 */
export function send(file, { fields = {}, key, signal, onprogress, onheld } = {}) {
  const isReadable = () =>
    file
      .slice(0, 1)
      .arrayBuffer()
      .then(
        () => true,
        () => false,
      );
  const how = { signal, onheld, isReadable };
  if (file.size <= PIECE_BYTES) return persistently(() => sendForm(file, fields, key, signal, onprogress), how);
  return sendPieces(file, fields, key, how, onprogress);
}

async function sendForm(file, fields, key, signal, onprogress) {
  const form = new FormData();
  for (const [name, value] of entriesOf(fields)) form.append(name, value);
  form.append("name", file.name);
  form.append("file", file, file.name);
  const asked = await request("POST", api.address("/recordings"), {
    body: form,
    signal,
    headers: { "Idempotency-Key": key },
    onsent: (sent) => onprogress?.(Math.min(1, sent / file.size)),
  });
  return JSON.parse(asked.responseText).items[0].job;
}

function entriesOf(fields) {
  const found = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined || value === "") continue;
    const text = Array.isArray(value) ? value.join("\n") : String(value);
    if (text) found.push([name, text]);
  }
  return found;
}

const TUS = { "Tus-Resumable": "1.0.0" };

async function sendPieces(file, fields, key, how, onprogress) {
  const known = remembered(file, fields) || key;
  remember(file, fields, known);
  const { signal } = how;
  let place = null;
  let offset = 0;
  try {
    return await persistently(async (isGettingOn) => {
      const told =
        place === null
          ? await begin(file, fields, known, signal)
          : await request("HEAD", place, { headers: TUS, signal });
      place ??= new URL(told.getResponseHeader("Location"), location.href).href;
      offset = Number(told.getResponseHeader("Upload-Offset")) || 0;
      let job = told.getResponseHeader("Lingting-Job");
      while (!job && offset < file.size) {
        const start = offset;
        onprogress?.(start / file.size);
        const answer = await request("PATCH", place, {
          body: file.slice(start, start + PIECE_BYTES),
          signal,
          headers: { ...TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(start) },
          onsent: (sent) => onprogress?.(Math.min(1, (start + sent) / file.size)),
        });
        offset = Number(answer.getResponseHeader("Upload-Offset"));
        job = answer.getResponseHeader("Lingting-Job");
        if (offset > start) isGettingOn();
        how.onheld?.(null);
      }
      const found = job ? await api.get(`/jobs/${job}`, null, { signal }) : await finished(place, signal);
      forget(file, fields);
      return found;
    }, how);
  } catch (error) {
    // Lost, or nobody is signed in any more: the same file goes on where it was.
    if (!error.isOffline && error.status !== 401) forget(file, fields);
    if (error.name === "AbortError" && place !== null) request("DELETE", place, { headers: TUS }).catch(() => {});
    throw error;
  }
}

const begin = (file, fields, key, signal) =>
  request("POST", api.address("/uploads"), {
    signal,
    headers: {
      ...TUS,
      "Idempotency-Key": key,
      "Upload-Length": String(file.size),
      "Upload-Metadata": [["filename", file.name], ...entriesOf(fields)]
        .map(([name, value]) => `${name} ${base64(value)}`)
        .join(","),
    },
  });

/** All bytes are there, and the answer that named the job was lost. */
async function finished(place, signal) {
  const asked = await request("GET", place, { headers: TUS, signal });
  const { job, error } = JSON.parse(asked.responseText);
  if (job) return job;
  throw new ApiError(422, error || { code: "server.unclear", message: t("error.unclear", { status: asked.status }) });
}

const base64 = (text) => btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));

// After the page was loaded again the same file goes on where it was: the key finds the upload.

const printOf = (file, fields) => JSON.stringify([file.name, file.size, file.lastModified, entriesOf(fields)]);

function memory() {
  try {
    const all = Object.entries(JSON.parse(localStorage.getItem(MEMORY)) || {});
    return Object.fromEntries(all.filter(([, one]) => Date.now() - one.at < REMEMBERED_MS));
  } catch {
    return {};
  }
}

const remembered = (file, fields) => memory()[hashOf(printOf(file, fields))]?.key;

function remember(file, fields, key) {
  try {
    localStorage.setItem(
      MEMORY,
      JSON.stringify({ ...memory(), [hashOf(printOf(file, fields))]: { key, at: Date.now() } }),
    );
  } catch {
    /* then not */
  }
}

function forget(file, fields) {
  const left = memory();
  delete left[hashOf(printOf(file, fields))];
  try {
    localStorage.setItem(MEMORY, JSON.stringify(left));
  } catch {
    /* then not */
  }
}

/** Names of files and hotwords are not kept in the browser, only this of them. */
function hashOf(text) {
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (let i = 0; i < text.length; i += 1) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b) ^ (b >>> 13);
  }
  return `${(a >>> 0).toString(36)}.${(b >>> 0).toString(36)}`;
}

/** A key that no other request has, in pages without https too. */
export function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

let made = 0;

/**
 * Files of one page, some at a time. It outlives the element that shows it: whoever looks at another
 * page meanwhile loses nothing.
 *
 * An item: {id, file, name, path, size, state, share, held, error, job, fields}; state is staged,
 * waiting, sending, sent (then `job` is there), failed or cancelled.
 */
export class Queue {
  constructor() {
    this.items = new Map();
    this.isPaused = false;
    this._heard = new Set();
    this._sending = 0;
    queues.add(this);
  }

  /** `heard(item)` for every change, `heard(null)` when items came or went; returns how to stop. */
  listen(heard) {
    this._heard.add(heard);
    return () => this._heard.delete(heard);
  }

  _tell(item) {
    for (const heard of [...this._heard]) heard(item);
  }

  all(...states) {
    return [...this.items.values()].filter((item) => !states.length || states.includes(item.state));
  }

  /** Takes [{file, path}]; they wait for `start`. */
  add(found) {
    const added = found.map(({ file, path }) => ({
      id: `u${++made}`,
      file,
      name: file.name,
      path,
      size: file.size,
      state: "staged",
      share: 0,
      held: null,
      error: null,
      job: null,
      fields: null,
      key: null,
      control: null,
    }));
    for (const item of added) this.items.set(item.id, item);
    this._tell(null);
    return added;
  }

  /** All that are staged, or those given, with these fields. */
  start(fields, items = this.all("staged")) {
    for (const item of items)
      Object.assign(item, {
        fields,
        key: newKey(),
        state: "waiting",
        share: 0,
        held: null,
        error: null,
        control: null,
      });
    this._tell(null);
    this._pump();
  }

  cancel(item) {
    if (["waiting", "sending"].includes(item.state)) {
      // What may have arrived becomes a job, whoever hangs up: the answer says which one to cancel.
      if (item.held || item.size * (1 - item.share) > UNDERWAY_BYTES) item.control?.abort();
      item.state = "cancelled";
      this._tell(item);
    }
  }

  retry(item) {
    if (!["failed", "cancelled"].includes(item.state)) return;
    // A request that failed is sent as a new one.
    this.start(item.fields, [item]);
  }

  remove(...items) {
    for (const item of items) {
      this.cancel(item);
      this.items.delete(item.id);
    }
    this._tell(null);
  }

  /** Take back what `remove` took away. */
  restore(...items) {
    for (const item of items) this.items.set(item.id, item);
    this._tell(null);
  }

  pause(isPaused = true) {
    this.isPaused = isPaused;
    this._tell(null);
    this._pump();
  }

  get isBusy() {
    return this.all("waiting", "sending").length > 0;
  }

  _pump() {
    if (this.isPaused) return;
    for (const item of this.items.values()) {
      if (this._sending >= AT_ONCE) return;
      if (item.state === "waiting") this._send(item);
    }
  }

  async _send(item) {
    this._sending += 1;
    item.state = "sending";
    const control = (item.control = new AbortController());
    const isCurrent = () => item.control === control && !control.signal.aborted;
    this._tell(item);
    try {
      const job = await send(item.file, {
        fields: item.fields,
        key: item.key,
        signal: control.signal,
        onprogress: (share) => {
          if (isCurrent()) {
            item.share = share;
            item.held = null;
            this._tell(item);
          }
        },
        onheld: (why) => {
          if (why && item.state === "cancelled") control.abort();
          else if (item.held !== why && isCurrent()) {
            item.held = why;
            this._tell(item);
          }
        },
      });
      if (!isCurrent() || item.state !== "sending") {
        const stopped = await api.post(`/jobs/${job.id}/cancel`).catch(() => job);
        if (isCurrent() && item.state === "cancelled") Object.assign(item, { job: stopped, state: "sent", file: null });
      } else Object.assign(item, { job, state: "sent", share: 1, file: null });
    } catch (error) {
      if (isCurrent() && item.state === "sending") Object.assign(item, { state: "failed", error });
    }
    this._sending -= 1;
    if (item.control === control) {
      item.held = null;
      item.control = null;
    }
    this._tell(item);
    this._pump();
  }
}

const queues = new Set();
addEventListener("beforeunload", (event) => {
  if ([...queues].some((queue) => queue.isBusy)) event.preventDefault();
});

/** What an item's state is called. */
export function stateText(item, queue) {
  if (item.state === "sending")
    return item.held ? t(`upload.state.${item.held}`) : t("upload.state.sending", { share: percent(item.share) });
  if (item.state === "waiting" && queue?.isPaused) return t("upload.state.held");
  return t(`upload.state.${item.state}`);
}
