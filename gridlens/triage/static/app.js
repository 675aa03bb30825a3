/** The page: screens, keys, the state of the grades, and the sentences that a screen reader hears. */

import { getImage, getJSON, getThumbnails, postJSON } from "./api.js";
import { Disagreement } from "./disagreement.js";
import { button, h, replace } from "./dom.js";
import { Grading } from "./grading.js";
import { ImageCache } from "./images.js";
import { ACTIONS, actionOf, keymap, keyName } from "./keys.js";
import { Mosaic } from "./mosaic.js";
import { Outbox } from "./outbox.js";
import { Practice } from "./practice.js";
import { Retrain } from "./retrain.js";
import { Single } from "./single.js";
import { Start } from "./start.js";
import { Agreement, History, Progress } from "./statistics.js";
import { Thumbnails } from "./thumbnails.js";

const SCREENS = {
  start: ["Start", Start],
  grade: ["Grade", Single],
  mosaic: ["Mosaic", Mosaic],
  practice: ["Training round", Practice],
  disagreement: ["Disagreement", Disagreement],
  progress: ["Progress", Progress],
  agreement: ["Agreement", Agreement],
  history: ["History", History],
  retrain: ["Retrain", Retrain],
};
const AHEAD = 20;

const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    this.images = new ImageCache(getImage);
    this.thumbnails = new Thumbnails(getThumbnails);
    this.screens = {};
    this.get = getJSON;
    this.post = postJSON;
    this.queue = null;
    this.notes = [];
    this.shown = null;
  }

  async begin() {
    try {
      await this.readSession();
      this.outbox = new Outbox(this.session.grader, postJSON, storage());
      this.outbox.listen(() => this._showSaved());
      this._take(await getJSON("/api/queue"));
      this.keys = keymap(this.session.keys);
    } catch (error) {
      this._trouble(error.status === 401
        ? "This page has no valid link. Open the link that gridlens triage printed."
        : error.message);
      return;
    }
    replace(byId("who"), this.session.grader);
    this._makeNav();
    this._makeHelp();
    this._listen();
    this.outbox.flush();
    this._showSaved();
    this._open();
  }

  async readSession() {
    this.session = await getJSON("/api/session");
  }

  /** Make the next queue of the grader. */
  async newQueue(choice) {
    this._take(await postJSON("/api/queue", choice));
  }

  _take(queue) {
    this.notes = queue?.notes ?? [];
    this.queue = queue?.items?.length ? new Grading(queue, this.outbox) : null;
    if (!this.queue) return;
    this.images.prefetch([this.queue.current.object_id, ...this.queue.upcoming(AHEAD)]);
  }

  /** Show a screen at once, so that the next key is already one of it. */
  go(name) {
    location.hash = name;
    this._open();
  }

  /** Run an action on the current screen. */
  act(action) {
    return this.screen?.act(action) ?? false;
  }

  /** Say a sentence to people who do not see the page. */
  announce(text) {
    byId("live").textContent = text;
  }

  /** Lead on when every item of the batch has a grade. */
  batchDone() {
    this._trouble("The batch is graded.", button("Next batch", () => {
      this._trouble("");
      this.go("start");
    }));
  }

  _open() {
    const wanted = location.hash.slice(1);
    const needsQueue = wanted === "grade" || wanted === "mosaic";
    const name = wanted in SCREENS && (this.queue || !needsQueue) ? wanted : "start";
    this.shown = location.hash;
    this.screens[name] ??= new SCREENS[name][1](this);
    this.screen = this.screens[name];
    document.title = `${SCREENS[name][0]} \u00b7 gridlens triage`;
    for (const link of byId("nav").children) {
      if (link.hash === `#${name}`) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "center" });
      } else link.removeAttribute("aria-current");
    }
    if (!needsQueue) this._trouble("");
    replace(byId("screen"), this.screen.element);
    this.screen.show();
  }

  _listen() {
    addEventListener("hashchange", () => {
      if (location.hash !== this.shown) this._open();
    });
    addEventListener("keydown", (event) => this._key(event));
    addEventListener("online", () => this.outbox.flush());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.outbox.flush();
    });
    addEventListener("beforeunload", (event) => {
      if (this.outbox.waiting.length) event.preventDefault();
    });
    byId("help-button").addEventListener("click", () => this._toggleHelp());
  }

  _key(event) {
    const action = actionOf(event, this.keys);
    if (!action) return;
    if (action === "help") this._toggleHelp();
    else if (byId("help").open) return;
    // Space and Enter press the button that has the focus; on an image they are keys of the page.
    else if (isPressed(event)) return;
    else if (!this.act(action)) return;
    event.preventDefault();
  }

  _toggleHelp() {
    const help = byId("help");
    if (help.open) help.close();
    else help.showModal();
  }

  _makeNav() {
    replace(byId("nav"), ...Object.entries(SCREENS).filter(([name]) => name !== "practice").map(([name, [title]]) =>
      h("a", { href: `#${name}` }, title)));
  }

  _makeHelp() {
    const rows = Object.entries(ACTIONS).filter(([action]) => this.session.keys[action]?.length).map(([action, text]) =>
      h("tr", {}, h("th", { scope: "row" }, ...this.session.keys[action].flatMap((code) => [h("kbd", {}, keyName(code)), " "])),
        h("td", {}, text)));
    replace(byId("help"), h("h2", { id: "help-title" }, "Keys"),
      h("p", { class: "quiet" }, "Keys are positions on the keyboard, named as on a US keyboard. They are disabled while you write a note."),
      h("div", { class: "scroll" }, h("table", {}, h("tbody", {}, ...rows))), button("Close", () => byId("help").close()));
  }

  _showSaved() {
    const { waiting, failed, problem } = this.outbox;
    const saved = byId("saved");
    saved.className = failed.length ? "state-failed" : waiting.length ? "state-unsaved" : "state-saved";
    const kept = waiting.length ? `${waiting.length} not saved yet` : "all saved";
    replace(saved, failed.length ? `${failed.length} not stored, ${kept}` : kept);
    if (failed.length) this._trouble(`A grade was not stored: ${failed.at(-1).error}`);
    else if (problem && waiting.length) {
      this.hadProblem = true;
      this._trouble(`${problem} ${waiting.length} grades are kept in this browser and sent again. If the server was ` +
        `stopped, start it with --port ${location.port}.`);
    } else if (this.hadProblem) {
      this.hadProblem = false;
      this._trouble("");
      this.announce("All grades are saved.");
    }
  }

  _trouble(...content) {
    const trouble = byId("trouble");
    replace(trouble, ...content);
    trouble.hidden = !content[0];
  }
}

function isPressed(event) {
  const keys = ["Space", "Enter"];
  const element = event.target;
  return keys.includes(event.code) && !element.classList?.contains("tile")
    && element.closest?.("button, a, summary, input, label") !== null && element.closest !== undefined;
}

function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

new App().begin();
