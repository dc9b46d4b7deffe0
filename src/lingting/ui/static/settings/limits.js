// Limits of everybody and of the service, and every other setting for reading.

import { api } from "../core/api.js";
import { fill } from "../core/dom.js";
import { t } from "../core/words.js";
import { NAMES } from "./limits_of.js";
import { Section, heading } from "./section.js";
import { allSettings, pendingNote, settingsForm } from "./stored.js";

class Limits extends Section {
  async load() {
    const [{ items }, { processes }] = await Promise.all([api.get("/settings"), api.get("/system")]);
    const changed = () => this.show();
    fill(
      this,
      heading("limits"),
      pendingNote(items, processes, changed),
      settingsForm(
        items,
        [
          [t("settings.limits.everybody"), NAMES],
          [t("settings.limits.service"), ["max_duration_s", "max_upload_bytes", "worker_slots", "readers"]],
        ],
        { changed },
      ),
      allSettings(items),
    );
  }
}

customElements.define("lt-settings-limits", Limits);
