//! The Worker's entry module: worker-build's module beneath, the data path's driver beside it.
//!
//! Decides nothing about a protocol. What it does decide: what happens after the Wasm module trapped. Every exchange
//! that runs then gets a 500 at once, and the next request is served by a new instance. It does not route and does
//! not read bodies (src/drive.js performs, weir-core decides).
//! Stage: shell. Source: worker-build 0.8.7 `js/shim-unwind.js` (`checkReinitialize` runs in each proxied
//! constructor); worker 0.8.7 `src/init.rs` (the panic hook sets `criticalError`).

import Recovering, * as module from './build/index.js';
import { drive } from './src/drive.js';

/** worker-build's own record of the instance: `criticalError` after a trap, `instanceId` counts instances. */
const instance = globalThis.__worker_init_state;

/** How often an exchange that waits for the Rust side looks whether that has trapped. */
const LOOK_MS = 20;

/**
 * What `work` resolves to, or a rejection soon after the module trapped: a future inside it never settles then.
 * Each exchange looks for itself, because one exchange cannot wake another across the runtime's request contexts,
 * and one that waits for nothing else would be cancelled as hung.
 *
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
function unlessTrapped(work) {
  const begun = instance.instanceId;
  const done = new AbortController();
  const look = async () => {
    for (;;) {
      await scheduler.wait(LOOK_MS, { signal: done.signal });
      if (instance.criticalError || instance.instanceId !== begun) throw new Error('the Wasm module trapped');
    }
  };
  return Promise.race([work, look()]).finally(() => done.abort());
}

/**
 * Whether the module can no longer be called: a trap seen here, or one that its panic hook told of. A stack that
 * overflowed inside the module leaves it unusable too.
 *
 * @param {unknown} error
 * @returns {boolean}
 */
function trapped(error) {
  const overflowed = error instanceof RangeError && error.message.includes('call stack');
  return instance.criticalError || error instanceof WebAssembly.RuntimeError || overflowed;
}

/**
 * A Durable Object's class whose calls end when the module traps, so that no caller waits for them.
 *
 * @param {new (...args: unknown[]) => any} Class
 */
function guarded(Class) {
  return new Proxy(Class, {
    construct(target, args) {
      const object = Reflect.construct(target, args);
      return {
        fetch: (/** @type {Request} */ request) => unlessTrapped(object.fetch(request)),
        alarm: () => unlessTrapped(object.alarm()),
      };
    },
  });
}

export const Registry = guarded(module.Registry);
export const Limiter = guarded(module.Limiter);
export const Ledger = guarded(module.Ledger);

/**
 * The answer to the exchange in which the module trapped. Core cannot be asked any more, so the form is fixed:
 * the error envelope that every surface's clients read (`error.code`, `error.message`).
 *
 * @returns {Response}
 */
function internalError() {
  const id = crypto.randomUUID();
  const error = {
    code: 'InternalServerError',
    message: `Weir failed on this request and has restarted itself. Send it again; if it fails again, report request id ${id}.`,
    type: 'server_error',
    param: null,
  };
  return new Response(JSON.stringify({ error }), {
    status: 500,
    headers: { 'content-type': 'application/json', 'x-request-id': id, 'x-ms-request-id': id },
  });
}

export default {
  /**
   * @param {Request} request
   * @param {Record<string, unknown>} env
   * @param {ExecutionContext} ctx
   * @returns {Promise<Response>}
   */
  async fetch(request, env, ctx) {
    try {
      // Constructing the proxied entrypoint makes the new instance; its start function attaches it to the driver.
      if (instance.criticalError) new Recovering(ctx, env);
      const work = drive(request, env, ctx);
      return await (work ?? unlessTrapped(new Recovering(ctx, env).fetch(request)));
    } catch (error) {
      if (trapped(error)) instance.criticalError = true;
      console.error('exchange failed', error);
      return internalError();
    }
  },
};
