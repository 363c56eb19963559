// A language model: its text with surprise, gates and attention in it, its next symbols, its memory, its writing.

import { Bars } from "../components/bars.js";
import { h } from "../components/element.js";
import { percent, short, spoken, visible } from "../components/numbers.js";
import { Attention } from "./attention.js";
import { Editor } from "./editor.js";
import { comparedTexts, Holding } from "./holding.js";
import { COLOURS, Memory } from "./memory.js";
import { Session } from "./session.js";
import { Writing } from "./writing.js";

const STARTLING = 8; // nats of full colour
const SHOWN = 8; // next symbols
const TRIED = 120; // symbols of the two continuations, with and without what may be held
const UNITS = { char: ["character", "characters"], byte: ["byte", "bytes"], word: ["word", "words"] }; // by tokenizer

export class LanguageView {
  static Session = Session;

  constructor(pane, session) {
    Object.assign(this, { pane, session });
    const { layers } = session.model.elman;
    this.at = null; // how many pieces stand before the place that one looks at; null: all, and those to come
    this.editor = new Editor({ label: "Text that the model reads", placeholder: "Type, and the model reads as you type.", oninput: (text) => this.#type(text), oncaret: (offset) => this.#caret(offset), onpoint: (index) => this.#point(index) });
    this.bars = new Bars({ label: "Next symbols", onchoose: (entry) => this.append(entry.text) });
    this.expected = h("p", { class: "hint", role: "status" });
    this.writing = new Writing({ write: (options) => pane.write(options), stop: () => pane.stop() });
    this.memory = new Memory(session, { drawn: true, onpoint: (index) => this.#point(index, true), onunit: () => this.#unit(), onvalues: () => (this.#colour(), this.#gates(), this.#place()) });
    this.attention = layers?.length ? null : new Attention(session, { onvalues: () => this.#colour() });
    this.holding = new Holding(session, { again: false, answer: (fork, set) => this.#continuation(fork, set), show: comparedTexts, onset: () => pane.changed() });
    this.element = h("div", { class: "view" },
      h("div", { class: "wide-column" }, this.#text(), this.attention?.element, this.memory.element),
      h("div", { class: "narrow-column" }, this.#next(), this.writing.element, this.holding.element));
    session.addEventListener("change", () => this.show());
    session.addEventListener("idle", () => this.#idle());
    session.addEventListener("wrote", () => this.memory.update());
    this.show();
    this.#idle();
  }

  #text() {
    const colours = { surprise: "surprise", ...(this.attention && { attention: "attention" }), unit: "the chosen unit", nothing: "nothing" };
    this.colours = h("select", { "aria-label": "Colour of the text", onchange: () => this.#colour() }, Object.entries(colours).map(([value, name]) => h("option", { value }, name)));
    if (this.attention) this.colours.value = "attention";
    this.key = h("span", { class: "scale" });
    this.gateKeys = h("div", { class: "legend gates" });
    this.placeTold = h("span", { class: "place-told", "aria-live": "polite" });
    this.back = h("button", { type: "button", onclick: () => this.goBack(), title: "Alt+B" }, "Go back to here");
    this.forkHere = h("button", { type: "button", onclick: () => this.pane.fork(this.at ?? this.session.position), title: "Alt+F" }, "Fork here");
    this.mark = h("button", { type: "button", class: "plain", onclick: () => this.session.checkpoint().then(() => this.pane.changed(), (error) => this.session.trouble(error)) }, "Checkpoint");
    return h("section", { class: "card text", "aria-label": "Text" },
      h("div", { class: "card-head" }, h("h2", null, "Text"), h("label", null, "Colour by ", this.colours), this.key, this.gateKeys),
      this.editor.element,
      h("div", { class: "place" }, this.placeTold, h("span", { class: "buttons" }, this.back, this.forkHere, this.mark)));
  }

  #next() {
    return h("section", { class: "card next", "aria-label": "Next symbols" }, h("div", { class: "card-head" }, h("h2", null, "Next")), this.expected, this.bars.element);
  }

  // The text, as far as it is read.
  show() {
    const { session } = this;
    const { count } = session.agreed();
    const agreed = session.parts.slice(0, count);
    const stay = this.editor.show(agreed, session.wanted);
    if (this.at !== null && this.at >= count) this.at = null;
    this.#colour(stay);
    this.#place();
    this.editor.area.readOnly = session.writing !== null;
    this.writing.busy(session.writing !== null);
    if (session.writing || this.editor.caret === session.wanted.length) this.editor.followEnd();
    this.pane.changed();
  }

  #idle() {
    this.memory.update();
    this.attention?.look((this.at ?? this.session.position) - 1);
    this.#place();
  }

  // Colours

  #colour(first = 0) {
    const by = this.colours.value;
    const { parts } = this.session;
    if (by === "surprise") this.editor.strip.shade(parts.slice(first).map(({ surprise }) => (surprise ?? 0) / STARTLING), first);
    else if (by === "attention" && this.attention?.last) this.editor.strip.shade(this.#lit(parts.length));
    else if (by === "unit") this.editor.strip.shade(Array.from({ length: parts.length }, ((track) => (_, index) => track[index] ?? 0)(this.memory.track())));
    else this.editor.strip.shade(parts.map(() => 0));
    const units = this.memory.unit === null ? "choose a unit in the map below" : `${this.memory.cell?.states.at(-1) ?? "value"} of unit ${this.memory.unit}: blue below zero, orange above`;
    this.key.textContent = { surprise: `no colour: expected · orange: a surprise, full at ${STARTLING} nats`, attention: "the bluer, the more it looks there", unit: units, nothing: "" }[by] ?? "";
  }

  // Attention as shades of blue: the square root, so that what is small can be seen.
  #lit(length) {
    const { from } = this.attention.last;
    const weights = this.attention.weights();
    const most = Math.max(...weights);
    return Array.from({ length }, (_, index) => (weights[index - from] > 0.002 ? -Math.sqrt(weights[index - from] / most) : 0));
  }

  #unit() {
    const { memory } = this;
    if (memory.unit !== null) this.holding.choose(memory.layer, memory.unit);
    this.#gates();
    this.#colour();
  }

  #gates() {
    const { gates = [] } = this.memory.cell ?? {};
    const there = this.memory.unit === null ? [] : gates.filter((name) => this.memory.gates[name]?.length);
    this.editor.strip.set(there.map((name) => ({ colour: COLOURS[gates.indexOf(name)], values: this.memory.gates[name] })));
    this.gateKeys.replaceChildren(...(there.length ? [`gates of unit ${this.memory.unit}, from shut to open: `] : []), ...there.map((name) => h("span", { class: `gate-key ${COLOURS[gates.indexOf(name)]}` }, name)));
  }

  // Places

  #type(text) {
    this.at = null;
    this.pane.typed(text, this.session.wanted);
    this.session.read(text);
  }

  #caret(offset) {
    const { count, length } = this.session.agreed();
    let [at, end] = [0, 0];
    while (at < count && end + this.session.parts[at].text.length <= offset) end += this.session.parts[at++].text.length;
    this.lookAt(offset >= length ? null : at);
    this.pane.looks(this.at);
  }

  lookAt(at) {
    const { position } = this.session;
    this.at = at === null || at >= position ? null : at;
    this.attention?.look((this.at ?? position) - 1);
    this.#place();
  }

  #point(index, fromMap = false) {
    this.editor.strip.mark({ pointed: index });
    if (!fromMap) this.memory.point(index);
  }

  #place() {
    const { parts, position, wanted, writing } = this.session;
    const at = this.at ?? position;
    const here = parts[at - 1];
    const follows = this.at === null ? null : parts[at];
    this.editor.strip.mark({ chosen: this.at === null || !here?.text ? null : at - 1 });
    const next = this.at === null ? (this.session.answer?.next ?? here?.next) : here?.next;
    this.bars.set((next ?? []).slice(0, SHOWN));
    this.#expect(next, follows);
    const told = parts.filter(({ text }) => text).length; // a document begins with a unit that is no text
    const read = `${told} ${(UNITS[this.session.model.elman.tokenizer] ?? ["token", "tokens"])[Number(told !== 1)]}`;
    const surprised = follows?.surprise === null || follows?.surprise === undefined ? "" : `; “${visible(follows.text)}” was a surprise of ${short(follows.surprise)} nats`;
    this.placeTold.textContent = writing ? `The model writes: ${read}.` : this.at !== null ? `Before “${visible(follows.text)}”, after ${at - (position - told)} of ${read}${surprised}.` : told === 0 && !wanted ? "Nothing is read yet." : `At the end: ${read} read.`;
    this.back.disabled = this.at === null || writing !== null;
    this.forkHere.disabled = writing !== null || position === 0;
    this.mark.disabled = writing !== null || position === 0;
  }

  #expect(next, follows) {
    if (!next?.length) {
      this.expected.textContent = this.at === 0 ? "Before the text the model knows nothing." : this.session.position ? "" : "Once the model has read something, it says what it expects.";
      return;
    }
    const [best] = next;
    const sure = best.probability > 0.8 ? "The model is sure of" : best.probability > 0.4 ? "The model expects" : "The model would guess";
    const real = follows ? `; the text goes on with “${visible(follows.text)}”` : "";
    this.expected.textContent = `${sure} “${visible(best.text)}” (${percent(best.probability)})${real}.`;
    this.expected.setAttribute("aria-label", `${sure} ${spoken(best.text)}, ${percent(best.probability)}`);
  }

  // The text up to the place that one looks at.
  get before() {
    return this.session.parts.slice(0, this.at ?? this.session.position).map(({ text }) => text).join("");
  }

  goBack() {
    if (this.at === null || this.session.writing) return;
    const text = this.before;
    this.at = null;
    this.pane.typed(text, this.session.wanted);
    this.session.read(text).then(() => this.editor.focusEnd());
  }

  append(text) {
    if (this.session.writing) return;
    const wanted = this.at === null ? this.session.wanted + text : this.before + text;
    this.at = null;
    this.pane.typed(wanted, this.session.wanted);
    this.session.read(wanted);
  }

  nth(index) {
    if (this.bars.entries[index]) this.append(this.bars.entries[index].text);
  }

  // What a pane asks of a view

  async write(options = this.writing.options) {
    if (this.session.busy) await new Promise((resolve) => this.session.addEventListener("idle", resolve, { once: true }));
    this.at = null;
    this.writing.tell(await this.session.write({ log_probabilities: 0, ...this.goesOn(options), ...options }));
  }

  // After a text that was written with the same seed, the seed's numbers go on: steps write what a whole would be.
  goesOn({ seed }) {
    const { seed: before, drawn, position } = this.session.written ?? {};
    return seed !== undefined && seed === before && position === this.session.position ? { drawn } : {};
  }

  async #continuation(fork, set) {
    const { options } = this.writing;
    return (await this.session.server.ask("POST", `${fork.path}/generate`, { ...options, tokens: TRIED, seed: options.seed ?? 1, ...set })).text;
  }

  stop() {
    this.session.stop();
  }

  focus() {
    this.editor.focusEnd();
  }
}
