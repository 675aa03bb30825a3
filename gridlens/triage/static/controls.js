/** Buttons that grade, and controls of the stretch; each shows its key. */

import { button, h } from "./dom.js";
import { impostorAction, keyName } from "./keys.js";

/** Return the buttons of the grades and impostors; `run` takes the name of an action. */
export function gradeButtons(session, run) {
  const grades = ["A", "B", "C", "X", "U"].map((grade) =>
    button(grade, () => run(`grade_${grade.toLowerCase()}`), {
      class: `grade grade-${grade}`,
      title: session.grades?.[grade] ?? grade,
      "data-grade": grade,
      "aria-keyshortcuts": shortcuts(session, `grade_${grade.toLowerCase()}`),
    }));
  const impostors = session.subclasses.map((name, place) =>
    button("", () => run(impostorAction(place)), { class: "impostor", "data-subclass": name }));
  impostors.forEach((element, place) => {
    element.append(h("kbd", {}, firstKey(session, impostorAction(place))), ` ${session.subclasses[place]}`);
  });
  return h("div", { class: "grading" },
    h("div", { class: "grades", role: "group", "aria-label": "Grade" }, ...grades),
    h("div", { class: "impostors", role: "group", "aria-label": "Not a lens, because" }, ...impostors));
}

/** Show on the buttons which grade an item has. */
export function pressGrade(element, item) {
  for (const one of element.querySelectorAll("[data-grade]")) {
    one.setAttribute("aria-pressed", String(item?.grade === one.dataset.grade));
  }
  for (const one of element.querySelectorAll("[data-subclass]")) {
    one.setAttribute("aria-pressed", String(item?.grade === "X" && item.subclass === one.dataset.subclass));
  }
}

/** Return the first key of an action in words. */
export function firstKey(session, action) {
  const code = session.keys[action]?.[0];
  return code ? keyName(code) : "";
}

/** Return the meanings of the grades, short, for a place beside the image. */
export function criteria(session) {
  const rows = session.criteria.flatMap(({ grade, meaning }) => [
    h("dt", { class: `badge badge-${grade}` }, grade), h("dd", {}, meaning)]);
  return h("details", { class: "criteria", open: true }, h("summary", {}, "Criteria"), h("dl", {}, ...rows));
}

function shortcuts(session, action) {
  return (session.keys[action] ?? []).map(keyName).join(" ");
}
