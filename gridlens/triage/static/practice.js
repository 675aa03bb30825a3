/** The training round: gold objects with feedback. Nothing of it is stored. */

import { criteria, gradeButtons, pressGrade } from "./controls.js";
import { button, h, replace } from "./dom.js";
import { gradeOf } from "./keys.js";
import { Viewer } from "./viewer.js";

const KINDS = { injected: "a lens: an arc was added to this image", known_lens: "a known lens", known_nonlens: "known not to be a lens" };

/** Return whether a grade agrees with the truth: A, B and C are for a lens, X is against it, U is neither. */
export function isRight(grade, truth) {
  if (grade === "U") return null;
  return (grade !== "X") === Boolean(truth);
}

export class Practice {
  constructor(app) {
    this.app = app;
    this.items = [];
    this.index = 0;
    this.place = h("p", { class: "place" });
    this.canvas = h("canvas", { class: "viewer", tabindex: "0", role: "img", "aria-label": "Image" });
    this.viewer = new Viewer(this.canvas, () => {});
    this.feedback = h("div", { class: "feedback" });
    this.buttons = gradeButtons(app.session, (action) => app.act(action));
    this.element = h("div", { class: "single" },
      h("div", { class: "stage" }, this.place, this.canvas),
      h("aside", {}, h("h1", {}, "Training round"), this.buttons, this.feedback, criteria(app.session)));
  }

  async show() {
    this.items = [];
    try {
      this.items = (await this.app.get("/api/practice")).items;
      this.index = 0;
      if (this.items.length) this._render();
      else replace(this.feedback, "There are no objects with a known truth, so there is no training round.");
    } catch (error) {
      replace(this.feedback, error.message);
    }
  }

  act(action) {
    const grade = gradeOf(action, this.app.session.subclasses);
    const item = this.items[this.index];
    if (!item) return false;
    if (grade && !item.grade) this._grade(item, grade);
    else if ((action === "next" || action === "right") && item.grade) this._next();
    else return Boolean(grade);
    return true;
  }

  _grade(item, grade) {
    Object.assign(item, grade);
    const verdict = { true: "Right", false: "Wrong", null: "Unsure" }[isRight(item.grade, item.truth)];
    const text = `${verdict}: ${KINDS[item.kind] ?? item.kind}.`;
    replace(this.feedback, h("p", { class: `verdict verdict-${verdict.toLowerCase()}` }, text),
      button("Next", () => this._next(), { class: "primary" }));
    pressGrade(this.buttons, item);
    this.app.announce(text);
  }

  _next() {
    if (this.index + 1 < this.items.length) {
      this.index += 1;
      this._render();
      return;
    }
    const right = this.items.filter((item) => isRight(item.grade, item.truth)).length;
    const text = `${right} of ${this.items.length} right.`;
    replace(this.feedback, h("p", { class: "fact" }, text), h("div", { class: "row" },
      button("To the start", () => this.app.go("start"), { class: "primary" }), button("Once more", () => this.show())));
    this.app.announce(text);
  }

  async _render() {
    const item = this.items[this.index];
    replace(this.place, h("strong", {}, `${this.index + 1} of ${this.items.length}`));
    replace(this.feedback, h("p", { class: "quiet" }, "Your grade?"));
    pressGrade(this.buttons, item);
    this.canvas.focus({ preventScroll: true });
    try {
      const image = await this.app.images.get(item.object_id);
      if (item === this.items[this.index]) this.viewer.show(image);
    } catch (error) {
      replace(this.feedback, error.message, " ", button("Next", () => this._next()));
    }
    this.app.images.prefetch(this.items.slice(this.index + 1).map((one) => one.object_id));
  }
}
