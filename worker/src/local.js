// @ts-check
/**
 * Calls that go to no address: a simulated model's script, played; a model of the platform's own binding.
 *
 * Decides nothing; the script is core's (`flat.rs`).
 */

import { headersOf } from './memory.js';

/** A simulated model's answer. @param {import('./memory.js').Plan} plan */
export async function play(plan) {
  const init = { status: plan.status, headers: headersOf(plan) };
  const { script, scriptEnd } = plan;
  // A head that never comes is waited for until the call's own time is up.
  if (plan.headAfter) await scheduler.wait(Math.min(plan.headAfter, plan.ms + 1000));
  if (script.length === 1 && scriptEnd === 0) {
    if (script[0].start) await scheduler.wait(script[0].start);
    return new Response(script[0].bytes, init);
  }
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const played = (async () => {
    for (const chunk of script) {
      if (chunk.start) await scheduler.wait(chunk.start);
      await writer.write(chunk.bytes);
    }
    if (scriptEnd === 0) await writer.close();
    else if (scriptEnd === 1) await writer.abort(new Error('the simulated model broke off'));
  })();
  played.catch(() => {});
  return new Response(readable, init);
}

/**
 * A model of Workers AI by the platform's binding (`[ai]` in wrangler.toml). What it throws is given as its REST route
 * tells an error: core reads the code in it.
 * @param {any} ai @param {string} model @param {Uint8Array} body @returns {Promise<Response>}
 */
export async function runModel(ai, model, body) {
  if (!ai) throw new Error('wrangler.toml has no [ai] binding named AI');
  try {
    return await ai.run(model, JSON.parse(new TextDecoder().decode(body)), { returnRawResponse: true });
  } catch (error) {
    return Response.json({ errors: [{ message: String(error) }] }, { status: 500 });
  }
}
