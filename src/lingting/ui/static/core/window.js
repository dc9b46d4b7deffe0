// A list of any length of which only what is in view is in the page. All rows are equally high.

import { h } from "./dom.js";

const BEYOND = 6;

/**
 * `make(key)` gives the element of a row, made when it comes into view and dropped behind it;
 * `draw(element, key)` brings it up to date.
 */
export class Window {
  constructor({ height, label, make, draw }) {
    Object.assign(this, { height, make, draw, keys: [], made: new Map() });
    this.space = h("div", { class: "lt-window-space", role: "list", "aria-label": label });
    this.element = h(
      "div",
      { class: "lt-window", tabindex: "0", role: "group", "aria-label": label, onscroll: () => this.later() },
      this.space,
    );
    this.watching = new ResizeObserver(() => this.later());
    this.watching.observe(this.element);
  }

  /** What there is to show, in order. */
  show(keys) {
    this.keys = keys;
    this.space.style.height = `${keys.length * this.height}px`;
    this.later();
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  render() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - BEYOND);
    const last = Math.min(
      this.keys.length,
      Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.height) + BEYOND,
    );
    const inView = new Set(this.keys.slice(first, last));
    const all = new Set(this.made.size ? this.keys : []);
    for (const [key, element] of this.made) {
      // The one with the focus stays, so that Tab goes on from there.
      if (!inView.has(key) && !(element.contains(document.activeElement) && all.has(key))) {
        element.remove();
        this.made.delete(key);
      }
    }
    for (let i = first; i < last; i += 1) {
      const key = this.keys[i];
      let element = this.made.get(key);
      if (!element) {
        element = this.make(key);
        element.setAttribute("role", "listitem");
        this.made.set(key, element);
      }
      element.style.transform = `translateY(${i * this.height}px)`;
      element.setAttribute("aria-setsize", String(this.keys.length));
      element.setAttribute("aria-posinset", String(i + 1));
      this.draw(element, key);
      if (this.space.children[i - first] !== element)
        this.space.insertBefore(element, this.space.children[i - first] || null);
    }
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.watching.disconnect();
  }
}
