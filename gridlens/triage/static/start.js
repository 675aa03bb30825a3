/** The first screen: who grades, the batch, the criteria with examples, and the way to the training round. */

import { button, h, replace } from "./dom.js";
import { card } from "./statistics.js";
import { paintThumbnail } from "./thumbnails.js";

const EXAMPLE_SIZE = 128; // px
const LARGEST_BATCH = 1000;

const STRATEGIES = {
  mix: "mix: the best, and a few others",
  top: "top: the best alone",
  random: "random: for statistics",
};

export class Start {
  constructor(app) {
    this.app = app;
    this.batch = h("section", { class: "card" });
    this.element = h("div", { class: "start" }, h("h1", {}, `Hello, ${app.session.grader}`),
      h("div", { class: "cards" }, this.batch, this._people(), this._practice(), this._criteria()));
  }

  show() {
    const { app } = this;
    const { session, queue } = app;
    const strategy = h("select", { id: "strategy" },
      ...session.strategies.map((name) => h("option", { value: name }, STRATEGIES[name] ?? name)));
    strategy.value = session.strategy;
    const size = h("input", { id: "batch", type: "number", min: 1, max: LARGEST_BATCH, value: session.batch });
    const status = h("p", { class: "notice", role: "status" });
    const make = async () => {
      try {
        await app.newQueue({ strategy: strategy.value, batch: Number(size.value) });
        app.go("grade");
      } catch (error) {
        replace(status, error.message);
      }
    };
    const open = queue && queue.graded < queue.items.length;
    const begin = open
      ? [h("p", { class: "fact" }, `${queue.graded} of ${queue.items.length} graded`),
        ...app.notes.map((note) => h("p", { class: "quiet" }, note)),
        h("div", { class: "row" },
          button("Grade one by one", () => app.go("grade"), { class: "primary", id: "go" }),
          button("Grade in a mosaic", () => app.go("mosaic")))]
      : [queue ? h("p", {}, "Your last batch is graded.") : h("p", {}, "There is no open batch."),
        h("label", { for: "strategy" }, "Strategy ", strategy), h("label", { for: "batch" }, "Objects ", size), status,
        h("div", { class: "row" }, button("New batch", make, { class: "primary", id: "go" }))];
    replace(this.batch, h("h2", {}, "Batch"), ...begin);
    this.element.querySelector("#go").focus({ preventScroll: true });
  }

  act() {
    return false;
  }

  _people() {
    const { session } = this.app;
    const others = session.graders.filter((name) => name !== session.grader);
    return card("Session",
      h("p", {}, `${session.n_pool.toLocaleString("en")} objects in the table.`),
      h("p", {}, others.length ? `Other graders: ${others.join(", ")}. Each sees the grades of the others only after grading.`
        : "You are the only grader."),
      h("p", {}, session.blind
        ? "Blind: the score and the grades of others are shown after your grade."
        : "Not blind: the score is shown before the grade, and the grades are recorded as such."),
      session.model ? h("p", { class: "quiet" }, `Scores by the model ${session.model}`) : null,
      h("p", { class: "quiet" }, "Press ? for the keys."));
  }

  _practice() {
    return card("Training round",
      h("p", {}, "Grade ten objects with a known truth, and see after each whether you were right. These grades are not stored."),
      button("Begin", () => this.app.go("practice")));
  }

  _criteria() {
    const rows = this.app.session.criteria.map(({ grade, meaning, object_id: id }) => {
      const canvas = id === null ? null : h("canvas", { class: "example loading", width: 1, height: 1, role: "img", "aria-label": `Example of ${grade}` });
      if (canvas) this.app.thumbnails.each([id], EXAMPLE_SIZE, (_, image) => paintThumbnail(canvas, image));
      return h("li", {}, canvas, h("span", { class: `badge badge-${grade}` }, grade), ` ${meaning}`);
    });
    return h("section", { class: "card wide" }, h("h2", {}, "Criteria"), h("ul", { class: "criteria-list" }, ...rows),
      h("p", {}, `A grade X can name an impostor: ${this.app.session.subclasses.join(", ")}.`));
  }
}
