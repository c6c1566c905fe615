// @ts-check
/**
 * Upstream calls: made within their time, their answers read, their failures named.
 *
 * Decides only what the memory of an isolate can bear. Whom to call, with what and how long is core's.
 */

import { edited, readAll } from './body.js';
import { play, runModel } from './local.js';
import { MODEL, SCRIPT, TIMED_OUT, TOO_LARGE, UNREACHABLE, headersOf } from './memory.js';

/** A larger answer is not buffered. */
const ANSWER_BYTES_MAX = 64 << 20;

/** The head members that core reads, in its order; each by the names that providers have for it. @type {string[][]} */
let headNames = [];

/** @param {string} lines */
export function setHeadNames(lines) {
  headNames = lines.split('\n').map((line) => line.split(' '));
}

/** @param {{headers: Headers}} response */
export function upstreamHeaders({ headers }) {
  const values = (/** @type {string[]} */ names) => names.map((name) => headers.get(name)).find((value) => value) ?? '';
  return headNames.map(values).join('\n');
}

class Fault extends Error {
  /** @param {number} code why there is no answer */
  constructor(code) {
    super();
    this.code = code;
  }
}

/** @param {unknown} error */
export function failure(error) {
  return error instanceof Fault ? error.code : UNREACHABLE;
}

/**
 * What `work` resolves to, or a rejection after so many milliseconds. Nothing is aborted: the platform drops what
 * still runs when the exchange has its answer, and a signal for each call costs more than all that core does.
 * @template T @param {number} ms @param {Promise<T>} work @returns {Promise<T>}
 */
export function within(ms, work) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Fault(TIMED_OUT)), ms);
    work.then(resolve, reject);
  });
}

/** @param {import('./memory.js').Plan} plan @param {Uint8Array} body the caller's @param {string} method @param {any} env @param {AbortSignal} [signal] @returns {Promise<Response>} */
export function call(plan, body, method, env, signal) {
  if (plan.flags & SCRIPT) return play(plan);
  const sent = edited(body, plan.edits);
  if (plan.flags & MODEL) return runModel(env.AI, plan.lines[0], sent);
  return fetch(plan.lines[0], { method, headers: headersOf(plan), body: sent.byteLength ? sent : null, redirect: 'manual', signal });
}

/** An upstream's answer with its body, whole. @param {Response | Promise<Response>} sent */
export async function readAnswer(sent) {
  const response = await sent;
  const bytes = await readAll(response, ANSWER_BYTES_MAX);
  if (!bytes) throw new Fault(TOO_LARGE);
  return { response, bytes };
}
