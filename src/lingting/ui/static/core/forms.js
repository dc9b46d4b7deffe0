// A form in a dialog.

import { fill, h } from "./dom.js";
import { button, dialog, problem, spinner, toastProblem } from "./parts.js";
import { t } from "./words.js";

/**
 * `send()` runs on Enter and on the button; what it refuses is said in the form, which stays. Resolves
 * with what `send` returned, undefined when it was closed. `busy` is said while it takes its time;
 * `closed()` is told when it is over.
 */
export async function formDialog(
  title,
  controls,
  { yes = t("save"), send, busy = null, closed = () => {}, wide = false },
) {
  let sending = null;
  const given = await dialog(
    title,
    (close) => {
      const told = h("div", { "aria-live": "assertive" });
      const submit = button(yes, null, { kind: "primary", type: "submit" });
      return h(
        "form",
        {
          onsubmit: async (event) => {
            event.preventDefault();
            fill(told, busy && spinner(busy));
            submit.disabled = true;
            try {
              sending = Promise.resolve(send());
              close((await sending) ?? true);
            } catch (error) {
              sending = null;
              const text = problem(error);
              fill(told, text && h("div", { class: "lt-problem" }, h("p", {}, text)));
            } finally {
              submit.disabled = false;
            }
          },
        },
        controls,
        told,
        h(
          "footer",
          {},
          button(t("cancel"), () => close()),
          submit,
        ),
      );
    },
    { wide },
  );
  closed();
  // Closed while it was on its way: what the service did is shown nevertheless.
  return given ?? sending?.catch(toastProblem);
}
