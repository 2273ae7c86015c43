"use strict";

// Fetches the pictures of rows when they are shown, the newest request first; the last ones are
// kept.

const FETCHED_AT_ONCE = 3;
const ROWS_KEPT = 24;

// Returns the object at the beginning of an answer, and a function that returns as many of the
// bytes after it.
async function readBinary(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const data = await response.arrayBuffer();
  const headLength = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, headLength)));
  let position = 4 + headLength;
  const take = (bytes) => {
    const begin = position;
    position += bytes;
    return data.slice(begin, position);
  };
  return { head, take };
}

class Frames {
  // show: is called with a row and its pictures; null is in place of one that cannot be decoded.
  constructor(url, show) {
    this.url = url;
    this.show = show;
    this.kept = new Map(); // row -> its pictures, the oldest first
    this.loading = new Set(); // rows
    this.wanted = []; // rows, the one to show first
  }

  // rows: the one to show, then those that are likely next.
  want(rows) {
    this.wanted = rows;
    if (this.kept.has(rows[0])) this.show(rows[0], this.kept.get(rows[0]));
    const missing = rows.filter((row) => !this.kept.has(row) && !this.loading.has(row));
    const free = Math.max(FETCHED_AT_ONCE - this.loading.size, 0);
    for (const row of missing.slice(0, free)) this.fetch(row);
  }

  async fetch(row) {
    this.loading.add(row);
    const frame = await readBinary(`${this.url}/${row}`).catch(() => null);
    const pictures = frame ? await this.decode(frame) : [];
    this.loading.delete(row);
    if (!frame) {
      this.show(row, pictures);
      return; // it is not tried again until it is wanted again
    }
    this.keep(row, pictures);
    if (!this.kept.has(this.wanted[0])) this.show(row, pictures); // late, but the newest there is
    this.want(this.wanted);
  }

  decode(frame) {
    const decoded = frame.head.pictures.map(
      (bytes) => createImageBitmap(new Blob([frame.take(bytes)])).catch(() => null),
    );
    return Promise.all(decoded);
  }

  keep(row, pictures) {
    this.kept.set(row, pictures);
    if (this.kept.size <= ROWS_KEPT) return;
    const [oldest] = this.kept.keys();
    for (const picture of this.kept.get(oldest)) picture?.close();
    this.kept.delete(oldest);
  }
}
