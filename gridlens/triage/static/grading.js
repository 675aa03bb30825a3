/** The queue of one grader: its items, the place in it, grades and their undo. No page, so that it can be tested alone. */

import { newId } from "./outbox.js";

export class Grading {
  /**
   * @param {Object} queue answer of /api/queue
   * @param {Outbox} outbox
   */
  constructor(queue, outbox) {
    this.id = queue.queue_id;
    this.strategy = queue.strategy;
    this.items = queue.items.map((item) => ({ ...item, marks: item.marks ?? [], status: item.grade ? "saved" : "" }));
    this.outbox = outbox;
    this.undoable = [];
    this.index = Math.max(this.nextUngraded(-1), 0);
    outbox.waiting.forEach((operation) => this._show(operation));
    outbox.listen((event, operation) => this._settle(event, operation));
  }

  get current() {
    return this.items[this.index];
  }

  get graded() {
    return this.items.filter((item) => item.grade).length;
  }

  /** Return the place of the first item without a grade after `from`, from the start if there is none, or -1. */
  nextUngraded(from = this.index) {
    const after = this.items.findIndex((item, k) => k > from && !item.grade);
    return after >= 0 ? after : this.items.findIndex((item) => !item.grade);
  }

  /** Return object ids that are likely to be shown next, the next one first. */
  upcoming(count) {
    return this.items.slice(this.index + 1, this.index + 1 + count).map((item) => item.object_id);
  }

  /** Grade items; one call is one step of the undo. */
  grade(indexes, { grade, subclass = null }, view = "") {
    const step = indexes.map((index) => {
      const item = this.items[index];
      const before = { ...item };
      Object.assign(item, { grade, subclass, view });
      this._post(item);
      return { index, before };
    });
    if (step.length) this.undoable.push(step);
  }

  /** Change the note, marks or confidence of an item; a graded item is stored again with them. */
  annotate(index, change) {
    const item = this.items[index];
    Object.assign(item, change);
    if (item.grade) this._post(item);
  }

  /** Take back the last step and return the place of its first item, or null where there is nothing to undo. */
  undo() {
    const step = this.undoable.pop();
    if (!step) return null;
    for (const { index, before } of [...step].reverse()) {
      const item = this.items[index];
      const gradeId = item.grade_id;
      Object.assign(item, { grade: before.grade, subclass: before.subclass, grade_id: before.grade_id });
      if (before.grade) this._post(item);
      else {
        Object.assign(item, { status: "unsaved", undone: gradeId });
        this.outbox.add("/api/undo", { grade_id: gradeId });
      }
    }
    return step[0].index;
  }

  _post(item) {
    item.grade_id = newId();
    item.status = "unsaved";
    this.outbox.add("/api/grade", {
      grade_id: item.grade_id,
      object_id: item.object_id,
      grade: item.grade,
      subclass: item.subclass ?? null,
      confidence: item.confidence ?? null,
      note: item.note ?? "",
      marks: item.marks.length ? item.marks : null,
      view: item.view ?? "",
      blind: !item.revealed,
      t_shown: item.t_shown ?? null,
      queue_id: this.id,
      position: item.position,
    });
  }

  /** Show a grade that was kept from an earlier visit. */
  _show({ path, body }) {
    const item = this._find(path, body);
    if (!item) return;
    if (path === "/api/grade") {
      const { grade, subclass, confidence, note, grade_id: gradeId, marks } = body;
      Object.assign(item, { grade, subclass, confidence, note, grade_id: gradeId, marks: marks ?? [] });
    } else Object.assign(item, { grade: null, subclass: null, grade_id: null, undone: body.grade_id });
    item.status = "unsaved";
  }

  _find(path, body) {
    if (path === "/api/undo") return this.items.find((item) => item.grade_id === body.grade_id);
    return this.items.find((item) => body.queue_id === this.id && item.position === body.position);
  }

  _settle(event, operation) {
    if (event !== "saved" && event !== "failed") return;
    const { path, body } = operation;
    const undo = path === "/api/undo";
    const item = this.items.find((one) =>
      undo ? one.undone === body.grade_id : one.grade_id === body.grade_id);
    // A later change of the same item has a status of its own.
    if (!item) return;
    item.status = event === "failed" ? "failed" : item.grade ? "saved" : "";
    item.error = operation.error;
  }
}
