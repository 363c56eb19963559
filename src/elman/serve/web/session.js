// A session of the server, as the page knows it: what it has read, piece by piece.
//
// `parts` are what the server has read: one for each unit, [{ text, kind, surprise, next }], so that a position is an
// index. `wanted` is the text that stands in the page; `read` brings the server there by the least: it goes back to the
// last place at which the texts agree, and reads from there on.

import { Lost, Refused } from "./server.js";

// Events: "change" (parts or wanted), "idle" (everything is read), "gone", "trouble" ({ detail: message }).
export class Session extends EventTarget {
  parts = [];
  wanted = "";
  answer = null; // of the last feed
  set = []; // units, gates and heads that are held at a value
  stale = false; // whether all is to be read again
  busy = false;
  writing = null; // an AbortController while the model writes
  stride = 32; // symbols that are written at a time
  known = 0; // the position up to which the server can be asked what happened
  gone = false;

  constructor(server, model, record) {
    super();
    Object.assign(this, { server, model, id: record.id, parent: record.parent ?? null, at: record.at ?? 0, checkpoints: record.checkpoints ?? [], set: record.set ?? [] });
  }

  static async begin(server, model) {
    const session = new this(server, model, await server.ask("POST", "v1/sessions", { model: model.id }));
    await session.load();
    return session;
  }

  get path() {
    return `v1/sessions/${this.id}`;
  }

  get position() {
    return this.parts.length;
  }

  get text() {
    return this.parts.map(({ text }) => text).join("");
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // What the server has: after a reload, a fork, a work that was stopped.
  async load() {
    let told = await this.server.ask("GET", this.path);
    for (let tries = 0; told.busy && tries < 50; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 40));
      told = await this.server.ask("GET", this.path);
    }
    const pieces = told.pieces ?? [];
    const same = this.parts.findIndex((part, index) => index >= pieces.length || (part.text !== pieces[index] && part.kind !== "unknown"));
    if (same >= 0) this.parts.length = same;
    for (const text of pieces.slice(this.parts.length)) this.parts.push({ text, kind: this.writing ? "written" : "" });
    this.known = this.position;
    this.checkpoints = told.checkpoints ?? [];
    this.parent = told.parent ?? null;
    this.gone = false;
    this.#tell("change");
    return this;
  }

  // How far the parts agree with a text: the number of parts, and the length of their text.
  agreed(text = this.wanted) {
    let [count, length] = [0, 0];
    for (const part of this.parts) {
      if (!text.startsWith(part.text, length)) break;
      length += part.text.length;
      count++;
    }
    return { count, length };
  }

  // What brings the server to the wanted text: how many units stay, and what is read then (null: nothing).
  plan() {
    let { count, length } = this.agreed();
    if (count === this.position && length === this.wanted.length) return null;
    const letters = ["char", "byte"].includes(this.model.elman.tokenizer);
    while (!letters && count && !/\s/.test(this.wanted[length] ?? " ")) length -= this.parts[--count].text.length; // words are read in whole
    const rest = this.wanted.slice(length);
    return { keep: count, feed: rest ? { text: rest } : null };
  }

  read(text) {
    this.wanted = text;
    this.#tell("change");
    return this.#settle();
  }

  async #settle() {
    if (this.busy || this.writing || this.gone) return;
    this.busy = true;
    try {
      for (let plan; (plan = this.stale ? { keep: 0 } : this.plan()); ) {
        this.stale = false;
        if (plan.keep < this.position) await this.rollback(plan.keep);
        if (plan.feed) await this.feed(plan.feed);
      }
    } catch (error) {
      this.busy = false;
      return this.trouble(error);
    }
    this.busy = false;
    this.#tell("idle");
  }

  trouble(error) {
    if (error instanceof Lost) return; // the page says it, and goes on when the server is there again
    this.gone = error instanceof Refused && error.status === 404;
    this.#tell(this.gone ? "gone" : "trouble", error.message);
    if (!(error instanceof Refused) && error.name !== "AbortError") console.warn(error);
  }

  // Read all again: something else is held, or what the answers said was not kept.
  anew() {
    this.stale = true;
    return this.#settle();
  }

  // The server is there again: see what it still has, and go on.
  async resume() {
    try {
      await this.load();
      await this.#settle();
    } catch (error) {
      this.trouble(error);
    }
  }

  async rollback(position) {
    await this.watching; // asks about what is forgotten now
    await this.server.ask("POST", `${this.path}/rollback`, { to: position });
    // A model that reads the whole anew remembers other things at each part: as new parts, all are asked for again.
    this.parts = this.parts.slice(0, position).map((part) => (this.model.elman.whole ? { ...part } : part));
    this.known = this.position;
    this.checkpoints = this.checkpoints.filter((checkpoint) => checkpoint.position <= position);
    this.answer = null;
  }

  async feed(asked) {
    const answer = await this.server.ask("POST", `${this.path}/feed`, { top: 8, ...asked, ...(this.set.length && { set: this.set }) });
    this.accept(answer, asked);
    this.known = this.position;
    this.answer = answer;
    this.#tell("change");
    return answer;
  }

  // The pieces that were read, beside the text that they were made from: an unknown symbol stands for one character.
  accept({ pieces, surprise, next, position }, { text }) {
    let at = 0;
    pieces.forEach((piece, index) => {
      const known = piece === "" || text.startsWith(piece, at);
      const last = index === pieces.length - 1;
      const own = last ? text.slice(at) : known ? piece : String.fromCodePoint(text.codePointAt(at) ?? 32);
      at += own.length;
      this.parts.push({ text: own, kind: known ? "" : "unknown", surprise: surprise[index] });
    });
    if (this.parts.length) this.parts.at(-1).next = next;
    if (position !== this.position) console.warn(`the server is at ${position}, the page at ${this.position}`);
  }

  // The model goes on with the text until it ends, or `stop` is called. It writes some symbols at a time, so that one
  // sees its memory meanwhile; a text to stop at is looked for in one go.
  async write(options) {
    if (this.writing || this.busy || this.gone) return null;
    this.writing = new AbortController();
    this.#tell("change");
    let answer = null;
    try {
      for (let left = options.tokens ?? Infinity; left > 0; left -= answer.tokens.length) {
        const most = options.stop ? left : Math.min(this.stride, left);
        const goesOn = answer && { seed: answer.seed, drawn: answer.drawn };
        answer = await this.#write({ ...options, ...goesOn, ...(Number.isFinite(most) && { tokens: most }) });
        if (answer.finished !== "length" || most === Infinity) break;
      }
    } catch (error) {
      if (error.name !== "AbortError") this.trouble(error);
    }
    try {
      if (!this.gone && !this.server.lost) await this.load();
    } catch (error) {
      this.trouble(error);
    }
    this.writing = null;
    this.answer = null;
    this.written = answer && { seed: answer.seed, drawn: answer.drawn, position: this.position };
    this.wanted = this.text;
    this.#tell("change");
    this.#tell("idle");
    return answer;
  }

  async #write(options) {
    let answer = null;
    const asked = { ...options, stream: true, ...(this.set.length && { set: this.set }) };
    for await (const event of this.server.stream(`${this.path}/generate`, asked, this.writing.signal)) {
      if (event.answer) answer = event.answer;
      else this.take(event);
    }
    this.known = this.position;
    this.#tell("wrote");
    return answer;
  }

  take({ text, tokens, log_probabilities: logs }) {
    const letters = [...text];
    const pieces = tokens.length === 1 ? [text] : letters.length === tokens.length ? letters : [text, ...tokens.slice(1).map(() => "")];
    pieces.forEach((piece, index) => this.parts.push({ text: piece, kind: "written", surprise: logs ? -logs[index] : null }));
    this.wanted = this.text;
    this.#tell("change");
  }

  stop() {
    this.writing?.abort();
  }

  watch(asked) {
    const answer = this.server.ask("POST", `${this.path}/watch`, asked);
    this.watching = Promise.allSettled([this.watching, answer]);
    return answer;
  }

  // Another session that has read as much of the text.
  async fork(at = this.position) {
    const made = await this.server.ask("POST", `${this.path}/fork`, { at });
    const fork = new this.constructor(this.server, this.model, { ...made, parent: this.id, at });
    fork.parts = this.parts.slice(0, at);
    fork.wanted = fork.text;
    fork.known = at;
    fork.set = this.set;
    return fork;
  }

  async checkpoint() {
    this.checkpoints.push(await this.server.ask("POST", `${this.path}/checkpoints`, {}));
    this.#tell("change");
  }

  close() {
    this.stop();
    return this.server.ask("DELETE", this.path).catch(() => {});
  }
}
