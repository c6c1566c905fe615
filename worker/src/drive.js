// @ts-check
/**
 * The data path's driver: performs the flat plans that weir-core writes. It decides nothing: every answer, wait,
 * call and end is one that core asked for. A request never waits for a promise of another request.
 */

import { Body } from './body.js';
import { call, failure, readAnswer, setHeadNames, upstreamHeaders, within } from './call.js';
import {
  ABORT, ALL, ANSWER, CALLS, CLOSED, DELIVER, DELIVER_STREAM, ENDED, FAILED, HAND_THROUGH, HEAD, HEAD_FIRST, NOTHING,
  PIECE, QUOTA, READ_HEADERS, READ_MORE, READ_PIECE, REPLY, REST, RESUMED, SEND, STREAMS, WAIT,
  headersOf, raw, read, renewed, tell, text, view, write,
} from './memory.js';
import { calls, keepCalling } from './objects.js';
import { Pieces, relay } from './relay.js';
import { Upload } from './upload.js';

/** Names of the headers that core may ask for, in its order. @type {string[]} */
let headerNames = [];

/** Reads settings once; draws the isolate's randomness, which the platform allows in a request only. */
function configure(env) {
  const setting = (/** @type {string} */ name) => String(env[name] ?? '').replaceAll('\n', '');
  const seed = crypto.getRandomValues(new Uint8Array(32));
  const lines = [setting('WEIR_ADMIN_TOKEN'), setting('WEIR_SEAL_KEY'), setting('WEIR_TEST_PANICS'), setting('WEIR_REGION')];
  raw().weir_configure(write(lines.join('\n'), seed));
  const names = raw().weir_header_names();
  const view32 = new Uint32Array(view().buffer, names, 2);
  const [wanted, told] = text(view32[0], view32[1]).split('\n\n');
  headerNames = wanted.split('\n');
  setHeadNames(told);
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
  const { headers, method } = request;
  const upload = wanted & STREAMS ? new Upload(request) : null;
  const body = upload ?? new Body(request, limit);
  await body.more();
  const begin = () => {
    let head = start;
    for (let i = 0; i < headerNames.length; i++) head += '\n' + (wanted & (1 << i) ? (headers.get(headerNames[i]) ?? '') : '');
    if (wanted === ALL) head += '\nall';
    return read(raw().weir_begin(Date.now(), write(head, body.bytes), body.bytes.byteLength, body.length));
  };
  /** Performs one plan after another, up to the answer. @param {import('./memory.js').Plan} plan @param {AbortSignal} [signal] */
  const perform = async (plan, signal) => {
    /** The answer of the call, or the promise of it. @type {any} */ let upstream;
    /** The upstream's stream, once it is read piece by piece. @type {Pieces | null} */ let pieces = null;
    let answer = NOTHING, until = 0, quota = 0;
    for (;;) {
      if (plan.callsAfter) ctx.waitUntil(keepCalling(env, plan.callsAfter));
      switch (plan.kind) {
        case REPLY:
          pieces?.cancel();
          if (upload && !upstream) await upload.drain(limit);
          return new Response(plan.bytes, { status: plan.status, headers: headersOf(plan) });
        case DELIVER: return new Response(answer, { status: plan.status, headers: headersOf(plan) });
        case DELIVER_STREAM: return relay(plan, pieces ?? new Pieces(upstream.body), env, ctx);
        case HAND_THROUGH: return new Response(upstream.body, { status: plan.status, headers: headersOf(plan) });
        case READ_MORE:
          await body.more();
          plan = begin();
          break;
        case READ_HEADERS:
          wanted = ALL;
          plan = begin();
          break;
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
          const { handle } = plan;
          try {
            const now = Date.now();
            if (plan.kind === READ_PIECE) {
              pieces ??= new Pieces(upstream.body);
              const { value, done } = await within(plan.ms, pieces.next());
              plan = done ? tell(handle, ENDED, CLOSED) : tell(handle, PIECE, 0, '', pieces.take(value));
              break;
            }
            if (plan.kind === SEND) {
              pieces?.cancel();
              pieces = null;
              until = now + plan.ms;
              quota = plan.flags & QUOTA;
              if (plan.second) return either(plan, perform);
              const sent = upload && plan.flags & REST ? upload.send(plan, ctx) : call(plan, body.bytes, method, env, signal);
              if (plan.flags & HEAD_FIRST) {
                upstream = await within(plan.ms, sent);
                plan = tell(handle, HEAD, upstream.status, upstreamHeaders(upstream));
                break;
              }
              upstream = sent;
            }
            const { response, bytes } = await within(until - now, readAnswer(upstream));
            answer = bytes;
            plan = tell(handle, ANSWER, response.status, response.ok && !quota ? '' : upstreamHeaders(response), bytes);
          } catch (error) {
            if (error instanceof WebAssembly.RuntimeError) throw error;
            plan = tell(handle, FAILED, failure(error));
          }
        }
      }
    }
  };
  return perform(begin());
}

/**
 * Makes a call and, if it says nothing for the time that core named, whatever core wants beside it. The first answer of
 * either is the exchange's; the other call is given up. What core takes out of the race ends with `ABORT`.
 * @param {import('./memory.js').Plan} plan
 * @param {(plan: import('./memory.js').Plan, signal: AbortSignal) => Promise<Response>} perform
 */
function either(plan, perform) {
  const calls = [new AbortController(), new AbortController()];
  const one = async (/** @type {number} */ own, /** @type {() => import('./memory.js').Plan} */ next) => {
    const answer = await perform(next(), calls[own].signal);
    calls[1 - own].abort();
    return answer;
  };
  const second = async () => {
    await scheduler.wait(plan.second - 1, { signal: calls[1].signal });
    return one(1, () => read(raw().weir_hedge(Date.now(), plan.handle)));
  };
  return Promise.any([one(0, () => ({ ...plan, second: 0 })), second()]);
}
