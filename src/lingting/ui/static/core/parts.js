// What every page is built of: messages, dialogs, menus, tables' empty states, progress.

import { h, fill, newId } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./words.js";

/** A button. `kind`: primary, quiet, danger or none; `label` without `text` makes an icon button. */
export function button(text, onclick, { kind = "", label = null, glyph = null, ...rest } = {}) {
  const classes = ["lt-button", kind && `lt-${kind}`, !text && "lt-icon-only"].filter(Boolean).join(" ");
  return h(
    "button",
    { type: "button", class: classes, onclick, "aria-label": label, title: label, ...rest },
    glyph && icon(glyph),
    text && h("span", {}, text),
  );
}

/** A labelled control: `control` gets an id if it has none. */
export function field(label, control, { hint = null } = {}) {
  control.id ||= newId();
  const hintId = hint ? newId() : null;
  if (hintId) control.setAttribute("aria-describedby", hintId);
  return h(
    "div",
    { class: "lt-field" },
    h("label", { for: control.id }, label),
    control,
    hint && h("p", { class: "lt-hint", id: hintId }, hint),
  );
}

/** `options`: [[value, text], …] or texts. */
export function select(options, { value = null, onchange = null, ...rest } = {}) {
  const made = h(
    "select",
    { onchange, ...rest },
    options.map((option) => {
      const [given, text] = Array.isArray(option) ? option : [option, option];
      return h("option", { value: given }, text);
    }),
  );
  if (value !== null) made.value = value;
  return made;
}

/** A switch with its label. */
export function toggle(label, { checked = false, onchange = null, hint = null } = {}) {
  const id = newId();
  return h(
    "div",
    { class: "lt-toggle" },
    h("input", { type: "checkbox", role: "switch", id, checked, onchange, "aria-describedby": hint && `${id}-hint` }),
    h("label", { for: id }, label),
    hint && h("p", { class: "lt-hint", id: `${id}-hint` }, hint),
  );
}

/** Behind a modal dialog, or beside what fills the screen, nothing can be read or pressed. */
const front = () =>
  [...document.querySelectorAll("dialog[open]")].at(-1) || document.fullscreenElement || document.body;

let shelf = null;
/** Messages are where the person is. */
function bringShelf() {
  if (shelf && shelf.parentNode !== front()) front().append(shelf);
}
document.addEventListener("fullscreenchange", bringShelf);

/** A message that goes by itself; `action` is `{text, run}`, for undo. Errors stay until closed. */
export function toast(text, { kind = "info", action = null, ms = 6000 } = {}) {
  shelf ||= h("div", { class: "lt-toasts", role: "region", "aria-label": t("messages") });
  bringShelf();
  const close = () => made.remove();
  const isError = kind === "error";
  // What stays until it is closed is there once.
  if (isError)
    for (const old of shelf.querySelectorAll(".lt-error")) if (old.firstChild.textContent === text) old.remove();
  const made = h(
    "div",
    { class: `lt-toast lt-${kind}`, role: isError ? "alert" : "status" },
    h("p", {}, text),
    action
      && button(
        action.text,
        () => {
          close();
          action.run();
        },
        { kind: "quiet" },
      ),
    button(null, close, { kind: "quiet", label: t("close"), glyph: "close" }),
  );
  shelf.append(made);
  if (!isError) setTimeout(close, action ? Math.max(ms, 10_000) : ms);
  return close;
}

/** What went wrong and what to do; for anything that is thrown. */
export function problem(error) {
  if (error?.name === "AbortError") return null;
  if (error?.isSignedOut) return null; // the frame asks to sign in
  if (!error?.code) console.warn("unexpected", error);
  const text = error?.code ? [error.message, error.nextStep].filter(Boolean).join(" ") : t("error.page");
  return error?.incident ? `${text} (${t("incident")} ${error.incident})` : text;
}

export function toastProblem(error) {
  const text = problem(error);
  if (text) toast(text, { kind: "error" });
}

/** `work` runs while `control` is disabled, and not twice at once; what it throws is shown. Returns its value. */
export async function guarded(control, work) {
  if (control?.disabled) return undefined;
  const hadFocus = control && control === document.activeElement;
  if (control) control.disabled = true;
  try {
    return await work();
  } catch (error) {
    toastProblem(error);
    return undefined;
  } finally {
    if (control) control.disabled = false;
    // Browsers take the focus from what is disabled.
    if (hadFocus && document.activeElement === document.body) control.focus();
  }
}

/** Inline instead of a toast: what could not be loaded, with a way to try again. */
export function problemBox(error, again = null) {
  return h(
    "div",
    { class: "lt-problem", role: "alert" },
    icon("warn"),
    h("p", {}, problem(error) || error?.message || ""),
    again && button(t("again"), again),
  );
}

/** A modal dialog; resolves with what `close(value)` is given, undefined for Escape. */
export function dialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    const headId = newId();
    let given;
    const made = h("dialog", {
      class: `lt-dialog${wide ? " lt-wide" : ""}`,
      "aria-labelledby": headId,
      onclose: () => {
        made.remove();
        bringShelf();
        resolve(given);
      },
    });
    const close = (value) => {
      given = value;
      made.close();
    };
    fill(
      made,
      h(
        "header",
        {},
        h("h2", { id: headId }, title),
        button(null, () => close(), { kind: "quiet", label: t("close"), glyph: "close" }),
      ),
      build(close),
    );
    document.body.append(made);
    made.showModal();
    bringShelf();
  });
}

/** Of dialogs that belong to a page which is left. */
export function closeDialogs() {
  for (const open of document.querySelectorAll("dialog.lt-dialog[open]")) open.close();
}

/** Asks before something that cannot be taken back. */
export const confirmed = (title, text, { yes = t("yes"), danger = false } = {}) =>
  dialog(title, (close) => [
    h("p", {}, text),
    h(
      "footer",
      {},
      button(t("cancel"), () => close(false)),
      button(yes, () => close(true), { kind: danger ? "danger" : "primary", autofocus: true }),
    ),
  ]).then(Boolean);

/** A button with a menu. `items()`: [{text, run, glyph, danger}, …] or null for a line. */
export function menu(text, items, { label = null, glyph = "more", kind = "" } = {}) {
  const list = h("div", { class: "lt-menu", role: "menu", hidden: true });
  const opener = button(text, () => (list.hidden ? open() : close()), {
    kind,
    label,
    glyph,
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  const close = (back = true) => {
    if (list.hidden) return;
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    if (back) opener.focus();
  };
  const outside = (event) => {
    if (!made.contains(event.target)) close(false);
  };
  const open = () => {
    fill(
      list,
      items().map((item) =>
        item === null
          ? h("hr", {})
          : h(
              "button",
              {
                type: "button",
                role: "menuitem",
                class: item.danger ? "lt-danger-text" : "",
                onclick: () => {
                  close();
                  item.run();
                },
              },
              item.glyph && icon(item.glyph),
              h("span", {}, item.text),
            ),
      ),
    );
    list.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    document.addEventListener("pointerdown", outside, true);
    list.querySelector("button")?.focus();
  };
  list.addEventListener("keydown", (event) => {
    const all = [...list.querySelectorAll("button")];
    const at = all.indexOf(document.activeElement);
    if (event.key === "Tab") {
      close(false);
      return;
    }
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") all[(at + 1) % all.length].focus();
    else if (event.key === "ArrowUp") all[(at - 1 + all.length) % all.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const made = h("div", { class: "lt-menu-holder" }, opener, list);
  return made;
}

/** A bar with its number; `share` null: under way, nobody knows how far. */
export function progress(share, label) {
  const bar = h("progress", { class: "lt-progress", max: 1, "aria-label": label });
  if (share !== null) bar.value = share;
  return bar;
}

/** Nothing here yet: why, and what to do next. */
export const empty = (title, text, ...actions) =>
  h(
    "div",
    { class: "lt-empty" },
    icon("wave"),
    h("h2", {}, title),
    h("p", {}, text),
    h("div", { class: "lt-row" }, actions),
  );

/** State of a job or a part, in colour and in words. */
export const badge = (text, kind = "") => h("span", { class: `lt-badge ${kind && `lt-${kind}`}` }, text);

const KINDS = { done: "good", failed: "bad", running: "busy", queued: "", paused: "warn", cancelled: "" };
export const stateBadge = (state) => badge(t(`state.${state}`), KINDS[state] || "");

export const spinner = (text = t("loading")) =>
  h("p", { class: "lt-loading", role: "status" }, h("span", { class: "lt-spinner", "aria-hidden": "true" }), text);

/** Light `element` up while something is dragged over it; `take(dataTransfer)` of what is dropped. */
export function droppable(element, take) {
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("lt-over");
  });
  element.addEventListener("dragleave", ({ relatedTarget }) =>
    element.classList.toggle("lt-over", element.contains(relatedTarget)),
  );
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("lt-over");
    take(event.dataTransfer);
  });
}

/** Offer a file that was made here. */
export function save(name, content, type = "text/plain") {
  const link = h("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** To the clipboard, said in a message. Without https, or a while after the click, browsers know the old way only. */
export async function copy(text) {
  let isCopied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const held = document.activeElement;
    const area = front().appendChild(h("textarea", { value: text, class: "lt-hidden", "aria-hidden": "true" }));
    area.select();
    isCopied = document.execCommand("copy");
    area.remove();
    held?.focus();
  }
  if (isCopied) toast(t("copied"));
  else toast(t("notCopied"), { kind: "error" });
}
