// The yardstick of the bench: the least that a gateway written in JavaScript can do.
// A key in a map, the body parsed, the model swapped, the body written, the answer handed through.

const KEYS = new Map([['weir-bench-key', 'bench']]);
const MODELS = new Map([['bench-chat', 'mock-model']]);

export default {
  async fetch(request, env) {
    const key = request.headers.get('authorization')?.slice('Bearer '.length);
    if (!KEYS.has(key)) return new Response('unknown key', { status: 401 });
    const body = JSON.parse(await request.text());
    const model = MODELS.get(body.model);
    if (!model) return new Response('unknown model', { status: 404 });
    body.model = model;
    return fetch(`${env.UPSTREAM}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${env.UPSTREAM_KEY}` },
      body: JSON.stringify(body),
    });
  },
};
