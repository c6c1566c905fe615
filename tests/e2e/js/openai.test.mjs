// openai (JavaScript), unpatched: `OpenAI` on three base addresses and `AzureOpenAI`.
// Decides that users of these clients get answers, streams, embeddings and the errors they know.
// The client is found in WEIR_E2E_NODE_MODULES (set by run.py), else beside this package.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';

const modules = process.env.WEIR_E2E_NODE_MODULES ?? new URL('../node_modules', import.meta.url).pathname;
const require = createRequire(path.join(modules, 'weir-e2e.cjs'));
const { OpenAI, AzureOpenAI } = require('openai');

const url = process.env.WEIR_URL ?? 'http://127.0.0.1:8787';
const apiKey = process.env.WEIR_KEY ?? 'weir-dev-key';
const upstreamModel = process.env.WEIR_E2E_ENDPOINT; // a serving endpoint over upstream.py, made by test_javascript.py
const messages = [{ role: 'user', content: 'one two three' }];

const client = (kind, options = {}) => {
  const common = { apiKey, maxRetries: 0, timeout: 30_000, ...options };
  return kind === 'azure'
    ? new AzureOpenAI({ endpoint: url, apiVersion: '2024-10-21', ...common })
    : new OpenAI({ baseURL: url + kind, ...common });
};

/** Text and usage of a stream. */
const collect = async (stream) => {
  let text = '';
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  return { text, usage };
};

for (const kind of ['/v1', '/openai/v1', '/serving-endpoints', 'azure']) {
  const named = (what) => `${kind}: ${what}`;

  test(named('chat answers with counts'), async () => {
    const answer = await client(kind).chat.completions.create({ model: 'demo-chat', messages });
    assert.ok(answer.choices[0].message.content);
    assert.match(answer.model, /simulator/);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test(named('a stream says the same as the plain answer'), async () => {
    const c = client(kind);
    const plain = await c.chat.completions.create({ model: 'demo-chat', messages });
    const request = { model: 'demo-chat', messages, stream: true, stream_options: { include_usage: true } };
    const streamed = await collect(await c.chat.completions.create(request));
    assert.equal(streamed.text, plain.choices[0].message.content);
    assert.equal(streamed.usage.total_tokens, plain.usage.total_tokens);
  });

  test(named('an upstream in another process answers and streams'), async () => {
    const c = client(kind);
    const plain = await c.chat.completions.create({ model: upstreamModel, messages });
    assert.equal(plain.choices[0].message.content, 'echo: one two three');
    const streamed = await collect(await c.chat.completions.create({ model: upstreamModel, messages, stream: true }));
    assert.deepEqual(streamed, { text: 'echo: one two three', usage: null });
  });

  test(named('embeddings'), async () => {
    const answer = await client(kind).embeddings.create({ model: 'demo-embed', input: ['a river', 'a weir'] });
    assert.equal(answer.data.length, 2);
    assert.equal(typeof answer.data[0].embedding[0], 'number');
  });

  test(named('a wrong key is an AuthenticationError with a message'), async () => {
    const call = client(kind, { apiKey: 'wrong' }).chat.completions.create({ model: 'demo-chat', messages });
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.doesNotMatch(error.message, /no body/);
      return true;
    });
  });

  test(named('an unknown deployment is a NotFoundError with a message'), async () => {
    const call = client(kind).chat.completions.create({ model: 'no-such-deployment', messages });
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.doesNotMatch(error.message, /no body/);
      return true;
    });
  });

  test(named('leaving a stream early is not an error'), async () => {
    const request = { model: 'demo-chat', messages, stream: true };
    for await (const chunk of await client(kind).chat.completions.create(request)) {
      // Where a content filter is on, Azure's first event tells of the prompt and has an empty id.
      assert.equal(typeof chunk.id, 'string');
      break;
    }
  });
}

for (const kind of ['/v1', '/openai/v1', 'azure']) {
  const named = (what) => `${kind}: ${what}`;
  const c = kind === 'azure' ? client(kind, { apiVersion: '2025-03-01-preview' }) : client(kind);

  test(named('a transcription whose form has the file first'), async () => {
    const file = new File([new Uint8Array(300_000)], 'a.wav');
    const answer = await c.audio.transcriptions.create({ file, model: upstreamModel });
    assert.equal(answer.text, '300000 bytes');
  });

  test(named('speech comes as bytes'), async () => {
    const speech = await c.audio.speech.create({ model: upstreamModel, voice: 'alloy', input: 'hello' });
    assert.equal((await speech.arrayBuffer()).byteLength, 32 * 4096);
  });

  test(named('images'), async () => {
    const answer = await c.images.generate({ model: upstreamModel, prompt: 'a river' });
    assert.equal(answer.data[0].b64_json, 'AAAA');
  });

  test(named('a response and its stream'), async () => {
    const made = await c.responses.create({ model: upstreamModel, input: 'one' });
    assert.equal(made.output_text, 'echo: one');
    assert.equal((await c.responses.retrieve(made.id)).id, made.id);
    const kinds = [];
    for await (const event of await c.responses.create({ model: upstreamModel, input: 'one', stream: true })) kinds.push(event.type);
    assert.equal(kinds.at(-1), 'response.completed');
  });

  test(named('a response of a model that has no such API'), async () => {
    const tools = [{ type: 'function', name: 'weather', strict: false, parameters: { type: 'object', properties: { city: { type: 'string' } } } }];
    const made = await c.responses.create({ model: 'demo-chat', input: 'Name three rivers, please.' });
    const stream = c.responses.stream({ model: 'demo-chat', input: 'Name three rivers, please.' });
    let said = '';
    stream.on('response.output_text.delta', (event) => { said += event.delta; });
    const final = await stream.finalResponse();
    assert.equal(final.output_text, made.output_text);
    assert.equal(said, made.output_text);
    assert.deepEqual(final.usage, made.usage);
    const called = await c.responses.stream({ model: 'demo-chat', input: 'The weather?', tools, tool_choice: 'required' }).finalResponse();
    assert.equal(called.output.at(-1).name, 'weather');
    JSON.parse(called.output.at(-1).arguments);
    await assert.rejects(c.responses.create({ model: 'demo-chat', input: 'x', background: true }), { status: 400 });
  });

  test(named('a file comes back by its id'), async () => {
    const upload = { purpose: 'batch', file: new File(['{}'], 'a.jsonl') };
    const file = await c.files.create(upload, { headers: { 'x-weir-deployment': upstreamModel } });
    assert.equal(await (await c.files.content(file.id)).text(), '{}');
  });

  test(named('models are listed'), async () => {
    const names = [];
    for await (const model of c.models.list()) names.push(model.id);
    assert.ok(names.includes('demo-chat'));
  });
}
