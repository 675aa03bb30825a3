/** Requests to the server. An error has `status`, 0 where no answer came, and the server's sentence as its message. */

import { decode } from "./stretch.js";

const TIMEOUT = 20000; // ms

async function request(path, options = {}, timeout = TIMEOUT) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(timeout), ...options });
  } catch {
    throw failure(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  let sentence = `The server answers ${answer.status}.`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch {
    // An answer that is not JSON has no sentence.
  }
  throw failure(answer.status, sentence);
}

function failure(status, message) {
  return Object.assign(new Error(message), { status });
}

export async function getJSON(path) {
  return (await request(path)).json();
}

export async function postJSON(path, body, timeout = TIMEOUT) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return (await request(path, options, timeout)).json();
}

/** Return one image; `views` is "raw", or "" for all views. */
export async function getImage(id, views = "raw") {
  const answer = await request(`/api/image/${encodeURIComponent(id)}${views ? `?views=${views}` : ""}`);
  return decode(await answer.arrayBuffer());
}

/** Return small images in the order of their ids; one that cannot be read has `header.error`. */
export async function getThumbnails(ids, size) {
  const list = ids.map(encodeURIComponent).join(",");
  const buffer = await (await request(`/api/thumbnails?ids=${list}&size=${size}`)).arrayBuffer();
  const images = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const image = decode(buffer, at);
    images.push(image);
    at = image.end;
  }
  return images;
}
