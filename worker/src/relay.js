// @ts-check
/**
 * A stream on its way to the caller: each piece as core says, and its end only when core has judged it.
 */

import { call, failure, readAnswer, within } from './body.js';
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

/** What a stream does next. @typedef {Pick<import('./memory.js').Plan, 'kind' | 'bytes' | 'callsAfter'>} Next */

/** As `tell`, but a module that traps breaks the stream off. @type {(...told: Parameters<typeof tell>) => Next} */
function ask(...told) {
  try {
    return tell(...told);
  } catch (error) {
    console.error('the module trapped during a stream', error);
    return { kind: ABORT, bytes: NOTHING, callsAfter: 0 };
  }
}

/**
 * Makes the call that a plan asks for beside the stream. Resolves to what core is to be told.
 * @param {import('./memory.js').Plan} plan @returns {Promise<{told: Parameters<typeof tell>}>}
 */
async function beside(plan) {
  try {
    const { status, bytes } = await within(plan.ms, readAnswer(call(plan, NOTHING, 'POST')));
    return { told: [plan.handle, ANSWER, status, '', bytes] };
  } catch (error) {
    return { told: [plan.handle, FAILED, failure(error)] };
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
  let ended = -1;
  const stop = (/** @type {number} */ end) => {
    if (ended >= 0) return;
    ended = end;
    pieces.cancel();
  };
  writer.closed.catch(() => stop(CALLER_LEFT));
  let last = Date.now();
  const watch = setInterval(() => Date.now() - last > idle && stop(IDLE), Math.max(1000, idle / 4));
  /** @type {Promise<any> | null} */ let reading = null;
  /** What core is to be told beside the stream's pieces. @type {ReturnType<typeof beside> | null} */
  let asked = flags & AGAIN ? Promise.resolve({ told: [handle, RESUMED, 0, '', NOTHING] }) : null;
  try {
    if (bytes.byteLength) await writer.write(bytes);
    // After the end only what was asked is waited for: core holds something back for it.
    for (let over = false, piece = NOTHING; !over || asked; ) {
      if (!over) reading ??= pieces.next();
      const came = asked ? await (over ? asked : Promise.race([asked, reading])) : await reading;
      let plan;
      if (came.told) {
        asked = null;
        plan = ask(.../** @type {Parameters<typeof tell>} */ (came.told));
      } else {
        reading = null;
        over = came.done || ended >= 0;
        if (!over) {
          last = Date.now();
          piece = pieces.take(came.value);
        }
        plan = over ? ask(handle, ENDED, ended < 0 ? CLOSED : ended) : ask(handle, PIECE, 0, '', piece);
      }
      if (plan.kind === CLOSE || plan.kind === ABORT) return await finish(plan, writer, stop, env, ctx);
      if (plan.callsAfter) ctx.waitUntil(keepCalling(env, plan.callsAfter));
      if (plan.kind === ASK) asked = beside(/** @type {import('./memory.js').Plan} */ (plan));
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

/** @param {ReturnType<typeof ask>} plan @param {WritableStreamDefaultWriter} writer @param {(end: number) => void} stop @param {any} env @param {ExecutionContext} ctx */
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
