/** The screens of numbers: progress, agreement, history. */

import { barChart, lineChart } from "./charts.js";
import { button, h, replace } from "./dom.js";
import { estimate, number } from "./panel.js";

/** A screen that asks the server each time it is shown. */
class Report {
  constructor(app, title, path) {
    this.app = app;
    this.path = path;
    this.body = h("div", { class: "cards" });
    this.element = h("div", { class: "report" }, h("h1", {}, title), this.body);
  }

  async show() {
    try {
      replace(this.body, ...this.draw(await this.app.get(this.path)));
    } catch (error) {
      replace(this.body, h("p", { class: "notice" }, error.message));
    }
  }

  act() {
    return false;
  }
}

export class Progress extends Report {
  constructor(app) {
    super(app, "Progress", "/api/progress");
  }

  draw(found) {
    const nothing = () => h("p", { class: "quiet" }, "Nothing is graded yet.");
    const { discovery, per_100: rates, by_kind: kinds } = found;
    return [
      card("Inspected", fact(`${found.n_graded} of ${found.n_pool}`), h("p", {},
        `${found.run_of_non_lenses} non-lenses in a row since the last lens. This is a hint only: it is no reason to stop.`)),
      card("Lenses left in the pool", fact(estimate(found.left)),
        found.left.note && found.left.value !== null ? h("p", {}, found.left.note) : null),
      card("Discovery curve", discovery.length
        ? lineChart(discovery, { x: "objects inspected", y: "lenses found", title: "Lenses found against objects inspected" })
        : nothing()),
      card("Lenses per 100 inspected", rates.length
        ? barChart(rates, { x: "objects inspected", y: "lenses per 100", title: "Lenses per 100 objects inspected" })
        : nothing()),
      card("Yield by reason", kinds.length ? table(["reason", "inspected", "lenses", "fraction"], kinds.map((row) =>
        [row.kind, row.n, row.lenses, row.n ? number(row.lenses / row.n, true) : ""])) : nothing()),
    ];
  }
}

export class Agreement extends Report {
  constructor(app) {
    super(app, "Agreement", "/api/agreement");
  }

  draw(found) {
    const tables = {
      pairs: "Pairs of graders",
      repeats: "The same answer to a repeat",
      gold: "Grades of gold objects",
      completeness: "Injected lenses found, by arc S/N",
      seconds: "Seconds per image",
    };
    return [
      card("Quadratic kappa of all graders", fact(estimate(found.kappa)),
        h("p", { class: "quiet" }, "1 for equal grades, 0 for grades that agree no better than by chance.")),
      ...Object.entries(tables).filter(([name]) => found[name]?.length).map(([name, title]) => {
        const columns = Object.keys(found[name][0]);
        return card(title, table(columns.map((column) => column.replaceAll("_", " ")),
          found[name].map((row) => columns.map((column) => cell(row[column])))));
      }),
    ];
  }
}

export class History extends Report {
  constructor(app) {
    super(app, "History", "/api/history?limit=200");
  }

  draw(found) {
    const rows = found.map((row) => [
      new Date(row.t_graded).toLocaleString(), row.object_id, row.grade || "undone", row.subclass || "", row.note || "",
      row.current ? "yes" : "replaced"]);
    return [
      h("section", { class: "card wide" },
        h("p", {}, "Your grades, newest first. Nothing is deleted: a change or an undo adds a row. ",
          button("Read again", () => this.show())),
        rows.length ? table(["time", "object", "grade", "impostor", "note", "current"], rows)
          : h("p", { class: "quiet" }, "You have not graded anything yet.")),
    ];
  }
}

function cell(value) {
  if (value !== null && typeof value === "object") return estimate(value);
  return typeof value === "number" ? number(value) : String(value ?? "");
}

/** Return a box with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

function fact(text) {
  return h("p", { class: "fact" }, text);
}

function table(names, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((value) => h("td", {}, String(value))))))));
}
