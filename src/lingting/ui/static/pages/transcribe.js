import { h, fill } from "../core/dom.js";
import { t } from "../core/words.js";

customElements.define("lt-transcribe", class extends HTMLElement {
  connectedCallback() { fill(this, h("h1", {}, t("page.transcribe"))); }
});
