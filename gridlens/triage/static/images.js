/** Images in memory: fetched ahead of the grader, dropped when they have not been used for long. */

import { bandLight, colourLight, flux, toPixels } from "./stretch.js";

const KEPT = 80;
const AT_ONCE = 4;

/** What the key V steps through: a view of the server, and the band where only one is shown. */
export const VIEWS = [
  { name: "colour", view: "raw", band: null },
  { name: "band g", view: "raw", band: 0 },
  { name: "band r", view: "raw", band: 1 },
  { name: "band i", view: "raw", band: 2 },
  { name: "BCG subtracted", view: "subtracted", band: null },
  { name: "blue map", view: "blue", band: 0 },
];

export class ImageCache {
  /** @param {function(string, string): Promise} fetchImage see getImage */
  constructor(fetchImage) {
    this.fetchImage = fetchImage;
    this.images = new Map();
    this.wanted = [];
    this.running = 0;
  }

  /** Return the promise of an image with at least the view named. */
  get(id, view = "raw") {
    const key = `${view === "raw" ? "raw" : "all"} ${id}`;
    const known = this.images.get(key);
    if (known) {
      this.images.delete(key);
      this.images.set(key, known);
      return known.promise;
    }
    const entry = { image: null };
    entry.promise = this.fetchImage(id, view === "raw" ? "raw" : "").then(
      (image) => (entry.image = image),
      (error) => {
        this.images.delete(key);
        throw error;
      },
    );
    this.images.set(key, entry);
    for (const old of this.images.keys()) if (this.images.size > KEPT) this.images.delete(old);
    return entry.promise;
  }

  /** Return an image that has come already, or null. */
  peek(id, view = "raw") {
    const key = `${view === "raw" ? "raw" : "all"} ${id}`;
    return this.images.get(key)?.image ?? null;
  }

  /** Fetch images one after another, a few at once; earlier wishes that have not begun are dropped. */
  prefetch(ids) {
    this.wanted = ids.filter((id) => !this.images.has(`raw ${id}`));
    while (this.running < AT_ONCE && this.wanted.length) this._next();
  }

  async _next() {
    const id = this.wanted.shift();
    if (id === undefined) return;
    this.running += 1;
    // A failure is told when the image is shown.
    await this.get(id).catch(() => null);
    this.running -= 1;
    this._next();
  }
}

/** Draw an image on a canvas at its own size; the light is kept with the image, so that a new stretch is quick. */
export function paint(canvas, image, shown, options) {
  const { width, height } = image.header;
  image.light ??= new Map();
  if (!image.light.has(shown.name)) {
    const bands = flux(image, shown.view);
    const light = shown.band === null ? colourLight(bands, width) : bandLight(bands, shown.band, width);
    image.light.set(shown.name, light);
  }
  canvas.width = width;
  canvas.height = height;
  const pixels = toPixels(image.light.get(shown.name), width, options);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}
