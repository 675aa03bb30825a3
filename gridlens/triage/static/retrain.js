/** The screen that trains a new model on the grades, shows both lists side by side, and asks which one to use. */

import { button, h, replace } from "./dom.js";
import { card } from "./statistics.js";
import { paintThumbnail } from "./thumbnails.js";

const EVERY = 1000; // ms
const SIZE = 96; // px

const STATES = {
  idle: "No training has been started.",
  running: "Training is running. You can continue grading.",
  done: "The new model is ready.",
  failed: "The training failed. The current model remains in use.",
  accepted: "The new model is in use. The next batch is based on it.",
  kept: "The current model remains in use.",
};

export class Retrain {
  constructor(app) {
    this.app = app;
    this.timer = null;
    this.drawn = "";
    this.state = h("p", { class: "fact", role: "status" });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the training" });
    this.log = h("pre", { class: "log", tabindex: "0", "aria-label": "Log of the training" });
    this.result = h("div", { class: "cards" });
    this.start = button("Train on the grades", () => this._post("/api/retrain", {}), { class: "primary" });
    this.trouble = h("p", { class: "notice", role: "alert" });
    this.element = h("div", { class: "report" }, h("h1", {}, "Retrain"),
      h("p", {}, "A new model is trained on the old training set and the consensus of the grades. Its scores are used only if you accept it."),
      h("div", { class: "row" }, this.start), this.trouble, this.state, this.bar, this.result, this.log);
  }

  show() {
    this.start.disabled = !this.app.session.can_retrain;
    if (!this.app.session.can_retrain) {
      replace(this.trouble, "This session cannot train: name the training set when you start gridlens triage.");
    }
    return this._poll();
  }

  act() {
    return false;
  }

  async _post(path, body) {
    replace(this.trouble);
    try {
      await this.app.post(path, body);
      if (path.endsWith("decide")) await this.app.readSession();
    } catch (error) {
      replace(this.trouble, error.message);
    }
    await this._poll();
  }

  async _poll() {
    clearTimeout(this.timer);
    let found;
    try {
      found = await this.app.get("/api/retrain");
    } catch (error) {
      replace(this.trouble, error.message);
      this.timer = setTimeout(() => this._next(), EVERY);
      return;
    }
    this._draw(found);
    if (found.state === "running") this.timer = setTimeout(() => this._next(), EVERY);
  }

  _next() {
    if (this.element.isConnected) this._poll();
  }

  _draw(found) {
    const running = found.state === "running";
    replace(this.state, STATES[found.state] ?? found.state, running && found.stage ? ` ${found.stage}` : "");
    this.bar.hidden = !running;
    if (found.fraction === null || found.fraction === undefined) this.bar.removeAttribute("value");
    else this.bar.value = found.fraction;
    this.log.hidden = !found.log?.length;
    const text = (found.log ?? []).join("\n");
    if (this.log.textContent !== text) {
      this.log.textContent = text;
      this.log.scrollTop = this.log.scrollHeight;
    }
    this.start.disabled = running || !this.app.session.can_retrain;
    const key = JSON.stringify([found.state, found.accepted, found.before, found.after]);
    if (key === this.drawn) return;
    this.drawn = key;
    replace(this.result, ...(["done", "accepted", "kept"].includes(found.state) ? this._result(found) : []));
  }

  _result(found) {
    const decide = (accept) => () => this._post("/api/retrain/decide", { accept });
    return [
      h("section", { class: "card wide" }, h("h2", {}, "Decision"),
        h("p", {}, found.verdict || "There are too few graded objects to compare the two models."),
        found.state === "done"
          ? h("div", { class: "row" },
            // A model that is worse cannot be accepted.
            found.accepted ? button("Accept the new model", decide(true), { class: "primary", id: "accept" }) : null,
            button("Keep the current model", decide(false), { id: "keep" }))
          : null),
      this._lists(found.before ?? [], found.after ?? []),
      found.card ? card("Model card", h("pre", { class: "model-card", tabindex: "0" }, found.card)) : null,
    ];
  }

  _lists(before, after) {
    const canvases = new Map();
    const list = (ids, other) => h("ol", { class: "ranking" }, ...ids.map((id) => {
      const canvas = h("canvas", { class: "loading", width: 1, height: 1, role: "img", "aria-label": id });
      canvases.set(id, [...(canvases.get(id) ?? []), canvas]);
      return h("li", { class: other.includes(id) ? "" : "fresh" }, canvas, h("span", {}, id));
    }));
    const both = h("section", { class: "card wide" }, h("h2", {}, "Best of the pool"),
      h("p", { class: "quiet" }, "Framed objects are in only one of the lists."),
      h("div", { class: "beside" }, h("div", {}, h("h3", {}, "Before"), list(before, after)),
        h("div", {}, h("h3", {}, "After"), list(after, before))));
    this.app.thumbnails.each([...canvases.keys()], SIZE, (id, image) => {
      canvases.get(id).forEach((canvas) => paintThumbnail(canvas, image));
    });
    return both;
  }
}
