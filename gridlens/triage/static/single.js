/** The screen of one image. */

import { criteria, gradeButtons, pressGrade } from "./controls.js";
import { button, h, replace } from "./dom.js";
import { VIEWS } from "./images.js";
import { gradeOf } from "./keys.js";
import { panel } from "./panel.js";
import { Viewer } from "./viewer.js";

const AHEAD = 20;
const EXPLAINING = 180000; // ms; the first explanation loads the model, and may compile it
const STAYS = 250; // ms
const CONFIDENCE = ["not stated", "low", "medium", "high"];

export class Single {
  constructor(app) {
    this.app = app;
    this.known = new Map();
    this.asked = new Set();
    this.overlay = true;
    this.place = h("p", { class: "place" });
    this.canvas = h("canvas", { class: "viewer", tabindex: "0", role: "img", "aria-label": "Image" });
    this.notice = h("p", { class: "notice", role: "status" });
    this.viewer = new Viewer(this.canvas, (mark) => this._mark(mark));
    this.buttons = gradeButtons(app.session, (action) => app.act(action));
    this.info = h("section", { class: "info", "aria-label": "After the grade" });
    this.note = h("textarea", { id: "note", rows: 2, maxLength: 2000, onchange: () => this._annotate({ note: this.note.value }) });
    this.note.addEventListener("keydown", (event) => {
      if (event.code === "Escape") this.canvas.focus();
    });
    this.confidence = h("select", { id: "confidence", onchange: () => this._setConfidence() },
      ...CONFIDENCE.map((text, value) => h("option", { value: value || "" }, text)));
    this.advance = h("input", { type: "checkbox", id: "advance", checked: true });
    this.element = h("div", { class: "single" },
      h("div", { class: "stage" }, this.place, this.canvas, this.notice, this._stretchControls()),
      h("aside", {}, this.buttons, this._extras(), this.info, criteria(app.session)));
    app.outbox.listen((event) => this._saved(event));
  }

  get queue() {
    return this.app.queue;
  }

  show() {
    this.render();
    this.canvas.focus({ preventScroll: true });
  }

  /** Run an action and return whether it was one of this screen. */
  act(action) {
    const grade = gradeOf(action, this.app.session.subclasses);
    const moves = { left: -1, right: 1, next: 1 };
    if (grade) this._grade(grade);
    else if (action in moves) this.goTo(this.queue.index + moves[action]);
    else if (action === "next_ungraded") this._nextUngraded();
    else if (action === "undo") this._undo();
    else if (action === "mosaic") this.app.go("mosaic");
    else if (action === "note") this.note.focus();
    else if (action === "links") this.info.querySelector("a")?.focus();
    else if (action === "reveal") this._reveal();
    else if (action === "overlay") this._toggleOverlay();
    else if (action === "view") this._nextView();
    else if (action === "mark") return this._markCentre();
    else return this._look(action);
    return true;
  }

  goTo(index) {
    const { queue, app } = this;
    if (index < 0 || index >= queue.items.length) {
      app.announce(index < 0 ? "This is the first image." : "This is the last image of the batch.");
      return;
    }
    queue.index = index;
    this.render();
  }

  /** Draw the current item: from memory where its image has come. */
  render() {
    const { queue, app } = this;
    const item = queue.current;
    const image = app.images.peek(item.object_id, this.viewer.shown.view);
    item.t_shown ??= new Date().toISOString();
    this.note.value = item.note ?? "";
    this.confidence.value = item.confidence ?? "";
    this._showPlace();
    this._showKnown();
    if (image) this._draw(image);
    else this._load(item);
    app.images.prefetch(queue.upcoming(AHEAD));
  }

  _draw(image) {
    const item = this.queue.current;
    this.canvas.classList.remove("loading");
    this.canvas.dataset.object = item.object_id;
    this.canvas.setAttribute("aria-label", `Image of ${item.object_id}`);
    replace(this.notice, image.header.note ?? "");
    this.viewer.show(image, item.marks);
  }

  async _load(item) {
    this.canvas.classList.add("loading");
    try {
      const image = await this.app.images.get(item.object_id, this.viewer.shown.view);
      if (item === this.queue.current) this._draw(image);
    } catch (error) {
      if (item !== this.queue.current) return;
      this.viewer.show(null);
      this.canvas.dataset.object = "";
      replace(this.notice, error.message, " ", button("Try again", () => this._load(item)));
    }
  }

  _grade(grade) {
    const { queue, app } = this;
    const { index } = queue;
    queue.grade([index], grade, `single ${this.viewer.shown.name}`);
    const text = `${grade.grade}${grade.subclass ? `, ${grade.subclass}` : ""}`;
    const next = this.advance.checked && index + 1 < queue.items.length;
    if (next) queue.index = index + 1;
    this.render();
    const left = queue.items.length - queue.graded;
    const rest = left ? `${left} left` : "The batch is graded.";
    app.announce(`Graded ${text}. ${next ? `Image ${queue.index + 1} of ${queue.items.length}. ` : ""}${rest}`);
    if (!left) app.batchDone();
  }

  _undo() {
    const index = this.queue.undo();
    if (index === null) this.app.announce("There is nothing to undo.");
    else {
      this.queue.index = index;
      this.render();
      this.app.announce(`Undone: image ${index + 1}.`);
    }
  }

  _nextUngraded() {
    const index = this.queue.nextUngraded();
    if (index < 0) this.app.announce("The batch is graded.");
    else this.goTo(index);
  }

  _annotate(change) {
    this.queue.annotate(this.queue.index, change);
    this.viewer.marks = this.queue.current.marks;
    this.viewer.draw();
    this._showPlace();
  }

  _setConfidence() {
    this._annotate({ confidence: this.confidence.value ? Number(this.confidence.value) : null });
    this.canvas.focus();
  }

  _mark(mark) {
    this._annotate({ marks: [...this.queue.current.marks, mark] });
    this.app.announce(`Arc marked at ${mark[0]}, ${mark[1]}.`);
  }

  _markCentre() {
    // Enter on a button presses it.
    if (document.activeElement !== this.canvas) return false;
    this.viewer.markCentre();
    return true;
  }

  _toggleOverlay() {
    this.overlay = !this.overlay;
    this._showArc();
    this.app.announce(this.overlay ? "Arc candidate shown." : "Arc candidate hidden.");
  }

  _nextView() {
    this._setView(VIEWS[(VIEWS.indexOf(this.viewer.shown) + 1) % VIEWS.length]);
  }

  _setView(shown) {
    this.viewer.shown = shown;
    this.viewSelect.value = shown.name;
    this.app.announce(shown.name);
    this.render();
  }

  _look(action) {
    const { viewer } = this;
    const steps = {
      brightness_down: ["brightness", -1], brightness_up: ["brightness", 1],
      contrast_down: ["contrast", -1], contrast_up: ["contrast", 1],
    };
    const pans = { pan_left: [-1, 0], pan_right: [1, 0], pan_up: [0, -1], pan_down: [0, 1] };
    if (action in steps) {
      const [name, step] = steps[action];
      viewer.setOption(name, Math.min(Math.max(viewer.options[name] + step, -16), 16));
    } else if (action in pans) viewer.pan(...pans[action]);
    else if (action === "zoom_in") viewer.zoomIn();
    else if (action === "zoom_out") viewer.zoomOut();
    else if (action === "reset") viewer.reset();
    else return false;
    return true;
  }

  async _reveal() {
    const item = this.queue.current;
    if (item.grade || item.revealed) return;
    await this._ask(item);
    if (item.revealed) this.app.announce("Score shown before the grade; this is recorded.");
  }

  /** Show the panel of a graded or revealed item; the server is asked once the grade is stored there. */
  _showKnown() {
    const item = this.queue.current;
    const open = item.grade || item.revealed || !this.app.session.blind;
    const found = open ? this.known.get(item.object_id) : null;
    this._showArc();
    if (found) {
      replace(this.info, ...panel(found));
      return;
    }
    const waiting = item.status === "unsaved" ? "The score is shown when the grade is saved." : "Reading the score \u2026";
    const sentence = open ? waiting : "The score and the grades of others are shown after the grade.";
    replace(this.info, h("p", { class: "quiet" }, sentence));
    if (open && (!item.grade || item.status === "saved")) this._ask(item);
  }

  /** Ask for the score of an item that stays on the screen: explaining each one that is passed would take long. */
  async _ask(item) {
    if (this.asked.has(item.object_id)) return;
    await new Promise((resolve) => setTimeout(resolve, STAYS));
    if (item !== this.queue.current || this.asked.has(item.object_id)) return;
    this.asked.add(item.object_id);
    const before = !item.grade;
    try {
      const found = await this.app.post("/api/reveal", { object_id: item.object_id, before_grade: before }, EXPLAINING);
      if (before) item.revealed = true;
      this.known.set(item.object_id, found);
      if (item === this.queue.current) this._showKnown();
    } catch (error) {
      if (item === this.queue.current) replace(this.info, h("p", { class: "quiet" }, error.message));
    }
    this.asked.delete(item.object_id);
  }

  _showArc() {
    const item = this.queue.current;
    const found = item.grade || item.revealed ? this.known.get(item.object_id) : null;
    this.viewer.arc = (this.overlay && found?.arc) || null;
    this.viewer.draw();
  }

  _showPlace() {
    const { queue } = this;
    const item = queue.current;
    const states = { unsaved: "not saved yet", failed: `not stored: ${item.error}`, saved: "saved", "": "" };
    replace(this.place,
      h("strong", {}, `${queue.index + 1} of ${queue.items.length}`), ` \u00b7 ${item.object_id} `,
      item.grade ? h("span", { class: `badge badge-${item.grade}` }, item.grade) : null,
      item.subclass ? ` ${item.subclass} ` : " ",
      h("span", { class: `state state-${item.status}` }, states[item.status]));
    pressGrade(this.buttons, item);
  }

  _saved(event) {
    if (!this.element.isConnected || event === "waiting" || event === "problem") return;
    this._showPlace();
    const item = this.queue.current;
    if (item.grade && !this.known.has(item.object_id)) this._showKnown();
  }

  _stretchControls() {
    const { options } = this.viewer;
    const redraw = (name, value) => this.viewer.setOption(name, value);
    this.viewSelect = h("select", { id: "view", onchange: () => {
      this._setView(VIEWS.find((one) => one.name === this.viewSelect.value));
      this.canvas.focus();
    } }, ...VIEWS.map(({ name }) => h("option", { value: name }, name)));
    const stretch = h("select", { id: "stretch", onchange: () => {
      redraw("stretch", stretch.value);
      this.canvas.focus();
    } }, h("option", { value: "lupton" }, "Lupton"), h("option", { value: "asinh" }, "asinh"));
    const bands = ["g", "r", "i"].map((name, band) =>
      h("label", {}, h("input", { type: "checkbox", checked: true, onchange: (event) => {
        redraw("bands", options.bands.map((on, k) => (k === band ? event.target.checked : on)));
      } }), ` ${name}`));
    return h("div", { class: "stretch", role: "group", "aria-label": "Stretch" },
      h("label", { for: "view" }, "View ", this.viewSelect), h("label", { for: "stretch" }, "Stretch ", stretch),
      h("span", { class: "bands", role: "group", "aria-label": "Bands" }, ...bands),
      button("Reset", () => this.app.act("reset")));
  }

  _extras() {
    return h("div", { class: "extras" },
      h("label", { for: "note" }, "Note"), this.note,
      h("label", { for: "confidence" }, "Confidence ", this.confidence),
      h("label", {}, this.advance, " go to the next image after a grade"),
      h("div", { class: "row" },
        button("Undo", () => this.app.act("undo")),
        button("Clear marks", () => this._annotate({ marks: [] })),
        button("Reveal", () => this.app.act("reveal"))));
  }
}
