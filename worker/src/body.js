// @ts-check
/**
 * Bodies: the caller's and the upstream's, read whole within a bound, and edited.
 *
 * Decides nothing. What an edit is comes from core (`flat.rs`).
 */

import { NOTHING } from './memory.js';

/**
 * A message's body, or null if it is larger than `limit`. One of a declared length is read at once: to name `body`
 * would make a stream object of it.
 * @param {Request | Response} message @param {number} limit @returns {Promise<Uint8Array | null>}
 */
export async function readAll(message, limit) {
  const declared = message.headers.get('content-length');
  if (declared !== null) return Number(declared) > limit ? null : new Uint8Array(await message.arrayBuffer());
  if (!message.body) return NOTHING;
  const reader = message.body.getReader();
  const pieces = [];
  for (let total = 0; ; ) {
    const { value, done } = await reader.read();
    if (done) return joined(pieces, total);
    total += value.byteLength;
    if (total > limit) {
      reader.cancel().catch(() => {});
      return null;
    }
    pieces.push(value);
  }
}

/** Pieces as one. @param {Uint8Array[]} pieces @param {number} total their bytes */
export function joined(pieces, total) {
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/** A caller's body that is read whole. `upload.js` has the one that is not. */
export class Body {
  /** @param {Request} request @param {number} limit */
  constructor(request, limit) {
    this.request = request;
    this.limit = limit;
    /** What core is given of it, and how long it is as a whole. */
    this.bytes = NOTHING;
    this.length = 0;
  }

  async more() {
    const bytes = await readAll(this.request, this.limit);
    this.bytes = bytes ?? NOTHING;
    this.length = bytes?.byteLength ?? Math.max(this.limit + 1, Number(this.request.headers.get('content-length')));
  }
}

/** @param {Uint8Array} body @param {import('./memory.js').Plan['edits']} edits */
export function edited(body, edits) {
  if (edits.length === 0) return body;
  const pieces = [];
  let from = 0, total = 0;
  const add = (/** @type {Uint8Array} */ piece) => {
    pieces.push(piece);
    total += piece.byteLength;
  };
  for (const { start, end, bytes } of edits) {
    add(body.subarray(from, start));
    add(bytes);
    from = end;
  }
  add(body.subarray(from));
  return joined(pieces, total);
}
