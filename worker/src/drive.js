// @ts-check
/**
 * The data path's driver: performs the flat plans that weir-core writes. It decides nothing: every answer, wait,
 * call and end is one that core asked for. A request never waits for a promise of another request.
 */

import { call, failure, readAnswer, readBody, upstreamHeaders } from './body.js';
import {
  ABORT, ANSWER, CALLS, DELIVER, DELIVER_STREAM, FAILED, HEAD, HEAD_FIRST, NOTHING, REPLY, RESUMED, SEND, WAIT,
  headersOf, raw, read, renewed, tell, text, view, write,
} from './memory.js';
import { calls, keepCalling } from './objects.js';
import { relay } from './relay.js';

/** Names of the headers that core may ask for, in its order. @type {string[]} */
let headerNames = [];

/** Reads settings once; draws the isolate's randomness, which the platform allows in a request only. */
function configure(env) {
  const setting = (/** @type {string} */ name) => String(env[name] ?? '').replaceAll('\n', '');
  const seed = crypto.getRandomValues(new Uint8Array(32));
  const lines = [setting('WEIR_ADMIN_TOKEN'), setting('WEIR_SEAL_KEY'), setting('WEIR_TEST_PANICS')];
  raw().weir_configure(write(lines.join('\n'), seed));
  const names = raw().weir_header_names();
  const view32 = new Uint32Array(view().buffer, names, 2);
  headerNames = text(view32[0], view32[1]).split('\n');
}

/**
 * One request. Resolves to nothing for a route that is not the data path's.
 * @param {Request} request @param {any} env @param {ExecutionContext} ctx
 * @returns {Promise<Response | undefined> | undefined}
 */
export function drive(request, env, ctx) {
  if (renewed()) configure(env);
  const start = request.method + '\n' + request.url;
  const wanted = raw().weir_classify(write(start, NOTHING));
  if (wanted < 0) return undefined;
  const work = exchange(request, env, ctx, start, wanted);
  // A caller that leaves a plain call does not end it: the answer is awaited and metered.
  ctx.waitUntil(work.catch(() => {}));
  return work;
}

/**
 * @param {Request} request @param {any} env @param {ExecutionContext} ctx
 * @param {string} start @param {number} wanted bit i: the header `headerNames[i]` is wanted
 */
async function exchange(request, env, ctx, start, wanted) {
  const limit = raw().weir_body_bytes_max();
  const declared = Number(request.headers.get('content-length') ?? -1);
  const body = declared > limit || !request.body ? NOTHING : await readBody(request, declared, limit);
  const length = body === null ? limit + 1 : Math.max(body.byteLength, declared > limit ? declared : 0);
  let head = start;
  for (let i = 0; i < headerNames.length; i++)
    head += '\n' + (wanted & (1 << i) ? (request.headers.get(headerNames[i]) ?? '') : '');
  const given = body ?? NOTHING;
  let plan = read(raw().weir_begin(Date.now(), write(head, given), given.byteLength, length));
  /** @type {import('./body.js').Call | undefined} */ let upstream;
  let answer = NOTHING;
  for (;;) {
    if (plan.callsAfter) ctx.waitUntil(keepCalling(env, plan.callsAfter));
    switch (plan.kind) {
      case REPLY: return new Response(plan.bytes, { status: plan.status, headers: headersOf(plan) });
      case DELIVER: return new Response(answer, { status: plan.status, headers: headersOf(plan) });
      case DELIVER_STREAM: return relay(plan, /** @type {import('./body.js').Call} */ (upstream), env, ctx);
      case CALLS:
        await calls(env);
        ctx.waitUntil(keepCalling(env, raw().weir_calls_due(Date.now())));
        plan = tell(plan.handle, RESUMED, 0);
        break;
      case WAIT:
        await scheduler.wait(plan.ms);
        plan = tell(plan.handle, RESUMED, 0);
        break;
      case ABORT: throw new Error('the exchange began in an instance of the module that has trapped');
      default: {
        const { handle, flags, kind } = plan;
        try {
          if (kind === SEND) upstream = await call(plan, given);
          const { response, timer } = /** @type {import('./body.js').Call} */ (upstream);
          if (kind === SEND && flags & HEAD_FIRST) {
            plan = tell(handle, HEAD, response.status, upstreamHeaders(response));
          } else {
            answer = await readAnswer(response).finally(() => clearTimeout(timer));
            plan = tell(handle, ANSWER, response.status, response.ok ? '' : upstreamHeaders(response), answer);
          }
        } catch (error) {
          if (error instanceof WebAssembly.RuntimeError) throw error;
          plan = tell(handle, FAILED, failure(error));
        }
      }
    }
  }
}
