/** The screen of many images: arrows move, grading keys grade, the rest of a page is graded X at once. */

import { criteria, gradeButtons, pressGrade } from "./controls.js";
import { button, h, replace } from "./dom.js";
import { gradeOf } from "./keys.js";
import { DEFAULTS } from "./stretch.js";
import { paintThumbnail } from "./thumbnails.js";

const GRIDS = [[5, 4], [6, 5], [8, 6], [10, 10]];
const SIZES = [160, 128, 112, 64]; // px of the images of each grid, about as large as its tiles

export class Mosaic {
  constructor(app) {
    this.app = app;
    this.grid = 0;
    this.options = { ...DEFAULTS };
    this.tiles = [];
    this.place = h("p", { class: "place" });
    this.size = h("select", { id: "grid", onchange: () => this._resize(Number(this.size.value)) },
      ...GRIDS.map(([x, y], k) => h("option", { value: k }, `${x} \u00d7 ${y}`)));
    this.board = h("div", { class: "board", role: "group", "aria-label": "Images of this page" });
    this.buttons = gradeButtons(app.session, (action) => app.act(action));
    this.element = h("div", { class: "mosaic" },
      h("div", { class: "bar" }, this.place,
        h("label", { for: "grid" }, "Grid ", this.size),
        button("Previous page", () => this._turn(-1)),
        button("Next page", () => this._turn(1)),
        button("Rest of the page is X", () => app.act("rest_x"), { id: "rest-x" }),
        button("Undo", () => app.act("undo"))),
      h("div", { class: "desk" }, this.board, h("aside", {}, this.buttons, criteria(app.session))));
    app.outbox.listen((event) => {
      if (this.element.isConnected && event !== "problem") this.tiles.forEach((_, k) => this._label(k));
    });
  }

  get queue() {
    return this.app.queue;
  }

  get count() {
    return GRIDS[this.grid][0] * GRIDS[this.grid][1];
  }

  get first() {
    return this.queue.index - (this.queue.index % this.count);
  }

  show() {
    this._page();
    this._focus();
  }

  act(action) {
    const grade = gradeOf(action, this.app.session.subclasses);
    const across = this._across();
    const moves = { left: -1, right: 1, up: -across, down: across };
    const looks = { brightness_down: ["brightness", -1], brightness_up: ["brightness", 1],
      contrast_down: ["contrast", -1], contrast_up: ["contrast", 1] };
    if (grade) this._grade([this.queue.index], grade, true);
    else if (action in moves) this._move(this.queue.index + moves[action]);
    else if (action === "next") this._turn(1);
    else if (action === "next_ungraded") this._nextUngraded();
    else if (action === "undo") this._undo();
    else if (action === "rest_x") this._rest();
    else if (action === "mosaic") this.app.go("grade");
    else if (action === "mark") return this._open();
    else if (action in looks) this._look(...looks[action]);
    else if (action === "reset") this._look("brightness", null);
    else return false;
    return true;
  }

  _grade(indexes, grade, move) {
    const { queue, app } = this;
    const first = this.first;
    queue.grade(indexes, grade, "mosaic");
    const text = `${grade.grade}${grade.subclass ? `, ${grade.subclass}` : ""}`;
    indexes.forEach((index) => this._label(index - first));
    const left = queue.items.length - queue.graded;
    app.announce(`${indexes.length > 1 ? `${indexes.length} images` : `Image ${indexes[0] + 1}`} graded ${text}. ${left} left.`);
    // The selection stays on the page: the next page is a step of its own.
    if (move && queue.index + 1 < Math.min(first + this.count, queue.items.length)) this._move(queue.index + 1, false);
    this._showPlace();
    if (!left) app.batchDone();
  }

  _rest() {
    const last = Math.min(this.first + this.count, this.queue.items.length);
    const indexes = [];
    for (let index = this.first; index < last; index++) if (!this.queue.items[index].grade) indexes.push(index);
    if (indexes.length) this._grade(indexes, { grade: "X", subclass: null }, false);
    else this.app.announce("Every image of this page has a grade.");
  }

  _undo() {
    const index = this.queue.undo();
    if (index === null) this.app.announce("There is nothing to undo.");
    else {
      this._move(index, false);
      this.tiles.forEach((_, k) => this._label(k));
      this.app.announce(`Undone: image ${index + 1}.`);
    }
  }

  _nextUngraded() {
    const index = this.queue.nextUngraded();
    if (index < 0) this.app.announce("The batch is graded.");
    else this._move(index);
  }

  _open() {
    if (!document.activeElement?.classList.contains("tile")) return false;
    this.app.go("grade");
    return true;
  }

  _turn(pages) {
    this._move(Math.min(this.first + pages * this.count, this.queue.items.length - 1));
  }

  _move(index, tell = true) {
    const { queue } = this;
    if (index < 0 || index >= queue.items.length) return;
    const before = this.first;
    const old = queue.index;
    queue.index = index;
    if (this.first !== before) this._page();
    else [old, index].forEach((one) => this._select(one - before));
    this._focus();
    this._showPlace();
    const { grade } = queue.items[index];
    if (tell) this.app.announce(`Image ${index + 1} of ${queue.items.length}${grade ? `, graded ${grade}` : ""}.`);
  }

  _resize(grid) {
    this.grid = grid;
    this._page();
    this._focus();
  }

  _look(name, step) {
    if (step === null) Object.assign(this.options, { brightness: 0, contrast: 0 });
    else this.options[name] = Math.min(Math.max(this.options[name] + step, -16), 16);
    this._load();
  }

  /** Return the columns of the grid as it is shown, fewer on a narrow screen. */
  _across() {
    return getComputedStyle(this.board).gridTemplateColumns.split(" ").length;
  }

  _page() {
    const items = this.queue.items.slice(this.first, this.first + this.count);
    const now = new Date().toISOString();
    this.board.className = `board across-${GRIDS[this.grid][0]}`;
    this.tiles = items.map((item, k) => {
      item.t_shown ??= now;
      return h("button", { type: "button", class: "tile", tabindex: "-1", onclick: () => this._move(this.first + k),
        ondblclick: () => this.app.go("grade") },
      h("canvas", { class: "loading", width: 1, height: 1 }), h("span", { class: "badge" }));
    });
    replace(this.board, ...this.tiles);
    items.forEach((_, k) => this._label(k));
    this._showPlace();
    this._load();
  }

  _load() {
    const page = this.tiles;
    const items = this.queue.items.slice(this.first, this.first + this.count);
    const places = new Map();
    items.forEach(({ object_id: id }, k) => places.set(id, [...(places.get(id) ?? []), k]));
    this.app.thumbnails.each([...places.keys()], SIZES[this.grid], (id, image) => {
      if (page !== this.tiles) return;
      for (const k of places.get(id)) paintThumbnail(page[k].querySelector("canvas"), image, this.options);
    });
    const next = this.queue.items.slice(this.first + this.count, this.first + 2 * this.count).map((item) => item.object_id);
    this.app.thumbnails.each([...new Set(next)], SIZES[this.grid], () => {});
  }

  _label(k) {
    const tile = this.tiles[k];
    const item = this.queue.items[this.first + k];
    if (!tile || !item) return;
    const unsaved = { unsaved: ", not saved yet", failed: ", not stored" }[item.status] ?? "";
    const badge = tile.querySelector(".badge");
    badge.className = `badge badge-${item.grade ?? "none"}`;
    badge.textContent = item.grade ?? "";
    tile.classList.toggle("unsaved", Boolean(unsaved));
    const grade = item.grade ? `graded ${item.grade} ${item.subclass ?? ""}` : "no grade";
    tile.setAttribute("aria-label", `${item.object_id}, ${grade}${unsaved}`);
    this._select(k);
  }

  _select(k) {
    const selected = this.first + k === this.queue.index;
    this.tiles[k]?.setAttribute("tabindex", selected ? "0" : "-1");
    this.tiles[k]?.classList.toggle("selected", selected);
  }

  _focus() {
    this.tiles[this.queue.index - this.first]?.focus({ preventScroll: false });
    pressGrade(this.buttons, this.queue.current);
  }

  _showPlace() {
    const { queue } = this;
    const pages = Math.ceil(queue.items.length / this.count);
    replace(this.place, h("strong", {}, `Page ${Math.floor(queue.index / this.count) + 1} of ${pages}`),
      ` \u00b7 ${queue.graded} of ${queue.items.length} graded`);
  }
}
