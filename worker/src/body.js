// @ts-check
/**
 * Bodies on their way: the caller's, read and edited; the upstream's, read whole; a simulated model's, played.
 *
 * Decides only what the memory of an isolate can bear. What an edit or a script is comes from core (`flat.rs`).
 */

import { NOTHING, SCRIPT, TIMED_OUT, TOO_LARGE, UNREACHABLE, headersOf } from './memory.js';

/** A larger answer is not buffered. */
const ANSWER_BYTES_MAX = 64 << 20;

/** The caller's body, or null if it turned out too large. @param {Request} request @param {number} declared @param {number} limit */
export async function readBody(request, declared, limit) {
  if (declared >= 0) return new Uint8Array(await request.arrayBuffer());
  return readBounded(/** @type {ReadableStream} */ (request.body), limit);
}

/** @param {ReadableStream} stream @param {number} limit @returns {Promise<Uint8Array | null>} */
async function readBounded(stream, limit) {
  const reader = stream.getReader();
  const pieces = [];
  let total = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    total += value.byteLength;
    if (total > limit) {
      reader.cancel().catch(() => {});
      return null;
    }
    pieces.push(value);
  }
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

class TooLarge extends Error {}

/** @param {Response} response */
export async function readAnswer(response) {
  if (!response.body) return NOTHING;
  const declared = response.headers.get('content-length');
  const whole = declared !== null && Number(declared) <= ANSWER_BYTES_MAX
    ? new Uint8Array(await response.arrayBuffer())
    : await readBounded(response.body, ANSWER_BYTES_MAX);
  if (whole === null) throw new TooLarge();
  return whole;
}

/** The head members that core reads, in its order. @param {Response} response */
export function upstreamHeaders({ headers }) {
  return ['content-type', 'retry-after', 'retry-after-ms', 'x-should-retry'].map((name) => headers.get(name) ?? '').join('\n');
}

/** @param {unknown} error */
export function failure(error) {
  if (error instanceof TooLarge) return TOO_LARGE;
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError') ? TIMED_OUT : UNREACHABLE;
}

/**
 * An upstream call whose head has come. `stop` ends it, `timer` does so when its time is up.
 * @typedef {{response: Response, stop: AbortController, timer: ReturnType<typeof setTimeout>}} Call
 */

/**
 * Makes the upstream call, or plays a simulated model's script.
 * @param {import('./memory.js').Plan} plan @param {Uint8Array} body @returns {Promise<Call>}
 */
export async function call(plan, body) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new DOMException('no answer in time', 'TimeoutError')), plan.ms);
  const { signal } = stop;
  try {
    const response = plan.flags & SCRIPT
      ? await play(plan, signal)
      : await fetch(plan.lines[0], {
          method: 'POST', headers: headersOf(plan), body: edited(body, plan.edits), redirect: 'manual', signal,
        });
    return { response, stop, timer };
  } catch (error) {
    clearTimeout(timer);
    throw signal.aborted ? signal.reason : error;
  }
}

/** @param {Uint8Array} body @param {import('./memory.js').Plan['edits']} edits */
export function edited(body, edits) {
  if (edits.length === 0) return body;
  let length = body.byteLength;
  for (const edit of edits) length += edit.bytes.byteLength - (edit.end - edit.start);
  const out = new Uint8Array(length);
  let from = 0, at = 0;
  for (const edit of edits) {
    out.set(body.subarray(from, edit.start), at);
    at += edit.start - from;
    out.set(edit.bytes, at);
    at += edit.bytes.byteLength;
    from = edit.end;
  }
  out.set(body.subarray(from), at);
  return out;
}

/** A simulated model's answer. @param {import('./memory.js').Plan} plan @param {AbortSignal} signal */
async function play(plan, signal) {
  const init = { status: plan.status, headers: headersOf(plan) };
  const { script, scriptEnd } = plan;
  // A head that never comes is waited for until the call's own time is up.
  if (plan.headAfter) await scheduler.wait(Math.min(plan.headAfter, plan.ms + 1000), { signal });
  if (script.length === 1 && scriptEnd === 0) {
    if (script[0].ms) await scheduler.wait(script[0].ms, { signal });
    return new Response(script[0].bytes, init);
  }
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const played = (async () => {
    for (const chunk of script) {
      if (chunk.ms) await scheduler.wait(chunk.ms);
      await writer.write(chunk.bytes);
    }
    if (scriptEnd === 0) await writer.close();
    else if (scriptEnd === 1) await writer.abort(new Error('the simulated model broke off'));
  })();
  played.catch(() => {});
  signal.addEventListener('abort', () => writer.abort(signal.reason).catch(() => {}));
  return new Response(readable, init);
}
