//! The Worker's entry module: worker-build's classes and recovery beneath, the data path's driver beside them.
//!
//! Decides nothing about a protocol. What it does decide: what happens after the Wasm module trapped. The caller
//! of that moment gets a 500 at once, and the next request is served by a new instance. It does not route and does
//! not read bodies (src/drive.js performs, weir-core decides).
//! Stage: shell. Source: worker-build 0.8.7 `js/shim-unwind.js` (its `checkReinitialize` runs in the proxied
//! constructor).

import Recovering from './build/index.js';
import { drive } from './src/drive.js';

export * from './build/index.js';

/** worker-build's own record of the instance: `criticalError` after a trap, `instanceId` counts instances. */
const instance = globalThis.__worker_init_state;

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

/**
 * Whether the module can no longer be called: it trapped, or a panic hook said so before the trap was seen here.
 *
 * @param {unknown} error
 * @returns {boolean}
 */
function trapped(error) {
  return error instanceof WebAssembly.RuntimeError || instance.criticalError;
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
      // Constructing the proxied entrypoint makes the new instance; its start function attaches the driver again.
      if (instance.criticalError) new Recovering(ctx, env);
      const answer = drive(request, env, ctx);
      return await (answer ?? new Recovering(ctx, env).fetch(request));
    } catch (error) {
      if (trapped(error)) instance.criticalError = true;
      console.error('exchange failed', error);
      return internalError();
    }
  },
};
