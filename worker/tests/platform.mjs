// The parts of workerd that the driver uses and Node has not, and a core whose plans a test writes by hand.
// Decides nothing: each test says what core answers to which call.

globalThis.scheduler ??= {
  wait: (_ms, { signal } = {}) =>
    new Promise((resolve, reject) => setImmediate(() => (signal?.aborted ? reject(signal.reason) : resolve()))),
};

/** Node's own transform has no byte reader; the driver asks for one on the upstream's side only. */
globalThis.IdentityTransformStream ??= class {
  constructor() {
    let controller;
    /** What the driver did to the caller's stream. */
    this.ended = undefined;
    this.readable = new ReadableStream({ type: 'bytes', start: (c) => (controller = c), cancel: (reason) => this.fail?.(reason) });
    this.writable = new WritableStream({
      write: (chunk) => controller.enqueue(new Uint8Array(chunk)),
      close: () => controller.close(),
      abort: (reason) => controller.error(reason),
      start: (c) => (this.fail = (reason) => c.error(reason)),
    });
  }
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One flat plan as `weir-core/src/exchange/flat.rs` writes it. */
export function flat({ kind, status = 0, ms = 0, flags = 0, lines = [], bytes = '', edits = [], script = [], scriptEnd = 0, handle = 1, callsAfter = 0, headAfter = 0 }) {
  const words = new Uint32Array(16);
  let tail = [];
  let length = 64;
  const append = (/** @type {Uint8Array} */ part) => {
    const at = length;
    tail.push(part);
    length += part.byteLength;
    return [at, part.byteLength];
  };
  const table = (/** @type {number[]} */ numbers) => {
    while (length % 4) append(new Uint8Array(1));
    return append(new Uint8Array(new Uint32Array(numbers).buffer))[0];
  };
  words.set([kind, status, ms, flags, ...append(encoder.encode(lines.join('\n'))), ...append(encoder.encode(bytes))]);
  const edited = edits.flatMap(([start, end, text]) => [start, end, ...append(encoder.encode(text))]);
  words.set([table(edited), edits.length], 8);
  const played = script.flatMap(([delay, text]) => [delay, 0, ...append(encoder.encode(text))]);
  words.set([table(played), script.length, scriptEnd, handle, callsAfter, headAfter], 10);
  const out = new Uint8Array(length);
  out.set(new Uint8Array(words.buffer));
  let at = 64;
  for (const part of tail) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

/**
 * A core that answers each event with the next plan and notes what it was told.
 * @param {any[]} plans
 */
export function core(plans, { wanted = 3, objectCalls = [] } = {}) {
  const memory = new WebAssembly.Memory({ initial: 4 });
  const told = [];
  const room = 65536, planAt = 8;
  let calls = 0;
  const next = () => {
    const plan = flat(plans.shift() ?? { kind: 0, status: 599 });
    new Uint8Array(memory.buffer).set(plan, planAt);
    return planAt;
  };
  const roomText = (/** @type {number} */ from, /** @type {number} */ length) =>
    decoder.decode(new Uint8Array(memory.buffer, room + from, length));
  const exports = {
    weir_room: () => room,
    weir_configure: () => {},
    weir_header_names: () => {
      const names = encoder.encode('authorization\napi-key\n\ncontent-type\nretry-after\nx-left-requests y-requests-left\nx-left-tokens');
      new Uint8Array(memory.buffer).set(names, 200_000);
      new Uint32Array(memory.buffer, 190_000, 2).set([200_000, names.byteLength]);
      return 190_000;
    },
    weir_body_bytes_max: () => 1000,
    weir_classify: () => wanted,
    weir_begin: (_now, textLength, given, length) => {
      told.push({ event: 'begin', text: roomText(0, textLength), body: roomText(textLength, given), length });
      return next();
    },
    weir_event: (_now, handle, event, code, textLength, bodyLength) => {
      told.push({ event, code, handle, text: roomText(0, textLength), body: roomText(textLength, bodyLength) });
      return next();
    },
    weir_hedge: (_now, handle) => {
      told.push({ event: 'hedge', handle });
      return next();
    },
    weir_call: () => {
      const call = objectCalls[calls++];
      if (!call) return 0;
      const [name, body] = [encoder.encode(call.name), encoder.encode(call.body)];
      const at = 180_000;
      new Uint32Array(memory.buffer, at, 6).set([call.id, call.kind, 24, name.byteLength, 24 + name.byteLength, body.byteLength]);
      new Uint8Array(memory.buffer).set(name, at + 24);
      new Uint8Array(memory.buffer).set(body, at + 24 + name.byteLength);
      return at;
    },
    weir_calls_due: () => 0,
    weir_called: (_now, id, ok, length) => told.push({ called: id, ok, body: roomText(0, length) }),
  };
  globalThis['__weir'] = { exports, memory };
  return told;
}

/** A context that lets a test wait for what the driver left running. */
export function context() {
  const pending = [];
  return { waitUntil: (promise) => pending.push(promise), settled: async () => { while (pending.length) await pending.shift(); } };
}
