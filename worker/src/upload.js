// @ts-check
/**
 * A caller's body that is not read whole: a form with a file. Core is given as much of it as it asks for, and the rest
 * is streamed to the upstream behind it.
 *
 * Decides nothing; which bodies these are, how much is read and what is changed in it is core's.
 */

import { edited, joined } from './body.js';
import { NOTHING, headersOf } from './memory.js';

export class Upload {
  /** @param {Request} request */
  constructor(request) {
    const declared = request.headers.get('content-length');
    this.stream = request.body;
    this.reader = request.body?.getReader();
    /** The length that the caller declared, or -1. */
    this.declared = declared === null ? -1 : Number(declared);
    this.ended = !request.body;
    /** What was read so far. */
    this.bytes = NOTHING;
  }

  /** The body's length for core: more than was read, as long as there may be more. */
  get length() {
    return this.ended ? this.bytes.byteLength : Math.max(this.declared, this.bytes.byteLength + 1);
  }

  /** Reads on until twice as much was read as before, or all. */
  async more() {
    const target = Math.max(this.bytes.byteLength * 2, 1);
    const pieces = [this.bytes];
    let total = this.bytes.byteLength;
    // A body of which every declared byte has come is read to its end, or the runtime takes it for abandoned.
    while (!this.ended && (total < target || total === this.declared)) {
      const { value, done } = await /** @type {ReadableStreamDefaultReader<Uint8Array>} */ (this.reader).read();
      if (done) this.ended = true;
      else {
        pieces.push(value);
        total += value.byteLength;
      }
    }
    this.bytes = joined(pieces, total);
  }

  /**
   * Reads what is left and forgets it: an answer that leaves before its request was read is lost on the way.
   * @param {number} limit bytes at most
   */
  async drain(limit) {
    for (let total = 0; !this.ended && total < limit; ) {
      const { value, done } = await /** @type {ReadableStreamDefaultReader<Uint8Array>} */ (this.reader).read();
      if (done) this.ended = true;
      else total += value.byteLength;
    }
  }

  /** Calls the upstream with the edited beginning and the rest. @param {import('./memory.js').Plan} plan @param {ExecutionContext} ctx */
  send(plan, ctx) {
    const begin = edited(this.bytes, plan.edits);
    const { readable, writable } = this.declared < 0
      ? new IdentityTransformStream()
      : new FixedLengthStream(this.declared - this.bytes.byteLength + begin.byteLength);
    ctx.waitUntil(this.feed(begin, writable).catch(() => {}));
    return fetch(plan.lines[0], { method: 'POST', headers: headersOf(plan), body: readable, redirect: 'manual' });
  }

  /** @param {Uint8Array} begin @param {WritableStream} writable */
  async feed(begin, writable) {
    const writer = writable.getWriter();
    await writer.write(begin);
    writer.releaseLock();
    this.reader?.releaseLock();
    await this.stream?.pipeTo(writable);
  }
}
