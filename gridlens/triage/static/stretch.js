/**
 * The stretch of images: pure functions on arrays.
 *
 * The colours are those of `gridlens.reports.lupton_rgb`, to one grey level: Lupton et al. 2004, PASP 116, 133, in units
 * of the noise in r, with i, r, g as red, green, blue and colours that fade to grey where the light is faint.
 */

export const MISSING = 65535;
const STEPS = 65534; // of an array of 16 bits; the last value is MISSING
const SCALES = [0.8, 1.0, 1.5]; // of i, r, g
const APART = 4; // px
const GREY = 3.0; // S/N of smoothed light at which half of a colour is left
const MAD_TO_SIGMA = 1.4826;
const MINIMUM = -1;
const STRETCH = 6;
const Q = 8;
const KERNEL = gaussianKernel(4);

/** The way an image is shown. */
export const DEFAULTS = Object.freeze({ stretch: "lupton", brightness: 0, contrast: 0, bands: [true, true, true] });

/**
 * Split the answer of the server into its header and arrays.
 *
 * @param {ArrayBuffer} buffer
 * @param {number} start first byte
 * @returns {{header: Object, data: Uint16Array|null, end: number}} data has the shape (views, bands, height, width)
 */
export function decode(buffer, start = 0) {
  const length = new DataView(buffer).getUint32(start, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, start + 4, length)));
  const begin = start + 4 + length;
  if (header.error) return { header, data: null, end: begin };
  const size = header.views.length * 3 * header.height * header.width;
  // A copy, because an array of 16 bits cannot begin at an odd byte.
  const bytes = buffer.slice(begin, begin + 2 * size);
  return { header, data: uint16(bytes), end: begin + 2 * size };
}

function uint16(bytes) {
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  if (little) return new Uint16Array(bytes);
  const view = new DataView(bytes);
  return Uint16Array.from({ length: bytes.byteLength / 2 }, (_, k) => view.getUint16(2 * k, true));
}

/** Return the flux of one view as three arrays of 64 bits, g, r, i; NaN where it is missing. */
export function flux(image, view) {
  const { header, data } = image;
  const place = header.views.indexOf(view);
  const size = header.height * header.width;
  return [0, 1, 2].map((band) => {
    const low = header.low[place][band];
    const step = (header.high[place][band] - low) / STEPS;
    const values = new Float64Array(size);
    const first = (3 * place + band) * size;
    for (let k = 0; k < size; k++) {
      const level = data[first + k];
      values[k] = level === MISSING ? NaN : low + step * level;
    }
    return values;
  });
}

/** Return the noise of each band from the differences of horizontal neighbours; 0 where there are none. */
export function bandNoise(bands, width) {
  const size = bands[0].length;
  const fine = finite(bands);
  return bands.map((values) => {
    const steps = new Float64Array(size);
    let n = 0;
    for (let k = 0; k + 1 < size; k++) {
      if ((k + 1) % width && fine[k] && fine[k + 1]) steps[n++] = Math.abs(values[k + 1] - values[k]);
    }
    return n ? (MAD_TO_SIGMA * quantile(steps.subarray(0, n), 0.5)) / Math.SQRT2 : 0;
  });
}

/** Return the light of i, r, g above the sky in units of the noise in r, with grey noise, and the mask of whole pixels. */
export function colourLight(bands, width) {
  const noise = bandNoise(bands, width)[1] || 1;
  const order = [2, 1, 0];
  const light = order.map((band, k) => aboveSky(bands[band], noise / SCALES[k]));
  return { light: withGreyNoise(light, width), fine: finite(bands) };
}

/** Return the light of one band above the sky in units of its noise, and the mask of its pixels. */
export function bandLight(bands, band, width) {
  const noise = bandNoise(bands, width)[band] || 1;
  return { light: [aboveSky(bands[band], noise)], fine: finite([bands[band]]) };
}

/**
 * Return the light as bytes for a canvas, red, green, blue, opaque; the first row of the light is the last one there.
 *
 * @param {{light: Float64Array[], fine: Uint8Array}} shown three channels, or one for grey
 * @param {number} width
 * @param {Object} options see DEFAULTS; `bands` are g, r, i
 */
export function toPixels({ light, fine }, width, options = DEFAULTS) {
  const gain = 2 ** (options.brightness / 4);
  const q = Q * 2 ** (options.contrast / 4);
  const soften = q / STRETCH;
  const slope = 0.1 / Math.asinh(0.1 * q);
  const size = fine.length;
  const height = size / width;
  const out = new Uint8ClampedArray(4 * size);
  const on = light.length === 1 ? [true] : [options.bands[2], options.bands[1], options.bands[0]];
  const rgb = [0, 0, 0];
  for (let k = 0; k < size; k++) {
    const at = 4 * ((height - 1 - Math.floor(k / width)) * width + (k % width));
    out[at + 3] = 255;
    if (!fine[k]) continue;
    for (let c = 0; c < 3; c++) rgb[c] = light[c % light.length][k] * gain - MINIMUM;
    if (options.stretch === "lupton") {
      const total = (rgb[0] + rgb[1] + rgb[2]) / 3;
      const factor = total > 0 ? (Math.asinh(total * soften) * slope) / total : 0;
      for (let c = 0; c < 3; c++) rgb[c] = Math.max(rgb[c] * factor, 0);
      const most = Math.max(...rgb);
      if (most > 1) for (let c = 0; c < 3; c++) rgb[c] /= most;
    } else {
      for (let c = 0; c < 3; c++) rgb[c] = Math.min(Math.max(Math.asinh(rgb[c] * soften) * slope, 0), 1);
    }
    for (let c = 0; c < 3; c++) out[at + c] = on[c % on.length] ? Math.floor(rgb[c] * 255) : 0;
  }
  return out;
}

/** Return the quantile of numbers that are not NaN, with linear interpolation; the array is reordered. */
export function quantile(values, fraction) {
  const place = fraction * (values.length - 1);
  const below = Math.floor(place);
  const lower = select(values, below);
  if (place === below) return lower;
  let upper = Infinity;
  for (let k = below + 1; k < values.length; k++) upper = Math.min(upper, values[k]);
  return lower + (place - below) * (upper - lower);
}

/** Return the k-th smallest value; smaller ones are before it afterwards, larger ones behind it. */
function select(values, k) {
  let left = 0;
  let right = values.length - 1;
  while (left < right) {
    const pivot = values[(left + right) >> 1];
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        [values[i], values[j]] = [values[j], values[i]];
        i++;
        j--;
      }
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else break;
  }
  return values[k];
}

function finite(bands) {
  return Uint8Array.from(bands[0], (_, k) => (bands.every((values) => Number.isFinite(values[k])) ? 1 : 0));
}

function aboveSky(values, unit) {
  const known = values.filter(Number.isFinite);
  const sky = known.length ? quantile(known, 0.4) : 0;
  return values.map((value) => (Number.isFinite(value) ? (value - sky) / unit : 0));
}

function withGreyNoise(light, width) {
  const smooth = light.map((channel) => smoothed(channel, width));
  const size = light[0].length;
  const level = new Float64Array(size);
  for (let k = 0; k < size; k++) level[k] = (smooth[0][k] + smooth[1][k] + smooth[2][k]) / 3;
  const steps = new Float64Array(size);
  let n = 0;
  for (let k = 0; k + APART < size; k++) {
    if ((k % width) + APART < width) steps[n++] = Math.abs(level[k + APART] - level[k]);
  }
  const noise = n ? (MAD_TO_SIGMA * quantile(steps.subarray(0, n), 0.5)) / Math.SQRT2 : 0;
  const out = light.map(() => new Float64Array(size));
  for (let k = 0; k < size; k++) {
    const mean = (light[0][k] + light[1][k] + light[2][k]) / 3;
    const snr = Math.max(level[k] / (noise || 1), 0);
    const kept = snr ** 2 / (snr ** 2 + GREY ** 2);
    for (let c = 0; c < 3; c++) out[c][k] = mean + kept * (smooth[c][k] - level[k]);
  }
  return out;
}

/** Smooth by a Gaussian with a sigma of 1 px; values are reflected at the edges. */
function smoothed(values, width) {
  const height = values.length / width;
  const across = convolved(values, width, height, 1, width);
  return convolved(across, height, width, width, 1);
}

function convolved(values, length, lines, step, stride) {
  const radius = (KERNEL.length - 1) / 2;
  const out = new Float64Array(values.length);
  const places = Int32Array.from({ length: length + 2 * radius }, (_, k) => reflected(k - radius, length) * step);
  for (let line = 0; line < lines; line++) {
    for (let k = 0; k < length; k++) {
      let sum = 0;
      for (let j = 0; j < KERNEL.length; j++) sum += KERNEL[j] * values[line * stride + places[k + j]];
      out[line * stride + k * step] = sum;
    }
  }
  return out;
}

function reflected(k, length) {
  const place = ((k % (2 * length)) + 2 * length) % (2 * length);
  return place < length ? place : 2 * length - 1 - place;
}

function gaussianKernel(radius) {
  const weights = Array.from({ length: 2 * radius + 1 }, (_, k) => Math.exp(-((k - radius) ** 2) / 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
