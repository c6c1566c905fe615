// @ts-check
/**
 * A stream on its way to the caller: each piece as core says, and its end only when core has judged it.
 */

import { call, failure, readAnswer, within } from './call.js';
import {
  ABORT, AGAIN, ANSWER, ASK, BROKEN, CALLER_LEFT, CLOSE, CLOSED, ENDED, FAILED, IDLE, NOTHING, PASS, PIECE, RESUMED,
  headersOf, tell,
} from './memory.js';
import { keepCalling } from './objects.js';

/** Bytes read of a stream at once. */
const READ_BYTES = 64 << 10;
/** Ends a stream that the module lost by a trap: core cannot be asked, so the form is fixed. */
const LOST = new TextEncoder().encode(
  '\n\nevent: error\ndata: {"error":{"code":"InternalServerError","message":"Weir failed during this stream; send the request again.","type":"server_error","param":null}}\n\n',
);

/** The pieces of an upstream's stream, read one by one into one buffer. */
export class Pieces {
  /** @param {ReadableStream} stream */
  constructor(stream) {
    this.reader = stream.getReader({ mode: 'byob' });
    this.buffer = new ArrayBuffer(READ_BYTES);
  }

  next() {
    return this.reader.read(new Uint8Array(this.buffer));
  }

  /** A piece that was read; what is done with it is done before the next is read. @param {Uint8Array} piece */
  take(piece) {
    this.buffer = /** @type {ArrayBuffer} */ (piece.buffer);
    return piece;
  }

  cancel() {
    this.reader.cancel().catch(() => {});
  }
}

/** What core is told. @typedef {Parameters<typeof tell>} Told */
/** What a stream does next. @typedef {Pick<import('./memory.js').Plan, 'kind' | 'bytes' | 'callsAfter'>} Next */

/** As `tell`, but a module that traps breaks the stream off. @type {(...told: Told) => Next} */
function ask(...told) {
  try {
    return tell(...told);
  } catch (error) {
    console.error('the module trapped during a stream', error);
    return { kind: ABORT, bytes: NOTHING, callsAfter: 0 };
  }
}

/** Makes the call that a plan asks for beside the stream. @param {import('./memory.js').Plan} plan @param {any} env @returns {Promise<Told>} */
async function beside(plan, env) {
  try {
    const { response, bytes } = await within(plan.ms, readAnswer(call(plan, NOTHING, 'POST', env)));
    return [plan.handle, ANSWER, response.status, '', bytes];
  } catch (error) {
    return [plan.handle, FAILED, failure(error)];
  }
}

/**
 * Hands what was held back and the rest of the upstream's stream to the caller, and its end only when core has judged it.
 * @param {import('./memory.js').Plan} plan @param {Pieces} pieces
 * @param {any} env @param {ExecutionContext} ctx
 */
export function relay(plan, pieces, env, ctx) {
  const { readable, writable } = new IdentityTransformStream();
  ctx.waitUntil(pump(plan, pieces, writable, env, ctx));
  return new Response(readable, { status: plan.status, headers: headersOf(plan) });
}

/**
 * Each piece passes core. The platform's own pipe (`pipeTo`) would cost a third, but when an upstream breaks off it
 * takes the caller's side with it, and workerd then ends the caller's body as if it were whole.
 * @param {import('./memory.js').Plan} plan @param {Pieces} pieces
 * @param {WritableStream} writable @param {any} env @param {ExecutionContext} ctx
 */
async function pump({ handle, ms: idle, flags, bytes }, pieces, writable, env, ctx) {
  const writer = writable.getWriter();
  /** Why the stream ended before its own end, once it did. */
  let ended = -1, last = Date.now();
  const stop = (/** @type {number} */ end) => {
    if (ended >= 0) return;
    ended = end;
    pieces.cancel();
  };
  writer.closed.catch(() => stop(CALLER_LEFT));
  const watch = setInterval(() => Date.now() - last > idle && stop(IDLE), Math.max(1000, idle / 4));
  /** @returns {Promise<Told>} */
  const next = async () => {
    const { value, done } = await pieces.next();
    if (done || ended >= 0) return [handle, ENDED, ended < 0 ? CLOSED : ended];
    last = Date.now();
    return [handle, PIECE, 0, '', pieces.take(value)];
  };
  /** What comes next of the stream; null once it is over. */
  let reading = /** @type {Promise<Told> | null} */ (null);
  /** What comes of what was asked beside it. @type {Promise<Told> | null} */
  let asked = flags & AGAIN ? Promise.resolve([handle, RESUMED, 0]) : null;
  try {
    if (bytes.byteLength) await writer.write(bytes);
    // After the end only what was asked is waited for: core holds something back for it.
    for (let over = false; !over || asked; ) {
      if (!over) reading ??= next();
      const told = /** @type {Told} */ (await (asked && reading ? Promise.race([asked, reading]) : (asked ?? reading)));
      const [, event, , , piece = NOTHING] = told;
      over ||= event === ENDED;
      if (event === PIECE || event === ENDED) reading = null;
      else asked = null;
      const plan = ask(...told);
      if (plan.kind === CLOSE || plan.kind === ABORT) return await finish(plan, writer, stop, env, ctx);
      if (plan.callsAfter) ctx.waitUntil(keepCalling(env, plan.callsAfter));
      if (plan.kind === ASK) asked = beside(/** @type {import('./memory.js').Plan} */ (plan), env);
      if (plan.kind === PASS) await writer.write(piece);
      else if (plan.bytes.byteLength) await writer.write(plan.bytes);
    }
  } catch {
    if (ended < 0) ended = writer.desiredSize === null ? CALLER_LEFT : BROKEN;
  } finally {
    clearInterval(watch);
  }
  return finish(ask(handle, ENDED, ended < 0 ? BROKEN : ended), writer, stop, env, ctx);
}

/** @param {Next} plan @param {WritableStreamDefaultWriter} writer @param {(end: number) => void} stop @param {any} env @param {ExecutionContext} ctx */
async function finish(plan, writer, stop, env, ctx) {
  try {
    if (plan.bytes.byteLength) await writer.write(plan.bytes);
    if (plan.kind === CLOSE) await writer.close();
    else {
      // Core ends a stream without a word only if the caller left, or if it knows nothing of the stream.
      if (!plan.bytes.byteLength) await writer.write(LOST);
      await writer.abort(new Error('the answer is not complete'));
    }
  } catch {
    // The caller is gone: nobody is left to be told.
  }
  stop(BROKEN);
  ctx.waitUntil(keepCalling(env, plan.callsAfter));
}
