// @ts-check
/**
 * The way into Wasm's memory and out of it: texts and bodies in, flat plans out.
 *
 * Decides nothing; the layouts are those of `weir-core/src/exchange/flat.rs` and `worker/src/raw.rs`. Rules: nothing
 * is awaited between a write and the copy of the plan that answers it, because all requests of the isolate share
 * both; a view of the memory dies when the memory grows; after a trap no export is called.
 */

/** Kinds of plan, `flat.rs`. */
export const REPLY = 0, SEND = 1, CALLS = 2, WAIT = 3, DELIVER = 4, DELIVER_STREAM = 5, READ_WHOLE = 6;
export const PASS = 7, INSTEAD = 8, CLOSE = 9, ABORT = 10, HAND_THROUGH = 11, READ_MORE = 12, ASK = 13, READ_PIECE = 14;
export const READ_HEADERS = 15;
/** Flags of a plan. */
export const HEAD_FIRST = 1, SCRIPT = 2, REST = 8, QUOTA = 16, AGAIN = 32, MODEL = 64;
/** What is wanted of a request, `surface/headers.rs`: its body is not read whole; all of its headers. */
export const STREAMS = 1 << 30, ALL = -1;
/** Events, `raw.rs`. */
export const RESUMED = 0, HEAD = 1, ANSWER = 2, FAILED = 3, PIECE = 4, ENDED = 5;
/** Why a call gave no answer. */
export const UNREACHABLE = 0, TIMED_OUT = 1, TOO_LARGE = 2;
/** How a stream ended. */
export const CLOSED = 0, BROKEN = 1, IDLE = 2, CALLER_LEFT = 3;
export const NOTHING = new Uint8Array(0);

/** @type {any} */ let instance;
let bytes = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The module's raw exports. They change when the module was made anew after a trap (`attach.js`).
 * @returns {any}
 */
export function raw() {
  return instance.exports;
}

/** Whether the module is another than at the last call. */
export function renewed() {
  if (instance === globalThis['__weir']) return false;
  instance = globalThis['__weir'];
  return true;
}

/** The module's memory as bytes, never a dead view. */
export function view() {
  if (bytes.buffer !== instance.memory.buffer) bytes = new Uint8Array(instance.memory.buffer);
  return bytes;
}

/**
 * Writes `text`, then `body`, into core's room. Answers the text's length in bytes.
 * @param {string} text
 * @param {Uint8Array} body
 */
export function write(text, body) {
  const at = raw().weir_room(text.length * 3 + body.byteLength);
  const target = view();
  const length = encoder.encodeInto(text, target.subarray(at)).written;
  if (body.byteLength) target.set(body, at + length);
  return length;
}

/**
 * @param {number} at @param {number} length
 * @returns {string}
 */
export function text(at, length) {
  return length === 0 ? '' : decoder.decode(view().subarray(at, at + length));
}

/**
 * A plan, copied out of Wasm's memory. An edit's `bytes` stand for `start` to `end`; those of a script come after
 * `start` milliseconds.
 * @typedef {{start: number, end: number, bytes: Uint8Array}} Row
 * @typedef {{kind: number, status: number, ms: number, flags: number, lines: string[], bytes: Uint8Array, edits: Row[],
 *   script: Row[], scriptEnd: number, headAfter: number, second: number, handle: number, callsAfter: number}} Plan
 */

/** @param {number} at @returns {Plan} */
export function read(at) {
  const memory8 = view();
  const word = new Uint32Array(memory8.buffer, at, 16);
  const slice = (/** @type {number} */ offset, /** @type {number} */ length) =>
    length ? memory8.slice(at + offset, at + offset + length) : NOTHING;
  const rows = (/** @type {number} */ offset, /** @type {number} */ count) => {
    /** @type {Row[]} */ const rows = [];
    const row = count ? new Uint32Array(memory8.buffer, at + offset, count * 4) : NOTHING;
    for (let i = 0; i < row.length; i += 4) rows.push({ start: row[i], end: row[i + 1], bytes: slice(row[i + 2], row[i + 3]) });
    return rows;
  };
  return {
    kind: word[0], status: word[1], ms: word[2], flags: word[3],
    lines: word[5] ? text(at + word[4], word[5]).split('\n') : [], bytes: slice(word[6], word[7]),
    edits: rows(word[8], word[9]), script: rows(word[10], word[11]),
    scriptEnd: word[12], handle: word[13], callsAfter: word[14],
    headAfter: word[15], second: word[3] & SCRIPT ? 0 : word[15],
  };
}

/** @param {Plan} plan @returns {Record<string, string>} */
export function headersOf(plan) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (let i = 1; i + 1 < plan.lines.length; i += 2) headers[plan.lines[i]] = plan.lines[i + 1];
  return headers;
}

/**
 * Tells core what happened, and reads what shall be done.
 * @param {number} handle @param {number} event @param {number} code
 * @param {string} headers lines @param {Uint8Array} body
 */
export function tell(handle, event, code, headers = '', body = NOTHING) {
  const length = headers || body.byteLength ? write(headers, body) : 0;
  return read(raw().weir_event(Date.now(), handle, event, code, length, body.byteLength));
}
