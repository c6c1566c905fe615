// @ts-check
/**
 * Bodies on their way: the caller's, read and edited; the upstream's, read whole; a simulated model's, played.
 *
 * Decides only what the memory of an isolate can bear. What an edit or a script is comes from core (`flat.rs`).
 */

import { NOTHING, SCRIPT, TIMED_OUT, TOO_LARGE, UNREACHABLE, headersOf } from './memory.js';

/** A larger answer is not buffered. */
const ANSWER_BYTES_MAX = 64 << 20;

/**
 * The caller's body, or null if it turned out too large. A body of a declared length is read at once: to name
 * `request.body` would make a stream object of it.
 * @param {Request} request @param {string | null} declared @param {number} limit
 */
export async function readBody(request, declared, limit) {
  if (declared !== null) return new Uint8Array(await request.arrayBuffer());
  return request.body ? readBounded(request.body, limit) : NOTHING;
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
  return pieces.length === 1 ? pieces[0] : joined(pieces, total);
}

/** Pieces as one. @param {Uint8Array[]} pieces @param {number} total their bytes */
export function joined(pieces, total) {
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

class TooLarge extends Error {}

/**
 * An upstream's answer with its body, whole.
 * @param {Response | Promise<Response>} sent
 * @returns {Promise<{status: number, ok: boolean, headers: Headers, bytes: Uint8Array}>}
 */
export async function readAnswer(sent) {
  const response = await sent;
  const { status, ok, headers } = response;
  return { status, ok, headers, bytes: await readWhole(response) };
}

/** @param {Response} response @returns {Promise<Uint8Array>} */
async function readWhole(response) {
  const declared = response.headers.get('content-length');
  if (declared !== null && Number(declared) <= ANSWER_BYTES_MAX) return new Uint8Array(await response.arrayBuffer());
  if (!response.body) return NOTHING;
  const whole = await readBounded(response.body, ANSWER_BYTES_MAX);
  if (whole === null) throw new TooLarge();
  return whole;
}

/** What is left of an upstream's quota, by each provider's own names. */
const LEFT = [
  ['x-ratelimit-remaining-requests', 'anthropic-ratelimit-requests-remaining'],
  ['x-ratelimit-remaining-tokens', 'anthropic-ratelimit-tokens-remaining'],
  ['x-ratelimit-reset-requests', 'anthropic-ratelimit-requests-reset'],
  ['x-ratelimit-reset-tokens', 'anthropic-ratelimit-tokens-reset'],
];

/** The head members that core reads, in its order. @param {{headers: Headers}} response @param {number} quota whether its quota is wanted */
export function upstreamHeaders({ headers }, quota) {
  const lines = ['content-type', 'retry-after', 'retry-after-ms', 'x-should-retry'].map((name) => headers.get(name) ?? '');
  if (quota) lines.push(...LEFT.map(([name, other]) => headers.get(name) ?? headers.get(other) ?? ''));
  return lines.join('\n');
}

class TooLate extends Error {}

/** @param {unknown} error */
export function failure(error) {
  if (error instanceof TooLarge) return TOO_LARGE;
  return error instanceof TooLate ? TIMED_OUT : UNREACHABLE;
}

/**
 * What `work` resolves to, or a rejection after so many milliseconds. Nothing is aborted: the platform drops what
 * still runs when the exchange has its answer, and a signal for each call costs more than all that core does.
 * @template T @param {number} ms @param {Promise<T>} work @returns {Promise<T>}
 */
export function within(ms, work) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new TooLate()), ms);
    work.then(resolve, reject);
  });
}

/**
 * Makes the upstream call, or plays a simulated model's script. An address without a host is the platform's own model.
 * @param {import('./memory.js').Plan} plan @param {Uint8Array} body @param {string} method @param {any} env
 * @returns {Promise<Response>}
 */
export function call(plan, body, method, env) {
  if (plan.flags & SCRIPT) return play(plan);
  if (plan.lines[0].startsWith('/run/')) return runModel(env.AI, plan.lines[0].slice(5), edited(body, plan.edits));
  return fetch(plan.lines[0], {
    method, headers: headersOf(plan), body: body.byteLength || plan.edits.length ? edited(body, plan.edits) : null, redirect: 'manual',
  });
}

/**
 * A model of Workers AI by the platform's binding (`[ai]` in wrangler.toml). What it throws is given as its REST route
 * tells an error: core reads the code in it.
 * @param {any} ai @param {string} model @param {Uint8Array} body @returns {Promise<Response>}
 */
async function runModel(ai, model, body) {
  if (!ai) throw new Error('wrangler.toml has no [ai] binding named AI');
  try {
    return await ai.run(model, JSON.parse(new TextDecoder().decode(body)), { returnRawResponse: true });
  } catch (error) {
    return Response.json({ errors: [{ message: String(error) }] }, { status: 500 });
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

/** A simulated model's answer. @param {import('./memory.js').Plan} plan */
async function play(plan) {
  const init = { status: plan.status, headers: headersOf(plan) };
  const { script, scriptEnd } = plan;
  // A head that never comes is waited for until the call's own time is up.
  if (plan.headAfter) await scheduler.wait(Math.min(plan.headAfter, plan.ms + 1000));
  if (script.length === 1 && scriptEnd === 0) {
    if (script[0].ms) await scheduler.wait(script[0].ms);
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
  return new Response(readable, init);
}
