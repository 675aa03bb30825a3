/** The panel of what is known about an object besides its pixels, shown after the grade or when it is revealed. */

import { h } from "./dom.js";

/** Return a number in few digits, a percentage where `percent` is true. */
export function number(value, percent = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return "unknown";
  if (typeof value !== "number") return String(value);
  if (!percent) return String(Number(value.toPrecision(3)));
  return value !== 0 && value < 0.001 ? `${(100 * value).toExponential(1)} %` : `${Number((100 * value).toPrecision(3))} %`;
}

/** Return "value (low to high)" of an estimate, or its note where it has no value. */
export function estimate({ value, low, high, note }, percent = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return note || "not known yet";
  const range = low === null || low === undefined ? "" : ` (${number(low, percent)} to ${number(high, percent)})`;
  return `${number(value, percent)}${range}`;
}

/** Return the elements of an answer of /api/reveal. */
export function panel(found) {
  const interval = { value: found.p_lens, low: found.p_low, high: found.p_high };
  return [
    h("h2", {}, "Score"),
    h("dl", { class: "facts" },
      ...pair("Probability of a lens", estimate(interval, true)),
      ...pair("Rank", number(found.rank)),
      ...pair("Reason in the queue", found.kind),
      ...pair("Truth", truthOf(found.truth))),
    found.terms?.length || found.note ? h("h2", {}, "Why this score") : null,
    found.because ? h("p", {}, found.because) : null,
    found.note ? h("p", { class: "quiet" }, found.note) : null,
    found.terms?.length ? h("ul", { class: "terms" }, ...found.terms.map(term)) : null,
    ...context(found.context),
    found.others?.length ? h("h2", {}, "Other graders") : null,
    found.others?.length ? h("p", {}, found.others.map(({ grader, grade }) => `${grader}: ${grade}`).join(", ")) : null,
    found.links?.length ? h("h2", { id: "links", tabindex: "-1" }, "Links") : null,
    found.links?.length ? h("ul", { class: "links" }, ...found.links.map(link).filter(Boolean)) : null,
  ];
}

function truthOf(truth) {
  return truth === null || truth === undefined ? null : `${truth ? "a lens" : "not a lens"} (gold object)`;
}

function pair(name, value) {
  if (value === null || value === undefined || value === "") return [];
  return [h("dt", {}, name), h("dd", {}, value)];
}

function term({ text, log_odds: change }) {
  const sign = change >= 0 ? "+" : "\u2212";
  return h("li", {}, h("span", { class: change >= 0 ? "up" : "down" }, `${sign}${Math.abs(change).toFixed(2)}`), ` ${text}`);
}

function context(columns) {
  const rows = Object.entries(columns ?? {}).filter(([, value]) => value !== null && value !== "");
  if (!rows.length) return [];
  const names = rows.flatMap(([name, value]) => pair(name.replace(/^context_/, "").replaceAll("_", " "), number(value)));
  return [h("h2", {}, "Catalogue context"), h("dl", { class: "facts" }, ...names)];
}

function link({ name, url }) {
  // A link may come from a table, so that it could hold a script.
  if (!/^https?:\/\//.test(url)) return null;
  return h("li", {}, h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, name));
}
