/** Keys and their actions. Codes are those of KeyboardEvent.code, so that a layout changes nothing. */

const NAMES = {
  ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193", BracketLeft: "[",
  BracketRight: "]", Semicolon: ";", Quote: "'", Backslash: "\\", Slash: "/", Equal: "=", Minus: "-",
  NumpadAdd: "numpad +", NumpadSubtract: "numpad -",
};

/** What each action does, in the order of the help. */
export const ACTIONS = {
  grade_a: "grade A: definite lens",
  grade_b: "grade B: probable lens",
  grade_c: "grade C: possible lens",
  grade_x: "grade X: not a lens",
  grade_u: "grade U: unsure",
  spiral: "X, spiral",
  ring: "X, ring galaxy",
  merger: "X, merger",
  halo: "X, star halo or spike",
  trail: "X, satellite trail",
  edge_on: "X, edge-on",
  artefact: "X, artefact",
  other: "X, other",
  rest_x: "mosaic: the rest of the page is X",
  undo: "undo",
  left: "previous image",
  right: "next image",
  up: "mosaic: row above",
  down: "mosaic: row below",
  next: "next image; mosaic: next page",
  next_ungraded: "next image without a grade",
  brightness_down: "darker",
  brightness_up: "brighter",
  contrast_down: "less contrast",
  contrast_up: "more contrast",
  reset: "reset brightness, contrast and zoom",
  zoom_in: "zoom in",
  zoom_out: "zoom out",
  pan_left: "move left",
  pan_right: "move right",
  pan_up: "move up",
  pan_down: "move down",
  view: "next view: colour, bands, BCG subtracted, blue map",
  mosaic: "mosaic or single image",
  overlay: "arc candidate on or off, after the grade",
  mark: "mark an arc at the centre; mosaic: open the image",
  note: "write a note (Escape ends it)",
  links: "go to the links, after the grade",
  reveal: "show the score before the grade (recorded)",
  help: "this list",
};

const GRADE_ACTIONS = { grade_a: "A", grade_b: "B", grade_c: "C", grade_x: "X", grade_u: "U" };
const IMPOSTORS = ["spiral", "ring", "merger", "halo", "trail", "edge_on", "artefact", "other"];

/**
 * Return a Map of key codes to actions.
 *
 * @param {Object<string, string[]>} keys codes of each action, with "Shift+" or "Alt+" in front where it is required
 * @throws {Error} an action is unknown, or two actions share a code
 */
export function keymap(keys) {
  const found = new Map();
  for (const [action, codes] of Object.entries(keys)) {
    if (!(action in ACTIONS)) throw new Error(`The action '${action}' of the key map is unknown.`);
    for (const code of codes) {
      if (found.has(code)) throw new Error(`The key ${code} has two actions: ${found.get(code)} and ${action}.`);
      found.set(code, action);
    }
  }
  return found;
}

/** Return the action of a keydown event, or null: none in text fields, and none with Ctrl or Meta. */
export function actionOf(event, map) {
  if (event.ctrlKey || event.metaKey || event.isComposing || isTextField(event.target)) return null;
  const modifiers = (event.shiftKey ? "Shift+" : "") + (event.altKey ? "Alt+" : "");
  return map.get(modifiers + event.code) ?? null;
}

/** Return whether an element takes text, or keys of its own. */
export function isTextField(element) {
  const tag = element?.tagName?.toUpperCase();
  if (tag === "TEXTAREA" || tag === "SELECT" || element?.isContentEditable) return true;
  return tag === "INPUT" && !["checkbox", "radio", "button"].includes(element.type);
}

/** Return {grade, subclass} of a grading action, null of any other. */
export function gradeOf(action, subclasses) {
  if (action in GRADE_ACTIONS) return { grade: GRADE_ACTIONS[action], subclass: null };
  const place = IMPOSTORS.indexOf(action);
  return place < 0 ? null : { grade: "X", subclass: subclasses[place] ?? null };
}

/** Return the action that grades X with the subclass of this place. */
export function impostorAction(place) {
  return IMPOSTORS[place];
}

/** Return a key code in words for people: "KeyA" is A, "Shift+Slash" is ?. */
export function keyName(code) {
  if (code === "Shift+Slash") return "?";
  const parts = code.split("+");
  const key = parts.pop();
  const named = NAMES[key] ?? key.replace(/^Key|^Digit/, "").replace(/^Numpad/, "numpad ");
  return [...parts, named].join("+");
}
