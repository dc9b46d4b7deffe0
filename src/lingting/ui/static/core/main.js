// The frame: navigation, language, theme, who is signed in; and the page that belongs to the address.

import errorWords from "../words/errors.js";
import frameWords from "../words/frame.js";
import { ApiError, api, errorOf, offline } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { button, closeDialogs, dialog, menu, problemBox, spinner, toast, toastProblem } from "./parts.js";
import { language, learn, t } from "./words.js";

learn(frameWords, errorWords);

const ROOT = "/app";
/** Name, path, icon. */
const PAGES = [
  ["transcribe", "", "upload"],
  ["recordings", "recordings", "list"],
  ["batch", "batch", "layers"],
  ["live", "live", "captions"],
  ["vad", "vad", "wave"],
  ["glossaries", "glossaries", "book"],
  ["settings", "settings", "gear"],
];

/** Who is signed in: the answer of /users/me, once it is there. A page that waits for it goes on by itself. */
export const me = whoIs();
me.catch(() => {});

async function whoIs(wait_ms = 1000) {
  try {
    return await api.get("/users/me");
  } catch (error) {
    if (!(error instanceof ApiError) || (!error.isOffline && error.status !== 429 && error.status < 500)) throw error;
  }
  await new Promise((resolve) => {
    setTimeout(resolve, wait_ms);
  });
  return whoIs(Math.min(2 * wait_ms, 15_000));
}

let place = null;
let head = null;
let shown = null;

/** Go to a page without loading everything again; `path` is below /app and may hold a query. */
export function go(path, { replace = false } = {}) {
  if (!replace) closeDialogs();
  history[replace ? "replaceState" : "pushState"]({}, "", `${ROOT}/${path.replace(/^\//, "")}`);
  show();
}

function pageOfAddress() {
  const path = location.pathname.slice(ROOT.length).replace(/^\/|\/$/g, "");
  return PAGES.find((page) => page[1] === path) || PAGES[0];
}

async function show() {
  const [name] = pageOfAddress();
  for (const link of head.querySelectorAll("nav a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  head.classList.remove("lt-open");
  document.title = `${t(`page.${name}`)} · ${t("product")}`;
  if (shown?.localName === `lt-${name}` && shown.addressChanged) return shown.addressChanged();
  shown = null;
  const waiting = setTimeout(() => fill(place, spinner()), 150);
  try {
    await Promise.all([import(`../pages/${name}.js`), style(name)]);
    if (pageOfAddress()[0] !== name) return;
    shown = document.createElement(`lt-${name}`);
    fill(place, shown);
  } catch (error) {
    await unloaded(error);
    if (pageOfAddress()[0] === name)
      fill(
        place,
        problemBox({ code: "page", message: t("error.load") }, () => location.reload()),
      );
  } finally {
    clearTimeout(waiting);
  }
}

/** A module did not come. Files ask for a session too: if it has ended, the frame says so. */
export async function unloaded(error) {
  const isSignedOut = await api.get("/users/me").then(
    () => false,
    (why) => Boolean(why.isSignedOut),
  );
  if (!isSignedOut && !error.code) console.warn("the page did not load", error);
}

/** The own styles of a page or a part, once. */
export function style(name, folder = "pages") {
  const address = `${document.documentElement.dataset.base}/${folder}/${name}.css`;
  if (document.querySelector(`link[href="${address}"]`)) return null;
  return new Promise((resolve) => {
    // One that did not come is asked for again by the next who needs it.
    const link = h("link", {
      rel: "stylesheet",
      href: address,
      onload: resolve,
      onerror: () => {
        link.remove();
        resolve();
      },
    });
    document.head.append(link);
  });
}

function header() {
  const nav = h(
    "nav",
    { "aria-label": t("navigation"), id: "lt-nav" },
    PAGES.map(([name, path, glyph]) =>
      h("a", { href: `${ROOT}/${path}`, dataset: { page: name } }, icon(glyph), h("span", {}, t(`page.${name}`))),
    ),
  );
  const account = h("div", { class: "lt-account" });
  me.then(
    (who) => {
      fill(
        account,
        menu(
          who.user,
          () => [
            { text: t("docs"), glyph: "book", run: () => location.assign("/api/v1/docs") },
            { text: t("signOut"), glyph: "back", run: signOut },
          ],
          { glyph: "user", kind: "quiet", label: t("account", { user: who.user }) },
        ),
      );
    },
    () => {},
  );
  const opener = button(
    null,
    () => {
      const isOpen = made.classList.toggle("lt-open");
      opener.setAttribute("aria-expanded", String(isOpen));
    },
    {
      kind: "quiet",
      label: t("navigation"),
      glyph: "menu",
      class: "lt-button lt-quiet lt-icon-only lt-opener",
      "aria-expanded": "false",
      "aria-controls": "lt-nav",
    },
  );
  const made = h(
    "header",
    { class: "lt-head" },
    h(
      "a",
      { class: "lt-brand", href: `${ROOT}/` },
      h("img", { src: `${document.documentElement.dataset.base}/icon.svg`, alt: "", width: 28, height: 28 }),
      h("span", {}, t("product")),
    ),
    opener,
    nav,
    h(
      "div",
      { class: "lt-tools" },
      button(language === "zh" ? "EN" : "中", changeLanguage, {
        kind: "quiet",
        label: language === "zh" ? "English" : "中文",
      }),
      button(null, changeTheme, { kind: "quiet", label: t("theme"), glyph: isDark() ? "sun" : "moon", id: "lt-theme" }),
      account,
    ),
  );
  return made;
}

async function signOut() {
  const answer = await fetch("/logout", { method: "POST" }).catch(() => null);
  if (answer?.ok) location.assign("/login");
  else toastProblem(answer ? await errorOf(answer) : offline());
}

function changeLanguage() {
  const other = language === "zh" ? "en" : "zh";
  const secure = location.protocol === "https:" ? ";secure" : "";
  document.cookie = `lingting_language=${other};path=/;max-age=31536000;samesite=lax${secure}`;
  location.reload();
}

function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const shown = document.getElementById("lt-theme");
  if (shown) fill(shown, icon(isDark() ? "sun" : "moon"));
}

function changeTheme() {
  showTheme(isDark() ? "light" : "dark");
  try {
    localStorage.setItem("lingting.theme", document.documentElement.dataset.theme);
  } catch {
    /* for this page only */
  }
}

/** Who chose no theme has the system's, as in the head of the page. */
function followSystem(system) {
  try {
    if (localStorage.getItem("lingting.theme")) return;
  } catch {
    /* nothing can have been chosen */
  }
  showTheme(system.matches ? "dark" : "light");
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", followSystem);

/** Links within the pages do not load everything again. */
function followed(event) {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || !to.pathname.startsWith(`${ROOT}/`)) return;
  if (to.pathname === location.pathname && to.search === location.search && to.hash) return;
  event.preventDefault();
  closeDialogs();
  history.pushState({}, "", to);
  show().then(() => place.focus({ preventScroll: true }));
  scrollTo(0, 0);
}

let isAsking = false;
/** The session has ended: what is on the page stays while somebody signs in elsewhere. */
async function signedOut() {
  if (isAsking) return;
  isAsking = true;
  const here = encodeURIComponent(location.pathname + location.search);
  await dialog(t("signedOut.title"), (close) => [
    h("p", {}, t("signedOut.text")),
    h(
      "footer",
      {},
      button(t("signedOut.stay"), () => close()),
      button(t("signedOut.go"), () => location.assign(`/login?next=${here}`), { kind: "primary", autofocus: true }),
    ),
  ]);
  isAsking = false;
}

let isConnected = true;
let sayLost = 0;
/** Only what lasts is told: a browser opens the stream again within two seconds, and fails as often. */
function connection({ detail }) {
  if (!detail) {
    if (isConnected)
      sayLost ||= setTimeout(() => {
        isConnected = false;
        toast(t("connection.lost"), { kind: "warn" });
      }, 4000);
    return;
  }
  clearTimeout(sayLost);
  sayLost = 0;
  if (!isConnected) toast(t("connection.back"));
  isConnected = true;
}

/** A file that misses its place must not take the place of the page. */
function missed(event) {
  if (
    event.defaultPrevented
    || !event.dataTransfer?.types.includes("Files")
    || event.target.closest?.("input[type=file]")
  )
    return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
}

/** Gradio's reset of all elements hangs on one class, and would win over the pages' own styles. */
function withoutReset(shell) {
  const names = [...(shell?.classList || [])].filter((name) => name.startsWith("gradio-container-"));
  shell?.classList.remove(...names);
}

function start(into) {
  withoutReset(into.closest(".gradio-container"));
  head = header();
  place = h("main", { class: "lt-main", tabindex: "-1", id: "lt-main" });
  fill(into, h("a", { class: "lt-skip", href: "#lt-main" }, t("skip")), head, place);
  document.addEventListener("click", followed);
  document.addEventListener("lt-signed-out", signedOut);
  document.addEventListener("lt-connection", connection);
  for (const kind of ["dragover", "drop"]) addEventListener(kind, missed);
  addEventListener("popstate", () => {
    closeDialogs();
    show();
  });
  show();
}

/** Gradio draws its page some time after this module runs. */
function whenThere() {
  const into = document.getElementById("lt-page");
  if (into) return start(into);
  const watching = new MutationObserver(() => {
    const found = document.getElementById("lt-page");
    if (found) {
      watching.disconnect();
      start(found);
    }
  });
  watching.observe(document.documentElement, { childList: true, subtree: true });
}

whenThere();
import(`../pages/${pageOfAddress()[0]}.js`).catch(() => {});
