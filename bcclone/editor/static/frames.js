"use strict";

// Fetches the pictures of rows when they are shown, a few at once and the newest request first; the last ones are kept.

const AT_ONCE = 3, KEPT = 24;

// Returns the object at the beginning of an answer, and a function that returns as many of the bytes after it.
async function readBinary(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const data = await response.arrayBuffer();
  let at = 4 + new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, at - 4)));
  return { head, take: (bytes) => data.slice(at, at += bytes) };
}

class Frames {
  // show: is called with a row and its pictures, in which null is in place of those that cannot be decoded.
  constructor(url, show) {
    Object.assign(this, { url, show, kept: new Map(), loading: new Set(), wanted: [] });
  }

  // rows: the one to show, then those that are likely next.
  want(rows) {
    this.wanted = rows;
    if (this.kept.has(rows[0])) this.show(rows[0], this.kept.get(rows[0]));
    const missing = rows.filter((row) => !this.kept.has(row) && !this.loading.has(row));
    for (const row of missing.slice(0, Math.max(AT_ONCE - this.loading.size, 0))) this.fetch(row);
  }

  async fetch(row) {
    this.loading.add(row);
    const frame = await readBinary(`${this.url}/${row}`).catch(() => null);
    const decode = (bytes) => createImageBitmap(new Blob([frame.take(bytes)])).catch(() => null);
    const pictures = frame ? await Promise.all(frame.head.pictures.map(decode)) : [];
    this.loading.delete(row);
    if (!frame) return this.show(row, pictures); // it is not tried again until it is wanted again
    this.kept.set(row, pictures);
    const [oldest] = this.kept.keys();
    if (this.kept.size > KEPT) {
      for (const picture of this.kept.get(oldest)) picture?.close();
      this.kept.delete(oldest);
    }
    if (!this.kept.has(this.wanted[0])) this.show(row, pictures); // late, but the newest there is
    this.want(this.wanted);
  }
}
