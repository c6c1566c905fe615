// @ts-check
/**
 * A stream on its way to the caller: each piece as core says, and its end only when core has judged it.
 */

import { BROKEN, CALLER_LEFT, CLOSE, CLOSED, ENDED, IDLE, INSTEAD, PASS, PIECE, headersOf, tell } from './memory.js';
import { keepCalling } from './objects.js';

/** Bytes read of a stream at once. */
const READ_BYTES = 64 << 10;
/**
 * Pause after a piece of a fast stream, in milliseconds: what arrives meanwhile is one piece. JavaScript costs
 * 50-110 µs a piece however small it is, so this bounds a stream's cost; a stream slower than this never waits.
 */
const COALESCE_MS = 8;
/** Ends a stream whose exchange the module lost by a trap: core cannot be asked, so the form is fixed. */
const TRAPPED = new TextEncoder().encode(
  '\n\nevent: error\ndata: {"error":{"code":"InternalServerError","message":"Weir failed during this stream; send the request again.","type":"server_error","param":null}}\n\n',
);

/**
 * Hands the upstream's stream to the caller, each piece as core says, and its end only when core has judged it.
 * @param {import('./memory.js').Plan} plan @param {import('./body.js').Call} upstream
 * @param {any} env @param {ExecutionContext} ctx
 */
export function relay(plan, upstream, env, ctx) {
  clearTimeout(upstream.timer);
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const pumped = pump(plan, upstream, writer, env, ctx).catch((error) => {
    upstream.stop.abort();
    writer.write(TRAPPED).then(() => writer.abort(error)).catch(() => {});
    throw error;
  });
  ctx.waitUntil(pumped);
  return new Response(readable, { status: plan.status, headers: headersOf(plan) });
}

/**
 * A reader that gives all that has arrived since it was last asked. The platform's own reads give one network
 * chunk each; so one branch of a tee is drawn by a native sink, and what it draws gathers in the other.
 * @param {ReadableStream} body @param {AbortSignal} signal ends both branches
 */
function gathering(body, signal) {
  const [drawn, gathered] = body.tee();
  drawn.pipeTo(new crypto.DigestStream('MD5'), { signal }).catch(() => {});
  return gathered.getReader({ mode: 'byob' });
}

/**
 * @param {import('./memory.js').Plan} plan @param {import('./body.js').Call} upstream
 * @param {WritableStreamDefaultWriter} writer @param {any} env @param {ExecutionContext} ctx
 */
async function pump({ handle, ms: idle }, { response, stop: upstream }, writer, env, ctx) {
  const reader = gathering(/** @type {ReadableStream} */ (response.body), upstream.signal);
  /** Why the stream ended before its own end, once it did. */
  let ended = -1;
  const stop = (/** @type {number} */ end) => {
    if (ended >= 0) return;
    ended = end;
    reader.cancel().catch(() => {});
    upstream.abort();
  };
  writer.closed.catch(() => stop(CALLER_LEFT));
  let last = Date.now();
  const watch = setInterval(() => Date.now() - last > idle && stop(IDLE), Math.max(1000, idle / 4));
  let buffer = new ArrayBuffer(READ_BYTES);
  try {
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done || ended >= 0) break;
      const now = Date.now();
      const fast = now - last < COALESCE_MS;
      last = now;
      const plan = tell(handle, PIECE, 0, '', value);
      if (plan.callsAfter) ctx.waitUntil(keepCalling(env, plan.callsAfter));
      if (plan.kind === PASS) await writer.write(value);
      else if (plan.kind === INSTEAD) plan.bytes.byteLength && (await writer.write(plan.bytes));
      else return await finish(plan, writer, stop, env, ctx);
      buffer = value.buffer;
      if (fast) await scheduler.wait(COALESCE_MS);
    }
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    if (ended < 0) ended = writer.desiredSize === null ? CALLER_LEFT : BROKEN;
  } finally {
    clearInterval(watch);
  }
  return finish(tell(handle, ENDED, ended < 0 ? CLOSED : ended), writer, stop, env, ctx);
}

/** @param {import('./memory.js').Plan} plan @param {WritableStreamDefaultWriter} writer @param {(end: number) => void} stop @param {any} env @param {ExecutionContext} ctx */
async function finish(plan, writer, stop, env, ctx) {
  try {
    if (plan.bytes.byteLength) await writer.write(plan.bytes);
    if (plan.kind === CLOSE) await writer.close();
    else {
      // Core ends a stream without a word only if it knows nothing of it.
      if (!plan.bytes.byteLength) await writer.write(TRAPPED);
      await writer.abort(new Error('the answer is not complete'));
    }
  } catch {
    // The caller is gone: nobody is left to be told.
  }
  stop(BROKEN);
  ctx.waitUntil(keepCalling(env, plan.callsAfter));
}
