// The data path's driver: performs what the Wasm module decides. Placeholder until the pipeline is attached.
let wasm;
export function attach(exports) {
  wasm = exports;
  globalThis.__drive = async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === '/healthz') return new Response('ok');
    return new Response('not found', { status: 404 });
  };
}
