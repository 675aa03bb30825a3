// Tests of the modules of the triage page that need no browser. test_node.py runs them.
// GRIDLENS_STATIC names the folder of the page: a copy that declares its files as modules.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.GRIDLENS_STATIC}/${name}`));
const { ACTIONS, actionOf, gradeOf, keymap, keyName } = await load("keys.js");
const { Outbox, mayRetry, newId, waitOf } = await load("outbox.js");
const { Grading } = await load("grading.js");
const { ticks } = await load("charts.js");
const { quantile } = await load("stretch.js");
const { estimate } = await load("panel.js");
const { isRight } = await load("practice.js");
const { toCSV } = await load("export.js");

const KEYS = JSON.parse(process.env.GRIDLENS_KEYS);
const SUBCLASSES = JSON.parse(process.env.GRIDLENS_SUBCLASSES);

const press = (code, more = {}) => ({ code, target: { tagName: "BODY" }, ...more });
const later = () => new Promise((resolve) => setTimeout(resolve, 5));

class Storage {
  constructor() {
    this.map = new Map();
  }
  get length() {
    return this.map.size;
  }
  key(k) {
    return [...this.map.keys()][k];
  }
  getItem(key) {
    return this.map.get(key) ?? null;
  }
  setItem(key, value) {
    this.map.set(key, value);
  }
  removeItem(key) {
    this.map.delete(key);
  }
}

function queueOf(n) {
  const items = Array.from({ length: n }, (_, position) =>
    ({ position, object_id: `cl${position}`, grade: null, subclass: null, confidence: null, note: "", grade_id: null }));
  return { queue_id: "q", strategy: "mix", items };
}

test("every action of the server has a unique key and a line in the help", () => {
  const map = keymap(KEYS);
  assert.equal(map.size, Object.values(KEYS).flat().length);
  assert.deepEqual(Object.keys(KEYS).sort(), Object.keys(ACTIONS).sort());
});

test("a key with two actions is refused", () => {
  assert.throws(() => keymap({ grade_a: ["KeyA"], undo: ["KeyA"] }), /KeyA has two actions: grade_a and undo/);
  assert.throws(() => keymap({ dance: ["KeyA"] }), /'dance' .* is unknown/);
});

test("digits, letters and impostors grade", () => {
  const map = keymap(KEYS);
  const graded = (code) => gradeOf(actionOf(press(code), map), SUBCLASSES);
  assert.deepEqual(["Digit1", "Digit2", "Digit3", "Digit4", "KeyU"].map((code) => graded(code).grade), ["A", "B", "C", "X", "U"]);
  assert.deepEqual(["KeyA", "KeyB", "KeyC", "KeyX"].map((code) => graded(code).grade), ["A", "B", "C", "X"]);
  const impostors = ["KeyS", "KeyR", "KeyM", "KeyH", "KeyT", "KeyE", "KeyF", "KeyO"].map(graded);
  assert.deepEqual(impostors.map(({ subclass }) => subclass), SUBCLASSES);
  assert.ok(impostors.every(({ grade }) => grade === "X"));
});

test("keys do nothing in text fields and with Ctrl", () => {
  const map = keymap(KEYS);
  for (const target of [{ tagName: "TEXTAREA" }, { tagName: "INPUT", type: "text" }, { tagName: "SELECT" }, { isContentEditable: true }]) {
    assert.equal(actionOf(press("KeyA", { target }), map), null);
  }
  assert.equal(actionOf(press("KeyA", { ctrlKey: true }), map), null);
  assert.equal(actionOf(press("KeyA", { target: { tagName: "INPUT", type: "checkbox" } }), map), "grade_a");
  assert.equal(actionOf(press("KeyX", { shiftKey: true }), map), "rest_x");
  assert.equal(actionOf(press("Slash", { shiftKey: true }), map), "help");
  assert.equal(keyName("Shift+Slash"), "?");
  assert.equal(keyName("Shift+ArrowRight"), "Shift+\u2192");
});

test("grades are sent in order, resent if the server does not answer, and stored until then", async () => {
  const storage = new Storage();
  const sent = [];
  let up = false;
  const send = async (path, body) => {
    if (!up) throw Object.assign(new Error("The server does not answer."), { status: 0 });
    sent.push(body.n);
  };
  const outbox = new Outbox("ann", send, storage);
  outbox.add("/api/grade", { n: 1 });
  outbox.add("/api/grade", { n: 2 });
  await later();
  assert.equal(outbox.waiting.length, 2);
  assert.equal(storage.length, 2);
  clearTimeout(outbox.timer);
  // The page is opened again.
  up = true;
  const again = new Outbox("ann", send, storage);
  assert.equal(new Outbox("bob", send, storage).waiting.length, 0);
  again.add("/api/grade", { n: 3 });
  await later();
  assert.deepEqual(sent, [1, 2, 3]);
  assert.equal(storage.length, 0);
});

test("a grade that the server refuses does not block the others", async () => {
  const sent = [];
  const outbox = new Outbox("ann", async (path, { n }) => {
    if (n === 1) throw Object.assign(new Error("The grade is invalid."), { status: 422 });
    sent.push(n);
  }, null);
  outbox.add("/api/grade", { n: 1 });
  outbox.add("/api/grade", { n: 2 });
  await later();
  assert.deepEqual(sent, [2]);
  assert.equal(outbox.failed[0].error, "The grade is invalid.");
});

test("the delay between retries grows up to a limit", () => {
  assert.ok(waitOf(0) < waitOf(1) && waitOf(30) === waitOf(31));
  assert.deepEqual([0, 401, 422, 409, 503].map(mayRetry), [true, true, false, false, true]);
  assert.match(newId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("undo reverts a grade, a change and the grades of the rest of a page", async () => {
  const sent = [];
  const outbox = new Outbox("ann", async (path, body) => sent.push([path, body]), null);
  const grading = new Grading(queueOf(4), outbox);
  grading.grade([0], { grade: "A" });
  grading.grade([0], { grade: "X", subclass: "spiral" });
  grading.grade([1, 2, 3], { grade: "X" });
  await later();
  assert.deepEqual(grading.items.map((item) => [item.grade, item.status]), [["X", "saved"], ["X", "saved"], ["X", "saved"], ["X", "saved"]]);
  assert.equal(grading.undo(), 1);
  assert.deepEqual(grading.items.map((item) => item.grade), ["X", null, null, null]);
  grading.undo();
  assert.deepEqual([grading.items[0].grade, grading.items[0].subclass], ["A", null]);
  grading.undo();
  assert.equal(grading.undo(), null);
  await later();
  assert.deepEqual(grading.items.map((item) => [item.grade, item.status]), Array(4).fill([null, ""]));
  const undone = sent.filter(([path]) => path === "/api/undo").map(([, body]) => body.grade_id);
  const stored = sent.filter(([path]) => path === "/api/grade").map(([, body]) => body.grade_id);
  assert.equal(new Set(stored).size, 6);
  assert.ok(undone.length === 4 && undone.every((id) => stored.includes(id)));
});

test("stored grades are shown as unsaved after a reload", () => {
  const storage = new Storage();
  const down = () => new Promise(() => {});
  const outbox = new Outbox("ann", down, storage);
  new Grading(queueOf(3), outbox).grade([1], { grade: "B" });
  const again = new Grading(queueOf(3), new Outbox("ann", down, storage));
  assert.deepEqual(again.items.map((item) => [item.grade, item.status]), [[null, ""], ["B", "unsaved"], [null, ""]]);
  assert.equal(again.index, 0);
});

test("the note on a graded object is sent immediately, on another object with its grade", async () => {
  const sent = [];
  const grading = new Grading(queueOf(2), new Outbox("ann", async (path, body) => sent.push(body), null));
  grading.annotate(0, { note: "an arc" });
  await later();
  assert.equal(sent.length, 0);
  grading.grade([0], { grade: "A" });
  grading.annotate(0, { note: "two arcs" });
  await later();
  assert.deepEqual(sent.map(({ grade, note }) => [grade, note]), [["A", "an arc"], ["A", "two arcs"]]);
});

test("the next object without a grade is sought after the current one, then from the start", () => {
  const grading = new Grading(queueOf(4), new Outbox("ann", async () => {}, null));
  grading.index = 2;
  assert.equal(grading.nextUngraded(), 3);
  grading.grade([3], { grade: "X" });
  assert.equal(grading.nextUngraded(), 0);
  assert.deepEqual(grading.upcoming(20), ["cl3"]);
});

test("axes have round numbers", () => {
  assert.deepEqual(ticks(37), [0, 10, 20, 30, 40]);
  assert.deepEqual(ticks(0), [0, 1]);
  assert.deepEqual(ticks(0.3), [0, 0.1, 0.2, 0.3]);
});

test("quantiles are interpolated like numpy's", () => {
  assert.equal(quantile(Float64Array.of(5, 1, 4, 2), 0.5), 3);
  assert.equal(quantile(Float64Array.of(3, 1, 2), 0.4), 1.8);
  assert.equal(quantile(Float64Array.of(7), 0.4), 7);
});

test("an estimate without a value shows its note", () => {
  assert.equal(estimate({ value: null, low: null, high: null, note: "not resolvable" }), "not resolvable");
  assert.equal(estimate({ value: 0.5, low: 0.25, high: 0.75 }, true), "50 % (25 % to 75 %)");
});

test("the training round distinguishes right, wrong and unsure grades", () => {
  assert.deepEqual([isRight("A", 1), isRight("X", 1), isRight("C", 0), isRight("X", 0), isRight("U", 1)], [true, false, false, true, null]);
});

test("a CSV file quotes commas, quotes and line breaks", () => {
  const row = { object_id: "a,b", grade: "X", subclass: "edge-on", note: 'a "thin"\nline', grader: "ann", t_graded: "t", position: 0 };
  const [first, ...rest] = toCSV([row]).split("\r\n");
  assert.equal(first, "object_id,grade,subclass,confidence,note,grader,t_graded,t_shown,view,queue_id,position");
  assert.deepEqual(rest, ['"a,b",X,edge-on,,"a ""thin""\nline",ann,t,,,,0', ""]);
});
