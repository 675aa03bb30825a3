/** Objects on which the graders disagree, after one's own grade; a new grade here is not blind, and recorded so. */

import { button, h, replace } from "./dom.js";
import { gradeOf } from "./keys.js";
import { newId } from "./outbox.js";
import { number } from "./panel.js";
import { paintThumbnail } from "./thumbnails.js";

const SIZE = 128; // px

export class Disagreement {
  constructor(app) {
    this.app = app;
    this.items = [];
    this.index = 0;
    this.list = h("ul", { class: "disputes" });
    this.lead = h("p", {}, "");
    this.element = h("div", { class: "report" }, h("h1", {}, "Disagreement"), this.lead, this.list);
  }

  async show() {
    try {
      this.items = (await this.app.get("/api/disagreement")).items;
    } catch (error) {
      this.items = [];
      replace(this.lead, error.message);
      replace(this.list);
      return;
    }
    replace(this.lead, this.items.length
      ? "Select an object with the arrows and grade it again. Grades that you give here are recorded as not blind."
      : "The graders agree on every object that you have graded.");
    this.index = 0;
    this.rows = this.items.map((item, k) => this._row(item, k));
    replace(this.list, ...this.rows);
    const ids = this.items.map((item) => item.object_id);
    this.app.thumbnails.each(ids, SIZE, (id, image) => paintThumbnail(this.rows[ids.indexOf(id)].querySelector("canvas"), image));
    this._select(0, false);
  }

  act(action) {
    const grade = gradeOf(action, this.app.session.subclasses);
    const moves = { left: -1, up: -1, right: 1, down: 1, next: 1 };
    if (!this.items.length) return false;
    if (grade) this._grade(grade);
    else if (action in moves) this._select(this.index + moves[action]);
    else return false;
    return true;
  }

  _row(item, k) {
    return h("li", { class: "dispute", tabindex: "-1", onclick: () => this._select(k) },
      h("canvas", { class: "example loading", width: 1, height: 1, role: "img", "aria-label": item.object_id }),
      h("div", {}, h("strong", {}, item.object_id),
        h("p", { class: "opinions" }, ...item.grades.flatMap(({ grader, grade }) =>
          [`${grader} `, h("span", { class: `badge badge-${grade}` }, grade), " "])),
        h("p", { class: "quiet" }, `Consensus that it is a lens: ${number(item.q, true)}`),
        h("div", { class: "row" }, ...["A", "B", "C", "X", "U"].map((grade) => button(grade, (event) => {
          event.stopPropagation();
          this._select(k, false);
          this._grade({ grade, subclass: null });
        }, { "aria-label": `Grade ${item.object_id} again as ${grade}` }))),
        h("p", { class: "again", role: "status" })));
  }

  _select(k, focus = true) {
    if (k < 0 || k >= this.items.length) return;
    this.rows.forEach((row, place) => row.classList.toggle("selected", place === k));
    this.rows.forEach((row, place) => row.setAttribute("tabindex", place === k ? "0" : "-1"));
    this.index = k;
    if (focus) this.rows[k].focus();
  }

  _grade({ grade, subclass }) {
    const { object_id: id } = this.items[this.index];
    this.app.outbox.add("/api/grade", {
      grade_id: newId(), object_id: id, grade, subclass, confidence: null, note: "", marks: null, view: "disagreement",
      blind: false, t_shown: null, queue_id: null, position: null,
    });
    const text = `You graded it again: ${grade}${subclass ? `, ${subclass}` : ""}.`;
    replace(this.rows[this.index].querySelector(".again"), text);
    this.app.announce(text);
  }
}
