// Departments: whose recordings belong together, and whether members read one another's.

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { day } from "../core/format.js";
import { formDialog } from "../core/forms.js";
import { button, empty, field, toast, toastProblem, toggle } from "../core/parts.js";
import { t } from "../core/words.js";
import { Section, heading, table } from "./section.js";

class Departments extends Section {
  async load() {
    const [departments, users] = await Promise.all([api.get("/departments"), api.get("/users")]);
    const people = (name) => users.items.filter((user) => user.department === name && !user.disabled_at);
    const add = () => button(t("settings.departments.add"), () => this.#add(), { kind: "primary", glyph: "plus" });
    const all = departments.items;
    fill(
      this,
      heading("departments", all.length > 0 && add()),
      all.length
        ? table(
            t("settings.departments"),
            [
              [t("settings.department"), (one) => h("strong", {}, one.name)],
              [
                t("settings.departments.people"),
                (one) => {
                  const here = people(one.name);
                  return here.length
                    ? h("span", { title: here.map((user) => user.name).join(", ") }, String(here.length))
                    : "0";
                },
              ],
              [t("settings.since"), (one) => day(one.created_at)],
              [
                t("settings.departments.sharing"),
                (one) =>
                  toggle(t("settings.departments.shared"), {
                    checked: one.is_shared,
                    onchange: (event) => this.#share(one, event.target),
                  }),
              ],
            ],
            all,
          )
        : empty(t("settings.departments.none"), t("settings.departments.none.text"), add()),
    );
  }

  async #share(one, box) {
    const isShared = box.checked;
    box.disabled = true;
    try {
      await api.patch(`/departments/${encodeURIComponent(one.name)}`, { is_shared: isShared });
      toast(t(isShared ? "settings.departments.nowShared" : "settings.departments.nowApart", { name: one.name }));
    } catch (error) {
      box.checked = !isShared;
      toastProblem(error);
    } finally {
      box.disabled = false;
    }
  }

  async #add() {
    const name = h("input", { required: true, maxlength: "60", autocomplete: "off", autofocus: true });
    const shared = toggle(t("settings.departments.shared"), { hint: t("settings.departments.shared.hint") });
    const made = await formDialog(
      t("settings.departments.add"),
      [field(t("settings.departments.name"), name), shared],
      {
        yes: t("settings.departments.add"),
        send: () =>
          api.post("/departments", { name: name.value.trim(), is_shared: shared.querySelector("input").checked }),
      },
    );
    if (made) await this.show();
  }
}

customElements.define("lt-settings-departments", Departments);
