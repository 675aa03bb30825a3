/** Small images by their ids, fetched in a few requests and kept. */

import { paint, VIEWS } from "./images.js";
import { DEFAULTS } from "./stretch.js";

const IN_ONE_REQUEST = 25;
const KEPT = 400;

export class Thumbnails {
  /** @param {function(string[], number): Promise} fetchMany see getThumbnails */
  constructor(fetchMany) {
    this.fetchMany = fetchMany;
    this.known = new Map();
  }

  /** Call `use(id, image)` for each id, at once where the image is known. */
  async each(ids, size, use) {
    const missing = ids.filter((id) => {
      const image = this.known.get(`${size} ${id}`);
      if (image) use(id, image);
      return !image;
    });
    const parts = [];
    for (let k = 0; k < missing.length; k += IN_ONE_REQUEST) parts.push(missing.slice(k, k + IN_ONE_REQUEST));
    await Promise.all(parts.map((part) => this._part(part, size, use)));
  }

  async _part(ids, size, use) {
    let images;
    try {
      images = await this.fetchMany(ids, size);
    } catch (error) {
      for (const id of ids) use(id, { header: { id, error: error.message } });
      return;
    }
    images.forEach((image, k) => {
      if (!image.header.error) this.known.set(`${size} ${ids[k]}`, image);
      use(ids[k], image);
    });
    for (const key of this.known.keys()) if (this.known.size > KEPT) this.known.delete(key);
  }
}

/** Draw a small image in colour on a canvas, or write why there is none. */
export function paintThumbnail(canvas, image, options = DEFAULTS) {
  canvas.classList.remove("loading");
  canvas.title = image.header.error ?? "";
  if (image.header.error) canvas.classList.add("broken");
  else paint(canvas, image, VIEWS[0], options);
}
