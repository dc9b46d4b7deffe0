// Stands in until the list of recordings is here: shows one recording of the address.
import { h, fill } from "../core/dom.js";
import { t } from "../core/words.js";
import "./recording.js";

customElements.define("lt-recordings", class extends HTMLElement {
  connectedCallback() { this.addressChanged(); }

  addressChanged() {
    if (!new URLSearchParams(location.search).get("id")) { fill(this, h("h1", {}, t("page.recordings"))); return; }
    const shown = this.querySelector("lt-recording");
    if (shown) shown.addressChanged();
    else fill(this, h("lt-recording"));
  }
});
