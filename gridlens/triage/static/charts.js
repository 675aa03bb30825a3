/** Small charts as SVG. */

import { svg } from "./dom.js";

const WIDTH = 480;
const HEIGHT = 220;
const MARGIN = { left: 48, right: 12, top: 12, bottom: 40 };

/** Return round numbers from 0 to at least `most`, about `count` of them. */
export function ticks(most, count = 5) {
  if (!(most > 0)) return [0, 1];
  const raw = most / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, k) => Number((k * step).toPrecision(12)));
}

/** Return a line through [x, y] points, with axes that begin at 0. */
export function lineChart(points, { x, y, title }) {
  const frame = axes(points, { x, y, title });
  const path = points.map(([px, py], k) => `${k ? "L" : "M"}${frame.across(px)} ${frame.up(py)}`).join("");
  frame.element.append(svg("path", { d: path, class: "line" }));
  points.forEach(([px, py]) => frame.element.append(svg("circle", { cx: frame.across(px), cy: frame.up(py), r: 2.5, class: "dot" })));
  return frame.element;
}

/** Return bars at [x, y]; each reaches from the x before it to its own. */
export function barChart(points, { x, y, title }) {
  const frame = axes(points, { x, y, title });
  points.forEach(([px, py], k) => {
    const left = frame.across(k ? points[k - 1][0] : 0);
    const width = Math.max(frame.across(px) - left - 2, 1);
    const top = frame.up(py);
    frame.element.append(svg("rect", { x: left + 1, y: top, width, height: frame.up(0) - top, class: "bar" }));
  });
  return frame.element;
}

function axes(points, { x, y, title }) {
  const xs = ticks(Math.max(...points.map((point) => point[0]), 1));
  const ys = ticks(Math.max(...points.map((point) => point[1]), 0));
  const across = (value) => MARGIN.left + (value / xs.at(-1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const up = (value) => HEIGHT - MARGIN.bottom - (value / ys.at(-1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const element = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, class: "chart" });
  for (const value of ys) {
    element.append(svg("line", { x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: up(value), y2: up(value), class: "gridline" }));
    element.append(svg("text", { x: MARGIN.left - 6, y: up(value) + 4, "text-anchor": "end" }, String(value)));
  }
  for (const value of xs) {
    element.append(svg("text", { x: across(value), y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" }, String(value)));
  }
  element.append(svg("text", { x: (WIDTH + MARGIN.left) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x));
  const middle = (HEIGHT - MARGIN.bottom) / 2;
  element.append(svg("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, y));
  return { element, across, up };
}
