// A tagger: the tags appear over the words as one types.

import { Bars } from "../components/bars.js";
import { h } from "../components/element.js";
import { percent } from "../components/numbers.js";
import { Holding, readIn } from "./holding.js";
import { Memory } from "./memory.js";
import { WordSession } from "./words.js";

const COLOURS = 8;

export class TaggingView {
  static Session = WordSession;

  constructor(pane, session) {
    Object.assign(this, { pane, session });
    this.tags = [];
    this.chosen = null;
    this.area = h("textarea", { class: "plain-text", rows: 3, "aria-label": "Sentence that the model reads", placeholder: "Type a sentence; words are parted by spaces.", spellcheck: "false", value: session.wanted, oninput: () => (pane.typed(this.area.value, session.wanted), session.read(this.area.value)) });
    this.words = h("ol", { class: "tagged", "aria-label": "Words and their tags" });
    this.told = h("p", { class: "hint", role: "status" });
    this.bars = new Bars({ label: "Tags of the word", name: ({ text }) => text });
    this.of = h("h2", null, "Tags");
    const { bidirectional } = session.model.elman;
    const reads = bidirectional === undefined ? "" : bidirectional ? "The model reads a sentence in both directions: with every word it reads the sentence again, and earlier tags may change." : "The model reads from left to right: a tag stays once it is there.";
    this.holding = new Holding(session, { answer: readIn, show: comparedTags, onset: () => session.anew() });
    this.memory = new Memory(session, { onunit: () => this.holding.choose(this.memory.layer, this.memory.unit) });
    this.element = h("div", { class: "view" },
      h("div", { class: "wide-column" }, h("section", { class: "card text", "aria-label": "Sentence" }, h("div", { class: "card-head" }, h("h2", null, "Sentence")), this.area, this.words, this.told, h("p", { class: "hint" }, reads)), this.memory.element),
      h("div", { class: "narrow-column" }, h("section", { class: "card says", "aria-label": "Probabilities of tags" }, h("div", { class: "card-head" }, this.of), this.bars.element), this.holding.element));
    session.addEventListener("change", () => this.show());
    session.addEventListener("idle", () => this.memory.update());
    this.show();
    if (session.wanted && !session.answer) session.anew();
  }

  show() {
    const { answer, wanted } = this.session;
    if (this.area.value !== wanted) this.area.value = wanted;
    if (answer?.tags) this.tags = [...this.tags.slice(0, answer.from), ...answer.tags];
    if (!this.session.words.length) this.tags = [];
    this.tags.length = Math.min(this.tags.length, this.session.words.length);
    this.#show();
    this.pane.changed();
  }

  #show() {
    const chosen = this.chosen !== null && this.chosen < this.tags.length ? this.chosen : this.tags.length - 1;
    while (this.words.childElementCount > this.tags.length) this.words.lastChild.remove();
    while (this.words.childElementCount < this.tags.length) this.words.append(this.#word(this.words.childElementCount));
    this.tags.forEach(({ token, tag, probability }, index) => {
      const button = this.words.children[index].firstChild;
      const changed = button.firstChild.textContent && button.firstChild.textContent !== tag;
      button.firstChild.textContent = tag;
      button.lastChild.textContent = token;
      button.className = `${classOf(tag)}${index === chosen ? " chosen" : ""}`;
      button.style.setProperty("--sure", probability ?? 1);
      button.setAttribute("aria-label", `${token}: ${tag}${probability === undefined ? "" : `, ${percent(probability)}`}`);
      if (changed) button.firstChild.animate?.([{ opacity: 0.2 }, { opacity: 1 }], 500);
    });
    this.of.textContent = this.tags[chosen] ? `Tags of “${this.tags[chosen].token}”` : "Tags";
    const entries = Object.entries(this.tags[chosen]?.probabilities ?? {}).map(([text, probability]) => ({ text, probability }));
    this.bars.set(entries.sort((a, b) => b.probability - a.probability).slice(0, 8));
    const { spans } = this.session.answer ?? {};
    const names = (spans ?? []).map((span) => `${span.text} (${span.label})`);
    this.told.textContent = names.length ? `Found: ${names.join(", ")}.` : this.tags.length ? `${this.tags.length} ${this.tags.length === 1 ? "word" : "words"} read.` : "";
  }

  #word(index) {
    return h("li", null, h("button", { type: "button", onclick: () => ((this.chosen = index), this.#show()) }, h("small"), h("span")));
  }

  focus() {
    this.area.focus();
  }
}

// Tags with and without what may be held: those that differ are marked.
function comparedTags(asIs, held) {
  const [before, after] = [asIs.tags, held.tags];
  const changed = after.filter(({ tag }, index) => tag !== before[index].tag).length;
  const most = Math.max(0, ...after.map(({ tag, probability }, index) => Math.abs((before[index].probabilities[tag] ?? 0) - probability)));
  const list = (tags) => h("ol", { class: "tagged small" }, tags.map(({ token, tag }, index) => h("li", { class: `${classOf(tag)}${tag === before[index].tag ? "" : " changed"}` }, h("small", null, tag), h("span", null, token))));
  return { asIs: [list(before)], held: [list(after)], told: changed ? `${changed} of ${after.length} ${changed === 1 ? "tag changes" : "tags change"}.` : most < 0.001 ? "Every tag and its probability stay." : `Every tag stays; the probability of one moves by ${percent(most)}.` };
}

const classOf = (tag) => `c${tag === "O" ? 0 : colourOf(tag)}`;

// A colour that a tag keeps: of its kind, whatever stands before a dash (B-, I-).
function colourOf(tag) {
  let sum = 0;
  for (const letter of tag.replace(/^[BIESLU]-/, "")) sum = (31 * sum + letter.codePointAt(0)) % 9973;
  return 1 + (sum % COLOURS);
}
