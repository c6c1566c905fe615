// @ts-check
/**
 * Shows the Wasm module to the driver. worker-build bundles this snippet with the module, where the entry cannot
 * import it from: hence the one name on `globalThis`. Runs again when the module is made anew after a trap.
 *
 * @param {unknown} exports the module's raw exports
 * @param {WebAssembly.Memory} memory its memory
 */
export function attach(exports, memory) {
  globalThis['__weir'] = { exports, memory };
}
