// Lists of hotwords: made, changed, brought in and out, and tested on a clip with and without.

import words from "../words/glossaries.js";
import { api } from "../core/api.js";
import { fill, h, newId } from "../core/dom.js";
import { number, when } from "../core/format.js";
import { go, me } from "../core/main.js";
import {
  badge,
  button,
  dialog,
  empty,
  field,
  guarded,
  menu,
  problemBox,
  save,
  select,
  spinner,
  toast,
  toastProblem,
} from "../core/parts.js";
import { fromFile, merged, toCsv, toText, wordsOf } from "../core/hotwords.js";
import { learn, t } from "../core/words.js";
import { createTrial } from "./glossaries-trial.js";

learn(words);

const MOST = 1000;
const MOST_CHARS = 10_000;
const FILE_BYTES = 1 << 20;
const NEW = "new";
/** What was typed and is not saved, by the id of its list; it stays while one looks elsewhere. */
const drafts = new Map();

const counted = (n) => (n === 1 ? t("glossaries.word") : t("glossaries.words", { n: number(n) }));
const isEmpty = (draft) => !draft.text.trim() && !draft.name;

addEventListener("beforeunload", (event) => {
  if ([...drafts.values()].some((draft) => !isEmpty(draft))) event.preventDefault();
});

class GlossariesPage extends HTMLElement {
  #items = null;
  #who = null;
  #open = null;

  connectedCallback() {
    this.input = h("input", {
      type: "file",
      accept: ".txt,.csv,text/plain,text/csv",
      class: "lt-hidden",
      tabindex: "-1",
      "aria-label": t("glossaries.import"),
      onchange: () => {
        this.#bring(this.input.files[0]);
        this.input.value = "";
      },
    });
    this.list = h("nav", { class: "lt-glossaries-list", "aria-label": t("glossaries.lists") });
    this.place = h("div", { class: "lt-glossaries-place" });
    this.trial = createTrial(() => this.#words());
    fill(
      this,
      h(
        "div",
        { class: "lt-top" },
        h("div", {}, h("h1", {}, t("page.glossaries")), h("p", {}, t("glossaries.about"))),
        h(
          "div",
          { class: "lt-row" },
          button(t("glossaries.import"), () => this.input.click(), {
            glyph: "upload",
            title: t("glossaries.importHint"),
          }),
          button(t("glossaries.new"), () => go(`glossaries?id=${NEW}`), { kind: "primary", glyph: "plus" }),
        ),
      ),
      this.input,
      h("div", { class: "lt-glossaries" }, this.list, this.place),
    );
    this.#load();
  }

  disconnectedCallback() {
    this.trial.release();
  }

  addressChanged() {
    if (this.#items) this.#show();
  }

  get #wanted() {
    return new URLSearchParams(location.search).get("id");
  }

  async #load() {
    if (!this.#items) fill(this.list, spinner());
    try {
      [this.#who, { items: this.#items }] = await Promise.all([me, api.get("/glossaries")]);
      await this.#show();
    } catch (error) {
      fill(
        this.list,
        problemBox(error, () => this.#load()),
      );
    }
  }

  async #relist() {
    this.#items = (await api.get("/glossaries")).items;
    this.#drawList();
  }

  // The list of lists.

  #drawList() {
    const own = this.#items.filter((one) => one.owner !== null);
    const ofDepartments = [
      ...new Set(this.#items.filter((one) => one.department !== null).map((one) => one.department)),
    ];
    const groups = [
      [t("glossaries.mine"), own],
      ...ofDepartments.map((name) => [
        t("glossaries.department", { name }),
        this.#items.filter((one) => one.department === name),
      ]),
      [t("glossaries.everybody"), this.#items.filter((one) => one.owner === null && one.department === null)],
    ];
    if (drafts.has(NEW))
      own.unshift({
        id: NEW,
        name: drafts.get(NEW).name || t("glossaries.new"),
        count: wordsOf(drafts.get(NEW).text).length,
      });
    fill(
      this.list,
      groups
        .filter(([, some]) => some.length)
        .map(([title, some]) => [
          h("h2", {}, title),
          h(
            "ul",
            {},
            some.map((one) =>
              h(
                "li",
                {},
                h(
                  "a",
                  {
                    href: `/app/glossaries?id=${encodeURIComponent(one.id)}`,
                    "aria-current": this.#wanted === one.id ? "page" : null,
                  },
                  h("span", { class: "lt-glossaries-name" }, one.name),
                  drafts.has(one.id)
                    ? badge(t("glossaries.unsaved"), "warn")
                    : h("span", { class: "lt-soft lt-small lt-number" }, counted(one.count)),
                ),
              ),
            ),
          ),
        ]),
    );
    this.list.hidden = !this.list.children.length;
  }

  async #show() {
    const id = this.#wanted;
    if (id !== NEW && drafts.has(NEW) && isEmpty(drafts.get(NEW))) drafts.delete(NEW);
    this.#drawList();
    this.classList.toggle("lt-glossaries-opened", Boolean(id));
    this.#open = null;
    if (id === NEW) {
      if (!drafts.has(NEW)) drafts.set(NEW, { name: "", text: "", audience: "own" });
      this.#drawList();
      return this.#edit({ id: NEW, name: "", words: [], revision: 0 });
    }
    if (!id) {
      return fill(
        this.place,
        this.#items.length
          ? h("p", { class: "lt-soft lt-glossaries-choose" }, t("glossaries.choose"))
          : empty(
              t("glossaries.empty"),
              t("glossaries.empty.text"),
              button(t("glossaries.new"), () => go(`glossaries?id=${NEW}`), { kind: "primary", glyph: "plus" }),
              button(t("glossaries.import"), () => this.input.click(), { glyph: "upload" }),
            ),
      );
    }
    fill(this.place, spinner());
    try {
      const found = await api.get(`/glossaries/${encodeURIComponent(id)}`);
      if (this.#wanted === id) this.#edit(found);
    } catch (error) {
      if (this.#wanted === id)
        fill(
          this.place,
          problemBox(error, () => this.#show()),
          h("p", {}, h("a", { href: "/app/glossaries" }, t("glossaries.back"))),
        );
    }
  }

  // One list.

  #mayChange(one) {
    const who = this.#who;
    if (!who.scopes.includes("write")) return false;
    if (one.id === NEW || one.owner === who.user) return true;
    if (who.scopes.includes("admin")) return one.owner === null;
    return one.department !== null && who.role === "manager" && one.department === who.department;
  }

  #audiences() {
    const who = this.#who;
    const isAdmin = who.scopes.includes("admin");
    return [
      ["own", t("glossaries.audience.own")],
      who.department
        && (isAdmin || who.role === "manager") && [
          "department",
          t("glossaries.audience.department", { name: who.department }),
        ],
      isAdmin && ["all", t("glossaries.audience.all")],
    ].filter(Boolean);
  }

  #edit(found) {
    this.#open = found;
    const isNew = found.id === NEW;
    const may = this.#mayChange(found);
    const draft = () => drafts.get(found.id);
    const area = (this.area = h("textarea", {
      class: "lt-glossaries-words",
      rows: "14",
      spellcheck: "false",
      readonly: !may,
      oninput: () => typed(),
    }));
    area.value = draft()?.text ?? found.words.join("\n");
    const name = h("input", { type: "text", maxlength: "100", value: draft()?.name ?? "", oninput: () => typed() });
    const audience = select(this.#audiences(), { value: draft()?.audience ?? "own", onchange: () => typed() });
    const keep = button(t("glossaries.save"), () => this.#save(keep), { kind: "primary", glyph: "check" });
    const back = button(
      t("glossaries.revert"),
      () => {
        drafts.delete(found.id);
        area.value = found.words.join("\n");
        typed();
        area.focus();
      },
      { kind: "quiet", glyph: "undo" },
    );
    const told = h("div", { class: "lt-glossaries-told", role: "status" });

    const typed = () => {
      const given = area.value;
      const listed = wordsOf(given);
      const isSame = !isNew && toText(listed) === toText(found.words);
      if (isSame) drafts.delete(found.id);
      else
        drafts.set(found.id, {
          name: name.value,
          text: given,
          audience: audience.value,
          base: draft()?.base ?? found.words,
          revision: draft()?.revision ?? found.revision,
        });
      const lines = given
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean);
      const long = lines.findIndex((line) => line.length > MOST_CHARS);
      const over = listed.length - MOST;
      fill(
        told,
        h("p", { class: "lt-number" }, t("glossaries.count", { n: number(listed.length), most: number(MOST) })),
        lines.length > listed.length && h("p", {}, t("glossaries.twice", { n: lines.length - listed.length })),
        over > 0 && h("p", { class: "lt-danger-text" }, t("glossaries.tooMany", { n: number(over) })),
        long >= 0
          && h("p", { class: "lt-danger-text" }, t("glossaries.tooLong", { line: long + 1, most: number(MOST_CHARS) })),
      );
      keep.disabled = isSame || over > 0 || long >= 0;
      back.hidden = isSame || isNew;
      this.#drawList();
    };
    this.typed = typed;
    this.fields = { name, audience };

    fill(
      this.place,
      h("a", { class: "lt-glossaries-back", href: "/app/glossaries" }, t("glossaries.back")),
      h(
        "section",
        { class: "lt-card", "aria-label": found.name || t("glossaries.new") },
        h(
          "div",
          { class: "lt-row lt-spread lt-glossaries-title" },
          h(
            "div",
            {},
            h("h2", {}, found.name || t("glossaries.new")),
            !isNew
              && h(
                "p",
                { class: "lt-soft lt-small" },
                t("glossaries.changed", { when: when(found.changed_at), revision: found.revision }),
              ),
          ),
          menu(null, () => this.#actions(found, may), { label: t("more") }),
        ),
        isNew
          && h(
            "div",
            { class: "lt-grid" },
            field(t("glossaries.name"), name),
            this.#audiences().length > 1 && field(t("glossaries.audience"), audience),
          ),
        !may && h("p", { class: "lt-note" }, t("glossaries.readOnly")),
        field(t("glossaries.editor"), area),
        told,
        may && h("div", { class: "lt-row" }, keep, back),
      ),
      this.trial.element,
    );
    typed();
    if (isNew && !name.value) name.focus();
  }

  #actions(found, may) {
    const stem = found.name || this.fields.name.value || "glossary";
    return [
      may && { text: t("glossaries.add"), glyph: "plus", run: () => this.#pick((file) => this.#add(file)) },
      { text: t("glossaries.copy"), glyph: "copy", run: () => this.#copy(found) },
      { text: t("glossaries.exportTxt"), glyph: "download", run: () => save(`${stem}.txt`, toText(this.#words())) },
      {
        text: t("glossaries.exportCsv"),
        glyph: "download",
        run: () => save(`${stem}.csv`, toCsv(this.#words()), "text/csv"),
      },
      may && { text: t("delete"), glyph: "trash", danger: true, run: () => this.#delete(found) },
    ].filter(Boolean);
  }

  #words() {
    return this.area ? wordsOf(this.area.value) : [];
  }

  async #save(control) {
    const found = this.#open;
    const isNew = found.id === NEW;
    const given = this.#words();
    const text = this.area.value;
    const name = isNew ? this.fields.name.value.trim() : found.name;
    if (!name) {
      toast(t("glossaries.noName"), { kind: "warn" });
      this.fields.name.focus();
      return;
    }
    if (name.startsWith(".") || name.includes("/")) {
      toast(t("glossaries.badName"), { kind: "warn" });
      this.fields.name.focus();
      return;
    }
    if (!given.length) {
      toast(t("glossaries.noWords"), { kind: "warn" });
      this.area.focus();
      return;
    }
    const where = isNew
      ? this.#where(this.fields.audience.value)
      : { for_all: found.owner === null && found.department === null, department: found.department };
    await guarded(control, async () => {
      try {
        const made = await put(name, given, isNew ? 0 : (drafts.get(found.id)?.revision ?? found.revision), where);
        this.#kept(found, made, where, text);
      } catch (error) {
        if (error.code !== "store.revision_conflict") throw error;
        if (isNew) {
          toast(t("glossaries.taken"), { kind: "warn" });
          this.fields.name.focus();
        } else await this.#settle(found, given, where, text);
      }
    });
  }

  #where(audience) {
    return { for_all: audience === "all", department: audience === "department" ? this.#who.department : null };
  }

  /** `text` is what was sent: what was typed since then is not saved yet. */
  #kept(before, made, where, text) {
    const left = drafts.get(before.id);
    drafts.delete(before.id);
    if (left && left.text !== text) drafts.set(made.id, { ...left, base: made.words, revision: made.revision });
    const action = before.id === NEW ? null : { text: t("undo"), run: () => this.#take(made, before.words, where) };
    toast(t("glossaries.saved", { words: counted(made.count) }), { action });
    this.#relist().catch(toastProblem);
    if (before.id === NEW) this.#follow(NEW, made.id);
    else if (this.#open?.id === made.id) this.#edit(made);
  }

  /** To where a list is now, unless somebody has gone elsewhere meanwhile. */
  #follow(from, to) {
    if (this.isConnected && this.#wanted === from)
      go(to ? `glossaries?id=${encodeURIComponent(to)}` : "glossaries", { replace: Boolean(to) });
  }

  /** What was saved last is as it was before. */
  async #take(made, words_, where) {
    try {
      const back = await put(made.name, words_, made.revision, where);
      toast(t("glossaries.undone"));
      await this.#relist();
      if (this.#open?.id === back.id) {
        drafts.delete(back.id);
        this.#edit(back);
      }
    } catch (error) {
      toastProblem(error);
    }
  }

  /** Somebody else was quicker: theirs, mine, or both. */
  async #settle(found, mine, where, text) {
    let theirs;
    try {
      theirs = await api.get(`/glossaries/${encodeURIComponent(found.id)}`);
    } catch (error) {
      if (error.code !== "store.glossary_not_found") throw error;
      const isWanted = await dialog(t("glossaries.conflict.gone"), (close) => [
        h("p", {}, t("glossaries.conflict.gone.text")),
        h(
          "footer",
          {},
          button(t("cancel"), () => close(false)),
          button(t("glossaries.conflict.again"), () => close(true), { kind: "primary" }),
        ),
      ]);
      if (!isWanted) return;
      const made = await put(found.name, mine, 0, where);
      this.#kept(found, made, where, text);
      this.#follow(found.id, made.id);
      return;
    }
    const base = drafts.get(found.id)?.base ?? found.words;
    const some = (list) =>
      list.length
        ? list.slice(0, 12).join(t("glossaries.comma")) + (list.length > 12 ? " …" : "")
        : t("glossaries.conflict.none");
    const added = theirs.words.filter((word) => !base.includes(word));
    const removed = base.filter((word) => !theirs.words.includes(word));
    const choice = await dialog(t("glossaries.conflict"), (close) => [
      h("p", {}, t("glossaries.conflict.text", { added: some(added), removed: some(removed) })),
      h(
        "footer",
        {},
        button(t("glossaries.conflict.theirs"), () => close("theirs")),
        button(t("glossaries.conflict.mine"), () => close("mine")),
        button(t("glossaries.conflict.merge"), () => close("both"), { kind: "primary", autofocus: true }),
      ),
    ]);
    if (!choice) return;
    if (choice === "theirs") {
      drafts.delete(found.id);
      this.#edit(theirs);
      return;
    }
    const made = await put(
      found.name,
      choice === "mine" ? mine : merged(base, mine, theirs.words),
      theirs.revision,
      where,
    );
    this.#kept(theirs, made, where, text);
  }

  async #delete(found) {
    if (found.id === NEW) {
      drafts.delete(NEW);
      return go("glossaries");
    }
    const where = { for_all: found.owner === null && found.department === null, department: found.department };
    try {
      const was = await api.delete(
        `/glossaries/${encodeURIComponent(found.id)}`,
        where.for_all ? { for_all: true } : { department: where.department },
      );
      drafts.delete(found.id);
      this.#follow(found.id, null);
      await this.#relist();
      if (!this.#wanted) await this.#show();
      toast(t("glossaries.deleted", { name: found.name }), {
        action: {
          text: t("undo"),
          run: async () => {
            try {
              const made = await put(was.name, was.words, 0, where);
              toast(t("glossaries.restored", { name: was.name }));
              await this.#relist();
              go(`glossaries?id=${encodeURIComponent(made.id)}`);
            } catch (error) {
              toastProblem(error);
            }
          },
        },
      });
    } catch (error) {
      toastProblem(error);
    }
  }

  #copy(found) {
    this.#begin(t("glossaries.copyName", { name: found.name || this.fields.name.value }), this.#words());
  }

  /** A new list that is not saved yet. */
  #begin(name, given) {
    const before = drafts.get(NEW);
    if (before && !isEmpty(before))
      toast(t("glossaries.replaced"), {
        action: {
          text: t("undo"),
          run: () => {
            drafts.set(NEW, before);
            this.#new();
          },
        },
      });
    drafts.set(NEW, { name: name.slice(0, 100), text: given.join("\n"), audience: "own" });
    this.#new();
  }

  #new() {
    if (this.isConnected && this.#wanted === NEW) this.#show();
    else go(`glossaries?id=${NEW}`);
  }

  // Files.

  #pick(work) {
    const input = h("input", {
      type: "file",
      accept: ".txt,.csv,text/plain,text/csv",
      onchange: () => {
        if (input.files[0]) work(input.files[0]);
      },
    });
    input.click();
  }

  async #read(file) {
    if (file.size > FILE_BYTES) {
      toast(t("glossaries.bigFile"), { kind: "warn" });
      return null;
    }
    const bytes = await file.arrayBuffer().catch(() => null);
    if (!bytes) {
      toast(t("upload.gone"), { kind: "warn" });
      return null;
    }
    const found = fromFile(file.name, bytes);
    if (!found.length) {
      toast(t("glossaries.noFileWords"), { kind: "warn" });
      return null;
    }
    return found;
  }

  async #bring(file) {
    const found = file && (await this.#read(file));
    if (found) this.#begin(file.name.replace(/\.[^.]+$/, "").replace(/^\.+|\//g, ""), found);
  }

  async #add(file) {
    const found = await this.#read(file);
    if (!found) return;
    const before = this.#words();
    const all = [...new Set([...before, ...found])];
    this.area.value = all.join("\n");
    this.typed();
    toast(t("glossaries.added", { words: counted(all.length - before.length) }));
  }
}

customElements.define("lt-glossaries", GlossariesPage);

const put = (name, given, revision, where) =>
  api.put(`/glossaries/${encodeURIComponent(name)}`, { words: given, based_on: revision, ...where });
