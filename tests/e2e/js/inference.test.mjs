// @azure-rest/ai-inference (JavaScript), unpatched, on an account and on a serverless endpoint.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';

const modules = process.env.WEIR_E2E_NODE_MODULES ?? new URL('../node_modules', import.meta.url).pathname;
const require = createRequire(path.join(modules, 'weir-e2e.cjs'));
const { default: ModelClient, isUnexpected } = require('@azure-rest/ai-inference');
const { AzureKeyCredential } = require('@azure/core-auth');
const { createSseStream } = require('@azure/core-sse');

const url = process.env.WEIR_URL ?? 'http://127.0.0.1:8787';
const key = new AzureKeyCredential(process.env.WEIR_KEY ?? 'weir-dev-key');
const messages = [{ role: 'user', content: 'one two three' }];

for (const base of [`${url}/models`, `${url}/serverless/demo-chat`]) {
  const client = ModelClient(base, key, { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } });
  const named = (what) => `${base.slice(url.length)}: ${what}`;

  test(named('chat'), async () => {
    const answer = await client.path('/chat/completions').post({ body: { model: 'demo-chat', messages } });
    assert.ok(!isUnexpected(answer), JSON.stringify(answer.body));
    assert.equal(answer.status, '200');
    assert.ok(answer.body.choices[0].message.content);
  });

  test(named('a stream'), async () => {
    const answer = await client.path('/chat/completions').post({ body: { model: 'demo-chat', messages, stream: true } }).asNodeStream();
    let text = '';
    let done = false;
    for await (const event of createSseStream(answer.body)) {
      if (event.data === '[DONE]') done = true;
      else text += JSON.parse(event.data).choices[0]?.delta?.content ?? '';
    }
    assert.ok(text && done);
  });

  test(named('a value that is not supported is unexpected, with its code'), async () => {
    const answer = await client.path('/chat/completions').post({ body: { model: 'demo-chat', messages, temperature: 9 } });
    assert.ok(isUnexpected(answer));
    assert.equal(answer.status, '422');
    assert.equal(answer.body.code, 'parameter_not_supported');
  });

  test(named('members beyond the schema follow the header'), async () => {
    const post = (headers) => client.path('/chat/completions').post({ body: { model: 'demo-chat', messages, n: 2 }, headers });
    assert.equal((await post({})).status, '400');
    assert.equal((await post({ 'extra-parameters': 'drop' })).body.choices.length, 1);
    assert.equal((await post({ 'extra-parameters': 'pass-through' })).body.choices.length, 2);
  });
}

test('embeddings, of images too', async () => {
  const client = ModelClient(`${url}/models`, key, { allowInsecureConnection: true });
  const texts = await client.path('/embeddings').post({ body: { model: 'demo-embed', input: ['a river'] } });
  assert.equal(texts.body.data.length, 1);
  const images = await client.path('/images/embeddings').post({ body: { model: 'demo-embed', input: [{ image: 'data:image/png;base64,AAAA' }] } });
  assert.equal(images.body.data.length, 1);
});
