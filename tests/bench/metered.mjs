// The second reference of the bench: JavaScript with Weir's duties, written as well as we can.
// Limits per key, headers of its own, the usage of every answer recorded in batches, and streams
// that end for the caller only as they ended upstream. It is *less* than Weir in every point where
// less is possible (keys unhashed, limits of one isolate, a batch stored as one row).

import { DurableObject } from 'cloudflare:workers';

const KEYS = new Map([['weir-bench-key', newKey('bench')]]);
const MODELS = new Map([['bench-chat', 'mock-model']]);
const FLUSH_MS = 100;
const DRAIN_MS = 250;
const PIECE_BYTES = 65536;
const DECODER = new TextDecoder();

let batch = [];

function newKey(name) {
  return { name, requests: bucket(1e9), tokens: bucket(1e12) };
}

function bucket(perMinute) {
  return { perMinute, left: perMinute, at: 0 };
}

function refill(limit, now) {
  limit.left = Math.min(limit.perMinute, limit.left + ((now - limit.at) / 60000) * limit.perMinute);
  limit.at = now;
}

export default {
  async fetch(request, env, ctx) {
    const key = KEYS.get(request.headers.get('authorization')?.slice('Bearer '.length));
    if (!key) return new Response('unknown key', { status: 401 });
    const text = await request.text();
    const body = JSON.parse(text);
    const model = MODELS.get(body.model);
    if (!model) return new Response('unknown model', { status: 404 });

    const now = Date.now();
    const estimate = (text.length >> 2) + (body.max_tokens ?? 256);
    refill(key.requests, now);
    refill(key.tokens, now);
    if (key.requests.left < 1 || key.tokens.left < estimate) {
      return new Response('too many requests', { status: 429, headers: { 'retry-after': '1' } });
    }
    key.requests.left -= 1;
    key.tokens.left -= estimate;

    body.model = model;
    const upstream = await fetch(`${env.UPSTREAM}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${env.UPSTREAM_KEY}` },
      body: JSON.stringify(body),
    });
    const headers = {
      'content-type': upstream.headers.get('content-type'),
      'x-request-id': crypto.randomUUID(),
      'x-ratelimit-remaining-requests': `${Math.floor(key.requests.left)}`,
      'x-ratelimit-remaining-tokens': `${Math.floor(key.tokens.left)}`,
    };
    const exchange = { key, model, estimate, now, env, ctx };
    if (body.stream) {
      return new Response(watched(upstream.body, exchange), { status: upstream.status, headers });
    }
    const answer = await upstream.text();
    settle(exchange, JSON.parse(answer).usage);
    return new Response(answer, { status: upstream.status, headers });
  },
};

/** Hands the stream through natively; its end is held back until the tail has been judged. */
function watched(stream, exchange) {
  const [caller, side] = stream.tee();
  const { readable, writable } = new IdentityTransformStream();
  const passed = caller.pipeTo(writable, { preventClose: true });
  exchange.ctx.waitUntil(judge(passed, side, writable, exchange));
  return readable;
}

async function judge(passed, side, writable, exchange) {
  const tail = await drain(passed, side);
  const complete = tail.trimEnd().endsWith('data: [DONE]');
  const line = tail.split('\n').findLast((one) => one.startsWith('data: {') && one.includes('"usage":{'));
  settle(exchange, line && JSON.parse(line.slice('data: '.length)).usage);
  if (complete) await writable.close();
  else await writable.abort(new Error('the upstream broke off'));
}

/** Reads the second branch rarely, so that no read waits while events pass; keeps the last two pieces. */
async function drain(passed, side) {
  const reader = side.getReader({ mode: 'byob' });
  let over = false;
  const end = passed.then(() => (over = true), () => (over = true));
  let last = '';
  let buffer = new ArrayBuffer(PIECE_BYTES);
  for (;;) {
    if (!over) await Promise.race([end, scheduler.wait(DRAIN_MS)]);
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done) return last;
    last = last.slice(-PIECE_BYTES) + DECODER.decode(value);
    buffer = value.buffer;
  }
}

function settle({ key, model, estimate, now, env, ctx }, usage) {
  const used = usage?.total_tokens ?? estimate;
  key.tokens.left += estimate - used;
  batch.push({ key: key.name, model, at: now, input: usage?.prompt_tokens, output: usage?.completion_tokens });
  if (batch.length === 1) ctx.waitUntil(flush(env));
}

async function flush(env) {
  await scheduler.wait(FLUSH_MS);
  const records = batch;
  batch = [];
  await env.SINK.get(env.SINK.idFromName('sink')).record(records);
}

/** Where the usage ends: one row of SQLite for a batch. */
export class Sink extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, records TEXT)');
  }

  record(records) {
    this.ctx.storage.sql.exec('INSERT INTO batch (records) VALUES (?)', JSON.stringify(records));
    return records.length;
  }
}
