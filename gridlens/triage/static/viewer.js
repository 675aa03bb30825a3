/** A canvas that shows one image: zoom, pan, the arc candidate, marks. */

import { paint, VIEWS } from "./images.js";
import { DEFAULTS } from "./stretch.js";

const LARGEST_ZOOM = 16;
const ZOOM_STEP = 1.25;
const PAN_STEP = 0.1; // of the visible side
const CLICK = 4; // px that a pointer may move in a click
const MARK_RADIUS = 9; // px on the screen

export class Viewer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {function(number[]): void} onMark called with [x, y] in pixels of the image, y upwards from its first row
   */
  constructor(canvas, onMark) {
    this.canvas = canvas;
    this.source = document.createElement("canvas");
    this.image = null;
    this.shown = VIEWS[0];
    this.options = { ...DEFAULTS, bands: [...DEFAULTS.bands] };
    this.marks = [];
    this.arc = null;
    this.onMark = onMark;
    this._resetPlace();
    this._listen();
  }

  /** Show an image, or nothing for null; the stretch stays, zoom and marks are those of the image. */
  show(image, marks = []) {
    if (image !== this.image) this._resetPlace();
    this.image = image;
    this.marks = marks;
    this.repaint();
  }

  /** Stretch the image again and draw it. */
  repaint() {
    if (this.image) paint(this.source, this.image, this.shown, this.options);
    this.draw();
  }

  setOption(name, value) {
    this.options[name] = value;
    this.repaint();
  }

  reset() {
    Object.assign(this.options, { brightness: 0, contrast: 0 });
    this._resetPlace();
    this.repaint();
  }

  zoomBy(factor, at = [0.5, 0.5]) {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), LARGEST_ZOOM);
    for (const axis of [0, 1]) {
      const fixed = this.centre[axis] + (at[axis] - 0.5) / this.zoom;
      this.centre[axis] = fixed - (at[axis] - 0.5) / zoom;
    }
    this.zoom = zoom;
    this._keepInside();
    this.draw();
  }

  zoomIn() {
    this.zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM_STEP);
  }

  /** Move the visible part by steps to the right and down. */
  pan(right, down) {
    this.centre[0] += (right * PAN_STEP) / this.zoom;
    this.centre[1] += (down * PAN_STEP) / this.zoom;
    this._keepInside();
    this.draw();
  }

  markCentre() {
    if (this.image) this.onMark(this._pixelAt([0.5, 0.5]));
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const [across, down] = this._fit();
    context.clearRect(0, 0, across, down);
    if (!this.image) return;
    const { width, height } = this.source;
    const [x, y] = this.centre.map((value) => value - 0.5 / this.zoom);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.source, x * width, y * height, width / this.zoom, height / this.zoom, 0, 0, across, down);
    const ratio = globalThis.devicePixelRatio || 1;
    context.lineWidth = 2 * ratio;
    if (this.arc) this._circle(context, [this.arc.x, this.arc.y], (this.arc.r * across * this.zoom) / width, "#ffd54a");
    this.marks.forEach((mark) => this._circle(context, mark, MARK_RADIUS * ratio, "#4ad8ff"));
  }

  _circle(context, pixel, radius, colour) {
    const [x, y] = this._placeOf(pixel);
    context.beginPath();
    context.arc(x * this.canvas.width, y * this.canvas.height, radius, 0, 2 * Math.PI);
    context.strokeStyle = "#000a";
    context.lineWidth += 2;
    context.stroke();
    context.lineWidth -= 2;
    context.strokeStyle = colour;
    context.stroke();
  }

  _resetPlace() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
  }

  _keepInside() {
    const margin = 0.5 / this.zoom;
    this.centre = this.centre.map((value) => Math.min(Math.max(value, margin), 1 - margin));
  }

  /** Give the canvas as many pixels as the screen has there, and return its sides. */
  _fit() {
    if (this.image) this.canvas.style.aspectRatio = `${this.source.width} / ${this.source.height}`;
    const ratio = globalThis.devicePixelRatio || 1;
    const sides = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.max(Math.round(side * ratio), 1));
    if (this.canvas.width !== sides[0]) this.canvas.width = sides[0];
    if (this.canvas.height !== sides[1]) this.canvas.height = sides[1];
    return sides;
  }

  /** Return the pixel of the image at a place of the canvas, both from 0 to 1; the first row is at the bottom. */
  _pixelAt(place) {
    const { width, height } = this.source;
    const [x, y] = place.map((value, axis) => this.centre[axis] + (value - 0.5) / this.zoom);
    return [x * width - 0.5, (1 - y) * height - 0.5].map((value) => Math.round(value * 10) / 10);
  }

  _placeOf([px, py]) {
    const { width, height } = this.source;
    const place = [(px + 0.5) / width, 1 - (py + 0.5) / height];
    return place.map((value, axis) => (value - this.centre[axis]) * this.zoom + 0.5);
  }

  _listen() {
    let from = null;
    let moved = false;
    this.canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      moved = false;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      if (!moved && Math.hypot(dx, dy) < CLICK) return;
      moved = true;
      const side = this.canvas.clientWidth * this.zoom;
      this.centre = [this.centre[0] - dx / side, this.centre[1] - dy / side];
      from = [event.clientX, event.clientY];
      this._keepInside();
      this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from && !moved && this.image) this.onMark(this._pixelAt(this._eventPlace(event)));
      from = null;
    });
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, this._eventPlace(event));
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  _eventPlace(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }
}
