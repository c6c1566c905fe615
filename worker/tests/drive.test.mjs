// The driver performs plans and nothing else: each row is a list of plans, and what must have been done.
import assert from 'node:assert/strict';
import test from 'node:test';
import { context, core } from './platform.mjs';
import { edited } from '../src/body.js';
import { drive } from '../src/drive.js';

const HAND_THROUGH = 11, READ_MORE = 12, READ_PIECE = 14, READ_HEADERS = 15, QUOTA = 16, REST = 8, STREAMS = 1 << 30;
const REPLY = 0, SEND = 1, CALLS = 2, WAIT = 3, DELIVER = 4, DELIVER_STREAM = 5, PASS = 7, INSTEAD = 8, CLOSE = 9, ABORT = 10;
const HEAD_FIRST = 1, SCRIPT = 2, MODEL = 64;
const url = 'https://weir.example/v1/chat/completions';
const chat = (body = '{"model":"m"}') =>
  new Request(url, { method: 'POST', body, headers: { authorization: 'Bearer k', 'x-other': 'no' } });

/** An upstream of the test's own; notes what it was asked. */
function upstream(t, answer) {
  const asked = [];
  t.mock.method(globalThis, 'fetch', async (address, init) => {
    asked.push({ address, ...init, body: new TextDecoder().decode(init.body) });
    return answer(init);
  });
  return asked;
}

/** A byte stream of pieces; `broken` ends it with an error. */
const pieces = (list, broken = false) =>
  new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const piece = list.shift();
      if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece));
      else if (broken) controller.error(new Error('reset'));
      else { controller.close(); controller.byobRequest?.respond(0); }
    },
  });

test('a route that is not the data path is left to others', () => {
  core([], { wanted: -1 });
  assert.equal(drive(chat(), {}, context()), undefined);
});

test('a reply goes out as it is, and core gets the wanted headers only', async () => {
  const told = core([{ kind: REPLY, status: 401, lines: ['', 'x-request-id', 'r1'], bytes: '{"error":{}}' }], { wanted: 1 });
  const response = await drive(chat(), {}, context());
  assert.equal(response.status, 401);
  assert.equal(response.headers.get('x-request-id'), 'r1');
  assert.equal(await response.text(), '{"error":{}}');
  assert.deepEqual(told[0], { event: 'begin', text: `POST\n${url}\nBearer k\n`, body: '{"model":"m"}', length: 13 });
});

test('a silent call gets another beside it; the first answer is the exchange\'s, and the other call is given up', async (t) => {
  const signals = [];
  const asked = upstream(t, ({ signal }) => {
    signals.push(signal);
    if (signals.length === 2) return new Response('x', { status: 418 });
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  });
  const send = (handle, headAfter) => ({ kind: SEND, ms: 5000, flags: HEAD_FIRST, lines: [`https://up.example/${handle}`], handle, headAfter });
  const told = core([send(7, 21), send(8, 0), { kind: REPLY, status: 200, bytes: 'second' }, { kind: ABORT }]);
  const response = await drive(chat(), {}, context());
  assert.equal(await response.text(), 'second');
  await new Promise((done) => setTimeout(done, 5));
  assert.deepEqual(asked.map(({ address }) => address), ['https://up.example/7', 'https://up.example/8']);
  assert.deepEqual(told.slice(1).map(({ event, handle }) => [event, handle]), [['hedge', 7], [1, 8], [3, 7]]);
  assert.equal(signals[0].aborted, true);
});

test('a quick call gets no other beside it', async (t) => {
  upstream(t, () => new Response('x'));
  const told = core([
    { kind: SEND, ms: 5000, flags: HEAD_FIRST, lines: ['https://up.example/7'], handle: 7, headAfter: 11 },
    { kind: REPLY, status: 200, bytes: 'first' },
  ]);
  assert.equal(await (await drive(chat(), {}, context())).text(), 'first');
  await new Promise((done) => setTimeout(done, 30));
  assert.deepEqual(told.slice(1).map(({ event }) => event), [1]);
});

test('a plain call is sent with its edits, read whole and delivered with the head of core', async (t) => {
  const asked = upstream(t, () => Response.json({ id: 1 }));
  const told = core([
    { kind: SEND, ms: 1000, lines: ['https://up.example/v1/chat', 'authorization', 'Bearer secret'], edits: [[9, 12, '"gpt"']], handle: 7 },
    { kind: DELIVER, status: 200, lines: ['', 'content-type', 'application/json'] },
  ]);
  const response = await drive(chat(), {}, context());
  assert.equal(await response.text(), '{"id":1}');
  assert.equal(asked[0].body, '{"model":"gpt"}');
  assert.equal(asked[0].redirect, 'manual');
  assert.deepEqual(asked[0].headers, { authorization: 'Bearer secret' });
  assert.deepEqual(told[1], { event: 2, code: 200, handle: 7, text: '', body: '{"id":1}' });
});

test('a model of the platform is asked by its binding: its answer, and what it throws as its REST route tells it', async () => {
  const asked = [];
  const AI = {
    run: async (...args) => {
      asked.push(args);
      if (args[0] === '@cf/none') throw new Error('5007: No such model @cf/none');
      return Response.json({ response: 'hello' });
    },
  };
  const plan = (model) => [
    { kind: SEND, flags: MODEL, ms: 1000, lines: [model, 'content-type', 'application/json'], edits: [[0, 13, '{"prompt":"x"}']] },
    { kind: REPLY, status: 200 },
  ];
  let told = core(plan('@cf/meta/llama'));
  await drive(chat(), { AI }, context());
  assert.deepEqual(asked[0], ['@cf/meta/llama', { prompt: 'x' }, { returnRawResponse: true }]);
  assert.deepEqual([told[1].event, told[1].code, told[1].body], [2, 200, '{"response":"hello"}']);
  told = core(plan('@cf/none'));
  await drive(chat(), { AI }, context());
  assert.deepEqual([told[1].code, JSON.parse(told[1].body).errors[0].message], [500, 'Error: 5007: No such model @cf/none']);
  told = core(plan('@cf/meta/llama'));
  await drive(chat(), {}, context());
  assert.deepEqual([told[1].event, told[1].code], [3, 0]);
});

test('an upstream that fails is told as such: unreachable, timed out', async (t) => {
  const never = () => new Promise(() => {});
  for (const [answer, code] of [[() => Promise.reject(new TypeError('refused')), 0], [never, 1]]) {
    upstream(t, answer);
    const told = core([{ kind: SEND, ms: 10, lines: ['https://up.example/'] }, { kind: REPLY, status: 502 }]);
    assert.equal((await drive(chat(), {}, context())).status, 502);
    assert.deepEqual([told[1].event, told[1].code], [3, code]);
    t.mock.restoreAll();
  }
});

test('waits and object calls are performed, then told', async () => {
  const told = core(
    [{ kind: CALLS }, { kind: WAIT, ms: 5 }, { kind: REPLY, status: 200 }],
    { objectCalls: [{ id: 9, kind: 1, name: 'default/chat', body: '{"q":1}' }] },
  );
  const asked = [];
  const LIMITER = { idFromName: (name) => name, get: (name) => ({ fetch: async (_, init) => { asked.push([name, new TextDecoder().decode(init.body)]); return new Response('{"a":1}'); } }) };
  await drive(chat(), { LIMITER }, context());
  assert.deepEqual(asked, [['default/chat', '{"q":1}']]);
  assert.deepEqual(told.slice(1).map((row) => row.called ?? row.event), [9, 0, 0]);
  assert.equal(told[1].body, '{"a":1}');
});

test('an object that does not answer is told as lost', async () => {
  const told = core([{ kind: CALLS }, { kind: REPLY, status: 503 }], { objectCalls: [{ id: 3, kind: 0, name: 'default', body: '{}' }] });
  const REGISTRY = { idFromName: (name) => name, get: () => ({ fetch: async () => { throw new Error('gone'); } }) };
  await drive(chat(), { REGISTRY }, context());
  assert.deepEqual([told[1].called, told[1].ok], [3, 0]);
});

test('a stream is relayed piece by piece as core says, and closed when core says so', async (t) => {
  upstream(t, () => new Response(pieces(['one', 'two', 'three']), { headers: { 'content-type': 'text/event-stream' } }));
  const ctx = context();
  const told = core([
    { kind: SEND, flags: HEAD_FIRST, ms: 1000, lines: ['https://up.example/'] },
    { kind: DELIVER_STREAM, status: 200, ms: 1000, lines: ['', 'content-type', 'text/event-stream'] },
    { kind: PASS }, { kind: INSTEAD, bytes: 'TWO' }, { kind: INSTEAD }, { kind: CLOSE },
  ]);
  const response = await drive(chat(), {}, ctx);
  assert.equal(await response.text(), 'oneTWO');
  await ctx.settled();
  assert.deepEqual(told.map((row) => row.event), ['begin', 1, 4, 4, 4, 5]);
  assert.equal(told[1].text, 'text/event-stream\n\n\n');
  assert.equal(told.at(-1).code, 0);
});

test('a stream that breaks, or that core judges incomplete, breaks for the caller too', async (t) => {
  for (const broken of [true, false]) {
    upstream(t, () => new Response(pieces(['one'], broken)));
    const ctx = context();
    const told = core([
      { kind: SEND, flags: HEAD_FIRST, ms: 1000, lines: ['https://up.example/'] },
      { kind: DELIVER_STREAM, status: 200, ms: 1000 }, { kind: PASS }, { kind: ABORT },
    ]);
    const response = await drive(chat(), {}, ctx);
    await assert.rejects(response.text());
    await ctx.settled();
    assert.deepEqual([told.at(-1).event, told.at(-1).code], [5, broken ? 1 : 0]);
    t.mock.restoreAll();
  }
});

test('what is held back goes out before the rest, and a stream that fails while it is held gives way to the next call', async (t) => {
  let cancelled = 0;
  const first = new ReadableStream({
    type: 'bytes',
    start: (controller) => controller.enqueue(new TextEncoder().encode('begin')),
    cancel: () => void cancelled++,
  });
  const answers = [new Response(first), new Response(pieces(['hold', 'more']))];
  upstream(t, () => answers.shift());
  const ctx = context();
  const told = core([
    { kind: SEND, flags: HEAD_FIRST, ms: 1000, lines: ['https://one.example/'] },
    { kind: READ_PIECE, ms: 1000 }, { kind: READ_PIECE, ms: 5 },
    { kind: SEND, flags: HEAD_FIRST, ms: 1000, lines: ['https://two.example/'] },
    { kind: READ_PIECE, ms: 1000 },
    { kind: DELIVER_STREAM, status: 200, ms: 1000, bytes: 'HELD' }, { kind: PASS }, { kind: CLOSE },
  ]);
  const response = await drive(chat(), {}, ctx);
  assert.equal(await response.text(), 'HELDmore');
  await ctx.settled();
  assert.deepEqual(told.map((row) => [row.event, row.body]), [
    ['begin', '{"model":"m"}'], [1, ''], [4, 'begin'], [3, ''], [1, ''], [4, 'hold'], [4, 'more'], [5, ''],
  ]);
  assert.equal(told[3].code, 1, 'nothing came in time');
  assert.equal(cancelled, 1, 'the first stream is given up');
});

test('an upstream that is asked for its quota is heard, also with a good answer; all headers are read when core asks', async (t) => {
  upstream(t, () => Response.json({}, { headers: { 'y-requests-left': '7', 'x-left-tokens': '9' } }));
  const told = core([
    { kind: READ_HEADERS },
    { kind: SEND, ms: 1000, flags: QUOTA, lines: ['https://up.example/'] }, { kind: DELIVER, status: 200 },
  ], { wanted: 0 });
  await drive(chat(), {}, context());
  assert.deepEqual(told.slice(0, 2).map((row) => row.text), [`POST\n${url}\n\n`, `POST\n${url}\nBearer k\n\nall`]);
  assert.equal(told[2].text, 'application/json\n\n7\n9');
});

test('a simulated answer is played, not fetched', async (t) => {
  const asked = upstream(t, () => Response.error());
  core([
    { kind: SEND, flags: SCRIPT, status: 200, ms: 1000, lines: ['', 'content-type', 'application/json'], script: [[1, '{"a"'], [0, ':1}']] },
    { kind: DELIVER, status: 200 },
  ]);
  assert.equal(await (await drive(chat(), {}, context())).text(), '{"a":1}');
  assert.equal(asked.length, 0);
});

test('a body over the bound is not read, only its length is told', async () => {
  const told = core([{ kind: REPLY, status: 413 }]);
  const request = new Request(url, { method: 'POST', body: 'x'.repeat(2000), headers: { 'content-length': '2000' } });
  await drive(request, {}, context());
  assert.deepEqual([told[0].body, told[0].length], ['', 2000]);
});

test('edits replace byte ranges and nothing else', () => {
  const bytes = (text) => new TextEncoder().encode(text);
  const rows = [
    ['abc', [], 'abc'],
    ['abc', [[0, 1, 'X']], 'Xbc'],
    ['abcdef', [[1, 3, ''], [5, 5, 'YY']], 'adeYYf'],
    ['', [[0, 0, 'new']], 'new'],
  ];
  for (const [body, edits, want] of rows) {
    const out = edited(bytes(body), edits.map(([start, end, text]) => ({ start, end, bytes: bytes(text) })));
    assert.equal(new TextDecoder().decode(out), want);
  }
});

test('a body that streams is read as far as core asks, edited there, and its rest follows', async (t) => {
  const told = core([{ kind: READ_MORE }, { kind: SEND, flags: HEAD_FIRST | REST, ms: 1000, lines: ['https://up.example/'], edits: [[0, 2, 'XYZ']] }, { kind: HAND_THROUGH, status: 201, lines: ['', 'content-type', 'audio/mpeg'] }], { wanted: STREAMS });
  const sent = [];
  t.mock.method(globalThis, 'fetch', async (address, init) => {
    sent.push([address, init.method, await new Response(init.body).text()]);
    return new Response(pieces(['so', 'und']), { headers: { 'content-type': 'audio/mpeg' } });
  });
  const request = new Request(url, { method: 'POST', body: pieces(['ab', 'cd', 'ef', 'gh']), duplex: 'half' });
  const answer = await drive(request, {}, context());
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get('content-type'), 'audio/mpeg');
  assert.equal(await answer.text(), 'sound');
  assert.deepEqual(sent, [['https://up.example/', 'POST', 'XYZcdefgh']]);
  assert.ok(told);
});

test('a call without a body keeps its method', async (t) => {
  core([{ kind: SEND, flags: HEAD_FIRST, ms: 1000, lines: ['https://up.example/files/f'] }, { kind: HAND_THROUGH, status: 204, lines: [''] }]);
  const sent = [];
  t.mock.method(globalThis, 'fetch', async (address, init) => {
    sent.push([address, init.method, init.body]);
    return new Response(null, { status: 204 });
  });
  const answer = await drive(new Request(url, { method: 'DELETE' }), {}, context());
  assert.equal(answer.status, 204);
  assert.deepEqual(sent, [['https://up.example/files/f', 'DELETE', null]]);
});
