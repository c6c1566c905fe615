// @ts-check
/**
 * The data path's driver: performs the flat plans that weir-core writes. It decides nothing: every answer, wait,
 * call and end is one that core asked for. A request never waits for a promise of another request.
 */

import { call, failure, readAnswer, readBody, upstreamHeaders, within } from './body.js';
import {
  ABORT, ANSWER, CALLS, CLOSED, DELIVER, DELIVER_STREAM, ENDED, FAILED, HAND_THROUGH, HEAD, HEAD_FIRST, NOTHING, PIECE,
  QUOTA, READ_HEADERS, READ_MORE, READ_PIECE, REPLY, REST, RESUMED, SEND, STREAMS, WAIT, headersOf, raw, read, renewed, tell, text, view, write,
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
  const { headers, method } = request;
  const declared = headers.get('content-length');
  const upload = wanted & STREAMS ? new Upload(request, declared === null ? -1 : Number(declared)) : null;
  const body = upload ? await upload.more() : Number(declared) > limit ? NOTHING : await readBody(request, declared, limit);
  const length = upload?.length ??
    (body === null ? limit + 1 : Math.max(body.byteLength, Number(declared) > limit ? Number(declared) : 0));
  const lines = (/** @type {number} */ which) => {
    let head = start;
    for (let i = 0; i < headerNames.length; i++)
      head += '\n' + (which & (1 << i) ? (headers.get(headerNames[i]) ?? '') : '');
    return head;
  };
  let head = lines(wanted);
  let given = body ?? NOTHING;
  let plan = read(raw().weir_begin(Date.now(), write(head, given), given.byteLength, length));
  /** The answer of the call, or the promise of it. @type {any} */ let upstream;
  let answer = NOTHING, until = 0, quota = 0;
  /** The upstream's stream, once it is read piece by piece. @type {Pieces | null} */ let pieces = null;
  for (;;) {
    if (plan.callsAfter) ctx.waitUntil(keepCalling(env, plan.callsAfter));
    switch (plan.kind) {
      case REPLY:
        pieces?.cancel();
        if (upload && !upload.ended && !upstream) await upload.drain(limit);
        return new Response(plan.bytes, { status: plan.status, headers: headersOf(plan) });
      case DELIVER: return new Response(answer, { status: plan.status, headers: headersOf(plan) });
      case DELIVER_STREAM: return relay(plan, pieces ?? new Pieces(upstream.body), env, ctx);
      case HAND_THROUGH: return new Response(upstream.body, { status: plan.status, headers: headersOf(plan) });
      case READ_MORE:
        given = await /** @type {Upload} */ (upload).more();
        plan = read(raw().weir_begin(Date.now(), write(head, given), given.byteLength, upload?.length));
        break;
      case READ_HEADERS:
        head = lines(-1) + '\nall';
        plan = read(raw().weir_begin(Date.now(), write(head, given), given.byteLength, upload?.length ?? length));
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
            const sent = upload && plan.flags & REST ? upload.send(plan, ctx) : call(plan, given, method, env);
            if (plan.flags & HEAD_FIRST) {
              upstream = await within(plan.ms, sent);
              plan = tell(handle, HEAD, upstream.status, upstreamHeaders(upstream, quota));
              break;
            }
            upstream = sent;
          }
          const whole = await within(until - now, readAnswer(upstream));
          answer = whole.bytes;
          plan = tell(handle, ANSWER, whole.status, whole.ok && !quota ? '' : upstreamHeaders(whole, quota), answer);
        } catch (error) {
          if (error instanceof WebAssembly.RuntimeError) throw error;
          plan = tell(handle, FAILED, failure(error));
        }
      }
    }
  }
}
