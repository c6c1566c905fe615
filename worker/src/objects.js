// @ts-check
/**
 * Object calls that core has ready: performed, and their answers handed back. Which, when and with what is core's.
 */

import { NOTHING, raw, text, view, write } from './memory.js';

/**
 * Makes object calls after `next` - 1 milliseconds, and further ones, until core has none left that are due.
 * @param {any} env @param {number} next milliseconds plus one; 0: nothing is due
 */
export async function keepCalling(env, next) {
  for (; next && !trapped(); next = raw().weir_calls_due(Date.now())) {
    if (next > 1) await scheduler.wait(next - 1);
    if (!trapped()) await calls(env);
  }
}

/** Makes the object calls that core has ready, all at once. @param {any} env */
export async function calls(env) {
  const pending = [];
  while (!trapped()) {
    const at = raw().weir_call(Date.now());
    if (!at) break;
    const word = new Uint32Array(view().buffer, at, 6);
    const [id, kind] = word;
    const name = text(at + word[2], word[3]);
    const body = view().slice(at + word[4], at + word[4] + word[5]);
    pending.push(callObject([env.REGISTRY, env.LIMITER, env.LEDGER][kind], name, body, id));
  }
  await Promise.all(pending);
}

/** @param {any} namespace @param {string} name @param {Uint8Array} body @param {number} id */
async function callObject(namespace, name, body, id) {
  let answer = NOTHING, ok = 0;
  try {
    const response = await namespace.get(namespace.idFromName(name)).fetch(`https://object/${name}`, { method: 'POST', body });
    answer = new Uint8Array(await response.arrayBuffer());
    ok = response.ok ? 1 : 0;
  } catch (error) {
    console.error('an object did not answer', name, error);
  }
  if (trapped()) return;
  write('', answer);
  raw().weir_called(Date.now(), id, ok, answer.byteLength);
}

/** Whether the module must not be called any more, until the entry has made a new one. */
function trapped() {
  return globalThis['__worker_init_state']?.criticalError;
}
