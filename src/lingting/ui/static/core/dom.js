// Elements without templates: text is always text, so nothing that was said or typed becomes markup.

/**
 * Make an element. Properties that begin with "on" are listeners; `class`, `style`, `dataset` and
 * `aria-*` are what they are in HTML; true is an attribute without a value, false and null are none.
 * Children: nodes, text, numbers, lists of them; null and false are left out.
 */
export function h(tag, props, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name === "dataset") Object.assign(made.dataset, value);
    else if (name === "style" && typeof value === "object") Object.assign(made.style, value);
    else if (["value", "checked", "disabled", "indeterminate"].includes(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  put(made, ...children);
  return made;
}

function put(into, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    into.append(child instanceof Node ? child : String(child));
  }
}

/** Everything in `into` is replaced. */
export function fill(into, ...children) {
  into.replaceChildren();
  put(into, ...children);
  return into;
}

let made = 0;
/** An id that no other element has, for labels. */
export const newId = () => `lt-${++made}`;

/** `work` is called when `ms` have passed without another call, with the arguments of the last one. */
export function debounced(work, ms) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = 0;
      work(...given);
    }, ms);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
