/** The page of `gridlens triage --export`: a mosaic that stands alone and hands over its grades as a CSV file. */

import { button, h, replace } from "./dom.js";
import { ACTIONS, actionOf, gradeOf, keymap, keyName } from "./keys.js";

const COLUMNS = ["object_id", "grade", "subclass", "confidence", "note", "grader", "t_graded", "t_shown", "view", "queue_id", "position"];
const CONFIDENCE = { 1: 1 / 3, 2: 2 / 3, 3: 1 };
const PAGE = 20;

/** Return rows as the text of a CSV file. */
export function toCSV(rows) {
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = rows.map((row) => COLUMNS.map((name) => quoted(String(row[name] ?? ""))).join(","));
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

class ExportPage {
  constructor(data, storage) {
    this.data = data;
    this.storage = storage;
    this.keys = keymap(data.keys);
    this.index = 0;
    this.undoable = [];
    this.place = `gridlens.export.${data.title}.${data.items.length}.${data.items[0]?.object_id ?? ""}`;
    const kept = JSON.parse(storage?.getItem(this.place) ?? "{}");
    this.grades = kept.grades ?? {};
    this.grader = kept.grader ?? "";
    this.changed = false;
  }

  begin() {
    const byId = (id) => document.getElementById(id);
    byId("title").textContent = this.data.title;
    byId("help-button").addEventListener("click", () => this._help());
    this.board = h("div", { class: "board across-5", role: "group", "aria-label": "Images of this page" });
    this.label = h("p", { class: "place" });
    this.note = h("textarea", { id: "note", rows: 2, maxLength: 2000, onchange: () => this._annotate({ note: this.note.value }) });
    this.note.addEventListener("keydown", (event) => {
      if (event.code === "Escape") this._focus();
    });
    this.confidence = h("select", { id: "confidence", onchange: () => {
      this._annotate({ confidence: CONFIDENCE[this.confidence.value] ?? "" });
      this._focus();
    } }, ...["not stated", "low", "medium", "high"].map((text, value) => h("option", { value: value || "" }, text)));
    this.name = h("input", { id: "grader", type: "text", value: this.grader, maxLength: 100, required: true,
      onchange: () => {
        this.grader = this.name.value.trim();
        this._keep();
      } });
    const meanings = Object.entries(this.data.grades).flatMap(([grade, meaning]) =>
      [h("dt", { class: `badge badge-${grade}` }, grade), h("dd", {}, meaning)]);
    replace(byId("screen"), h("div", { class: "mosaic" },
      h("div", { class: "bar" }, this.label, h("label", { for: "grader" }, "Your name ", this.name),
        button("Previous page", () => this._turn(-1)), button("Next page", () => this._turn(1)),
        button("Rest of the page is X", () => this._rest(), { id: "rest-x" }), button("Undo", () => this._undo()),
        button("Download the grades", () => this._download(), { class: "primary", id: "download" })),
      this.board,
      h("div", { class: "cards" },
        h("section", { class: "card extras" }, h("label", { for: "note" }, "Note"), this.note,
          h("label", { for: "confidence" }, "Confidence ", this.confidence)),
        h("section", { class: "card" }, h("h2", {}, "Criteria"), h("dl", { class: "facts" }, ...meanings),
          h("p", { class: "quiet" }, `Press ? for the keys. Impostors: ${this.data.subclasses.join(", ")}.`)))));
    addEventListener("keydown", (event) => this._key(event));
    addEventListener("beforeunload", (event) => {
      if (this.changed) event.preventDefault();
    });
    this._page();
    this._focus();
  }

  get first() {
    return this.index - (this.index % PAGE);
  }

  get item() {
    return this.data.items[this.index];
  }

  _key(event) {
    const action = actionOf(event, this.keys);
    if (!action) return;
    if (action === "help") this._help();
    else if (document.getElementById("help").open || !this._act(action, event)) return;
    event.preventDefault();
  }

  _act(action, event) {
    const grade = gradeOf(action, this.data.subclasses);
    const across = getComputedStyle(this.board).gridTemplateColumns.split(" ").length;
    const moves = { left: -1, right: 1, up: -across, down: across };
    if (grade) this._grade([this.item.object_id], grade, true);
    else if (action in moves) this._move(this.index + moves[action]);
    else if (action === "next" && (event.target === document.body || event.target.classList.contains("tile"))) this._turn(1);
    else if (action === "next_ungraded") this._nextUngraded();
    else if (action === "undo") this._undo();
    else if (action === "rest_x") this._rest();
    else if (action === "note") this.note.focus();
    else return false;
    return true;
  }

  _grade(ids, grade, move) {
    this.undoable.push(ids.map((id) => [id, this.grades[id]]));
    const times = { t_graded: new Date().toISOString(), t_shown: this.shown };
    for (const id of ids) this.grades[id] = { ...this.grades[id], ...grade, ...times };
    this._say(`${ids.length > 1 ? `${ids.length} images` : ids[0]} graded ${grade.grade} ${grade.subclass ?? ""}`);
    if (move && this.index + 1 < Math.min(this.first + PAGE, this.data.items.length)) this.index += 1;
    this._keep();
    this._labels();
    this._focus();
  }

  _annotate(change) {
    const { object_id: id } = this.item;
    this.grades[id] = { ...this.grades[id], ...change };
    this._keep();
  }

  _rest() {
    const page = this.data.items.slice(this.first, this.first + PAGE).map((item) => item.object_id);
    const ids = page.filter((id) => !this.grades[id]?.grade);
    if (ids.length) this._grade(ids, { grade: "X", subclass: null }, false);
  }

  _undo() {
    const step = this.undoable.pop();
    if (!step) return;
    for (const [id, before] of step) {
      if (before) this.grades[id] = before;
      else delete this.grades[id];
    }
    this._keep();
    this._move(this.data.items.findIndex((item) => item.object_id === step[0][0]));
    this._labels();
    this._say("Undone.");
  }

  _nextUngraded() {
    const open = (item) => !this.grades[item.object_id]?.grade;
    const after = this.data.items.findIndex((item, k) => k > this.index && open(item));
    this._move(after >= 0 ? after : this.data.items.findIndex(open));
  }

  _turn(pages) {
    this._move(Math.min(this.first + pages * PAGE, this.data.items.length - 1));
  }

  _move(index) {
    if (index < 0 || index >= this.data.items.length) return;
    const before = this.first;
    this.index = index;
    if (this.first === before) this._labels();
    else this._page();
    this._focus();
  }

  _page() {
    this.tiles = this.data.items.slice(this.first, this.first + PAGE).map((item, k) =>
      h("button", { type: "button", class: "tile", onclick: () => this._move(this.first + k) },
        h("img", { src: item.image, alt: "" }), h("span", { class: "badge" })));
    replace(this.board, ...this.tiles);
    this.shown = new Date().toISOString();
    this._labels();
  }

  _labels() {
    this.tiles.forEach((tile, k) => {
      const { object_id: id } = this.data.items[this.first + k];
      const { grade, subclass } = this.grades[id] ?? {};
      const badge = tile.querySelector(".badge");
      badge.className = `badge badge-${grade ?? "none"}`;
      badge.textContent = grade ?? "";
      tile.classList.toggle("selected", this.first + k === this.index);
      tile.setAttribute("tabindex", this.first + k === this.index ? "0" : "-1");
      tile.setAttribute("aria-label", `${id}, ${grade ? `graded ${grade} ${subclass ?? ""}` : "no grade"}`);
    });
    const rows = this._rows();
    replace(this.label, h("strong", {}, `${this.index + 1} of ${this.data.items.length}`),
      ` \u00b7 ${this.item.object_id} \u00b7 ${rows.length} graded`);
    const kept = this.grades[this.item.object_id] ?? {};
    this.note.value = kept.note ?? "";
    this.confidence.value = Object.keys(CONFIDENCE).find((key) => CONFIDENCE[key] === kept.confidence) ?? "";
  }

  _focus() {
    this.tiles[this.index - this.first]?.focus();
  }

  _keep() {
    this.changed = true;
    let kept = "kept in this browser, not downloaded";
    try {
      this.storage.setItem(this.place, JSON.stringify({ grades: this.grades, grader: this.grader }));
    } catch {
      kept = "not kept in this browser: download the grades before you close the page";
    }
    document.getElementById("saved").textContent = kept;
  }

  _rows() {
    // With the item of the queue that each grade answers, the weights of graded objects hold after the import.
    const rest = { grader: this.grader, view: "export", queue_id: this.data.queue_id };
    return this.data.items.map(({ object_id: id, position }) => ({ object_id: id, ...this.grades[id], ...rest, position }))
      .filter((row) => row.grade);
  }

  _download() {
    if (!this.grader) {
      this._say("Enter your name first.");
      this.name.focus();
      this.name.reportValidity();
      return;
    }
    const url = URL.createObjectURL(new Blob([toCSV(this._rows())], { type: "text/csv" }));
    h("a", { href: url, download: `grades-${this.grader.replace(/[^\w-]+/g, "_")}.csv` }).click();
    URL.revokeObjectURL(url);
    this.changed = false;
    document.getElementById("saved").textContent = "downloaded";
  }

  _help() {
    const help = document.getElementById("help");
    if (help.open) {
      help.close();
      return;
    }
    const here = ["left", "right", "up", "down", "next", "next_ungraded", "undo", "rest_x", "note", "help"];
    const shown = Object.entries(ACTIONS).filter(([action]) => here.includes(action) || gradeOf(action, this.data.subclasses));
    const rows = shown.map(([action, text]) => h("tr", {},
      h("th", { scope: "row" }, ...(this.data.keys[action] ?? []).flatMap((code) => [h("kbd", {}, keyName(code)), " "])),
      h("td", {}, text)));
    replace(help, h("h2", { id: "help-title" }, "Keys"), h("table", {}, h("tbody", {}, ...rows)),
      button("Close", () => help.close()));
    help.showModal();
  }

  _say(text) {
    document.getElementById("live").textContent = text;
  }
}

function localStore() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

if (globalThis.document) new ExportPage(JSON.parse(document.getElementById("data").textContent), localStore()).begin();
