// A session that reads a sentence of words: the server is told whole words, and goes back word by word.

import { Session } from "./session.js";

export const PIECES = 30; // in which a classifier reads a text or a series, so that one sees how its labels change

export class WordSession extends Session {
  marks = [{ count: 0, position: 0 }]; // how many words were read at the positions to which the session can go back
  words = [];

  get text() {
    return this.wanted;
  }

  plan() {
    const words = this.wanted.split(/\s+/).filter(Boolean);
    const same = words.findIndex((word, index) => word !== this.words[index]);
    const common = same < 0 ? words.length : same;
    if (common === words.length && common === this.words.length) return null;
    while (this.marks.at(-1).count > common) this.marks.pop();
    const { count, position } = this.marks.at(-1);
    this.words.length = Math.min(count, this.words.length);
    const rest = words.slice(count);
    if (!rest.length) return { keep: position, feed: null };
    if (this.#tags) return { keep: position, feed: { tokens: rest } };
    return { keep: position, feed: { text: (count ? " " : "") + rest.slice(0, Math.ceil(words.length / PIECES)).join(" ") } };
  }

  get #tags() {
    return this.model.elman.task === "tagging";
  }

  // All that it reads, as one feed.
  get everything() {
    return this.#tags ? { tokens: [...this.words] } : { text: this.words.join(" ") };
  }

  async rollback(position) {
    await super.rollback(position);
    while (this.marks.at(-1).position > position) this.marks.pop();
    this.words.length = Math.min(this.marks.at(-1).count, this.words.length);
  }

  // The marks of an answer: a tagger's units are words, so that it can go back to each.
  accept({ position }, { text, tokens }) {
    const words = tokens ?? text.trim().split(" ");
    const before = this.words.length;
    this.words.push(...words);
    if (tokens && position === this.words.length) words.forEach((_, index) => this.marks.push({ count: before + index + 1, position: before + index + 1 }));
    else this.marks.push({ count: this.words.length, position });
    this.parts.length = 0;
    for (let unit = 0; unit < position; unit++) this.parts.push({ text: this.words[unit] ?? "", kind: "" });
  }

  async load() {
    await super.load();
    const read = this.parts.map(({ text }) => text).join("").trim();
    if (!this.wanted) [this.wanted, this.words] = [read, read.split(/\s+/).filter(Boolean)];
    if (this.marks.at(-1).position > this.position) this.marks = [{ count: 0, position: 0 }];
    return this;
  }
}
