// A language model that `elman export` wrote, in a browser: the same text for the same seed as `elman generate`.

const WINDOW = 512; // tokens of a prompt that are read at a time

// u(seed, row, sample, step) in [0, 1): 53 bits of word step mod 4 of the block of Philox 4x64-10 with the key (seed, 0)
// and the counter (floor(step / 4) + 1, row, sample, 0)
export function uniform(seed, row, sample, step) {
  const block = philox([BigInt(Math.floor(step / 4)) + 1n, BigInt(row), BigInt(sample), 0n], [BigInt(seed), 0n]);
  return Number(block[step % 4] >> 11n) / 2 ** 53;
}

const MASK = (1n << 64n) - 1n;

function philox(c, k) {
  for (let round = 0; round < 10; round++) {
    const first = 0xd2e7470ee14c6c93n * c[0];
    const second = 0xca5a826395121157n * c[2];
    c = [(second >> 64n) ^ c[1] ^ k[0], second & MASK, (first >> 64n) ^ c[3] ^ k[1], first & MASK];
    k = [(k[0] + 0x9e3779b97f4a7c15n) & MASK, (k[1] + 0xbb67ae8584caa73bn) & MASK];
  }
  return c;
}

// The token that u draws from logits, -Infinity where a token is ruled out; of equal logits, the smaller token first.
export function draw(logits, u, { temperature = 0.8, top_k = null, top_p = null, min_p = null } = {}) {
  const largest = logits.reduce((a, b) => (b > a ? b : a), -Infinity);
  if (!Number.isFinite(largest)) throw new Error("the model gives no token a probability");
  if (temperature === 0) return logits.indexOf(largest);
  const z = Float64Array.from(logits, (x) => (x - largest) / temperature);
  if (top_k !== null) {
    const least = Float64Array.from(z).sort()[z.length - Math.min(top_k, z.length)];
    z.forEach((x, i) => x < least && (z[i] = -Infinity));
  }
  if (top_p !== null) {
    const order = [...z.keys()].sort((a, b) => z[b] - z[a] || a - b);
    const p = softmax(z);
    let before = 0;
    order.forEach((token, rank) => {
      if (rank && before >= top_p) z[token] = -Infinity;
      before += p[token];
    });
  }
  if (min_p !== null) z.forEach((x, i) => x < Math.log(min_p) && (z[i] = -Infinity));
  const p = softmax(z);
  const number = u * p.reduce((a, b) => a + b, 0);
  let sum = 0;
  let last = 0;
  for (let i = 0; i < p.length; i++) {
    sum += p[i];
    if (p[i] > 0) last = i;
    if (sum > number) return i;
  }
  return last;
}

function softmax(z) {
  const exponentials = z.map(Math.exp); // the largest of z is 0
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((x) => x / sum);
}

// Tokenizers: encode(text) -> ids; spell(id, previous) -> bytes; start begins a text without a prompt

const utf8 = new TextEncoder();

const TOKENIZERS = {
  char: ({ characters, eod }) => {
    const symbols = [...characters];
    const ids = new Map(symbols.map((symbol, id) => [symbol, id]));
    const unk = symbols.length;
    const encode = (text) => [...text].map((symbol) => ids.get(symbol) ?? unk);
    return { encode, unk, eod: eod ? unk + 1 : null, spell: (id) => utf8.encode(symbols[id] ?? "\ufffd") };
  },
  byte: ({ eod }) => {
    const encode = (text) => [...utf8.encode(text)];
    return { encode, unk: null, eod: eod ? 256 : null, spell: (id) => Uint8Array.of(id) };
  },
  word: ({ words, eod, punctuation }) => {
    if (punctuation) throw new Error("this page does not read words whose punctuation is parted");
    const symbols = ["<eos>", "<unk>", ...words];
    const ids = new Map(symbols.map((symbol, id) => [symbol, id]));
    const encode = (text) => (text.replaceAll("\n", " <eos> ").match(/\S+/g) ?? []).map((word) => ids.get(word) ?? 1);
    const end = eod ? symbols.length : null;
    const begins = (previous) => previous === null || previous === 0 || previous === end;
    const spell = (id, previous) => utf8.encode(id === 0 ? "\n" : begins(previous) ? symbols[id] : ` ${symbols[id]}`);
    return { encode, unk: 1, eod: end, spell };
  },
};

function tokenizer(data) {
  if (!(data.kind in TOKENIZERS)) throw new Error(`this page reads no tokens of the kind ${data.kind}`);
  const made = TOKENIZERS[data.kind](data);
  const newline = made.encode("\n")[0] ?? 0;
  return { ...made, start: made.eod ?? (newline === made.unk ? 0 : newline) };
}

const ARRAYS = { float32: Float32Array, int64: BigInt64Array };

// The model in an exported folder; ort is the module of onnxruntime-web.
export async function load(ort, folder) {
  const json = async (name) => {
    const found = await fetch(`${folder}/${name}`);
    if (!found.ok) throw new Error(`${folder}/${name}: ${found.status} ${found.statusText}`);
    return found.json();
  };
  const [config, codec] = await Promise.all([json("config.json"), json("tokenizer.json")]);
  if (config.format !== 1 || config.task !== "language-modelling") {
    throw new Error(`${folder}: expected a language model of format 1, got ${config.task} of format ${config.format}`);
  }
  const session = await ort.InferenceSession.create(`${folder}/model.onnx`);
  return { ort, config, session, tokenizer: tokenizer(codec) };
}

// A text in writing: the memory is a value here, handed to the graph and taken from it at each step.
export class Writing {
  constructor(model, seed) {
    this.model = model;
    this.seed = seed;
    this.drawn = 0; // tokens that were written so far
    this.last = null; // the token that is read next
    this.previous = null;
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.forget();
  }

  forget() {
    const zeros = ({ dtype, shape }) => {
      const sizes = shape.map((size, axis) => (axis === 0 ? 1 : typeof size === "number" ? size : 0));
      const data = new ARRAYS[dtype](sizes.reduce((a, b) => a * b, 1));
      return new this.model.ort.Tensor(dtype, data, sizes);
    };
    this.memory = Object.fromEntries(this.model.config.state.map((each) => [each.name, zeros(each)]));
  }

  // Read tokens: the logits after the last. Outputs are asked for by name, and states are fed back as they come.
  async read(ids) {
    const { ort, session, config } = this.model;
    const tokens = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
    const found = await session.run({ tokens, ...this.memory }, ["logits", ...config.state.map((each) => each.next)]);
    for (const { name, next } of config.state) this.memory[name] = found[next];
    const size = found.logits.dims[2];
    return found.logits.data.slice((ids.length - 1) * size);
  }

  // Go on with a prompt: yields pieces of text, until the document or the number of tokens ends.
  async *write(prompt, tokens, drawing) {
    const { encode, spell, start, eod, unk } = this.model.tokenizer;
    const ids = encode(prompt);
    const begin = this.last !== null ? [this.last, ...ids] : ids.length && eod === null ? ids : [start, ...ids];
    if (this.last === eod) this.forget(); // a new document knows nothing of the one before
    if (ids.length) this.decoder.decode(); // what the prompt's characters complete is on the page already
    this.previous = ids.at(-1) ?? this.previous;
    this.last = begin.pop();
    for (let at = 0; at < begin.length; at += WINDOW) await this.read(begin.slice(at, at + WINDOW));
    for (let n = 0; n < tokens; n++) {
      const logits = await this.read([this.last]);
      if (unk !== null) logits[unk] = -Infinity;
      this.last = draw(logits, uniform(this.seed, 0, 0, this.drawn++), drawing);
      if (this.last === eod) return;
      yield this.decoder.decode(spell(this.last, this.previous), { stream: true });
      this.previous = this.last;
    }
  }
}
