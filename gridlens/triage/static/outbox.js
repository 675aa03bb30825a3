/**
 * Grades on their way to the server.
 *
 * Each is kept in localStorage until the server says that it is stored, so that a closed laptop or a stopped server loses
 * none. Grades carry an id, so that one that is sent twice is stored once.
 */

const AGAIN = new Set([401, 408, 423, 425, 429]);
const FIRST_WAIT = 400; // ms
const LONGEST_WAIT = 4000; // ms

/** Return a random UUID, without crypto.randomUUID, which pages from other hosts lack. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Return whether a request that failed in this way may succeed later. */
export function mayRetry(status) {
  return status === 0 || status >= 500 || AGAIN.has(status);
}

/** Return the wait in ms before the next try. */
export function waitOf(tries) {
  return Math.min(FIRST_WAIT * 2 ** tries, LONGEST_WAIT);
}

export class Outbox {
  /**
   * @param {string} owner name of the grader
   * @param {function(string, Object): Promise} send posts JSON; rejects with an error that has `status` (0: no answer)
   * @param {Storage|Map} storage localStorage, or null
   */
  constructor(owner, send, storage) {
    this.prefix = `gridlens.outbox.${owner}.`;
    this.send = send;
    this.storage = storage;
    this.waiting = [];
    this.failed = [];
    this.problem = "";
    this.listeners = [];
    this.tries = 0;
    this.count = 0;
    this.timer = null;
    this.busy = false;
    this._load();
  }

  /** Call `listener(event, operation)` on "waiting", "saved" and "failed", and on "problem" without an operation. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** Keep an operation and send it as soon as those before it are sent. */
  add(path, body) {
    this.count += 1;
    const order = `${Date.now()}`.padStart(15, "0") + `${this.count}`.padStart(6, "0");
    const operation = { key: `${this.prefix}${order}.${newId()}`, path, body };
    this.waiting.push(operation);
    try {
      this.storage?.setItem(operation.key, JSON.stringify({ path, body }));
    } catch {
      this.problem = "This browser cannot keep grades over a reload; leave the page open until they are saved.";
    }
    this._tell("waiting", operation);
    this.flush();
    return operation;
  }

  /** Try to send at once, for example when the network is back. */
  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    if (!this.busy) this._work();
  }

  async _work() {
    this.busy = true;
    while (this.waiting.length) {
      const operation = this.waiting[0];
      try {
        await this.send(operation.path, operation.body);
        this._finish("saved", operation);
      } catch (error) {
        if (mayRetry(error.status ?? 0)) {
          this.problem = error.message;
          this._tell("problem");
          this.timer = setTimeout(() => this.flush(), waitOf(this.tries));
          this.tries += 1;
          break;
        }
        operation.error = error.message;
        this.failed.push(operation);
        this._finish("failed", operation);
      }
    }
    this.busy = false;
  }

  _finish(event, operation) {
    this.waiting.shift();
    this.storage?.removeItem(operation.key);
    this.tries = 0;
    this.problem = "";
    this._tell(event, operation);
  }

  _load() {
    if (!this.storage) return;
    const keys = Array.from({ length: this.storage.length }, (_, k) => this.storage.key(k));
    for (const key of keys.filter((name) => name.startsWith(this.prefix)).sort()) {
      this.waiting.push({ key, ...JSON.parse(this.storage.getItem(key)) });
    }
  }

  _tell(event, operation) {
    for (const listener of this.listeners) listener(event, operation);
  }
}
