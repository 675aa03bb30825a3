/** Short ways to make and find elements. Text is always set as text, never as HTML. */

/** Return an element with properties, attributes (names with a hyphen, `class`, `for`, `role`) and children. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** Return an SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Replace the children of an element. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !["class", "role", "list"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  return replace(element, children);
}

/** Return a button that runs `action` on a click. */
export function button(label, action, props = {}) {
  return h("button", { type: "button", onclick: action, ...props }, label);
}
