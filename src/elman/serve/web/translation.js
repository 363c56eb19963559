// A translation: the target and its alignment grow with the words.

import { h } from "../components/element.js";
import { Matrix } from "../components/matrix.js";
import { comparedTexts, Holding, readIn } from "./holding.js";
import { Memory } from "./memory.js";
import { Session } from "./session.js";
import { Writing } from "./writing.js";

const PAUSE = 350; // milliseconds without a key before the model translates

class TranslationSession extends Session {
  stride = Infinity;

  get text() {
    return this.source ?? "";
  }

  // All that it reads, as one feed.
  get everything() {
    return { text: this.source };
  }

  plan() {
    const source = this.wanted.trim();
    return source === this.source ? null : { keep: 0, feed: source ? { text: source } : null, source };
  }

  async feed(asked) {
    const answer = await super.feed(asked);
    this.source = asked.text;
    return answer;
  }

  accept() {
    this.parts.length = 0; // a sentence begins anew
  }

  take({ text, tokens, alignment }) {
    this.parts.push({ text, kind: "written" });
    tokens.forEach((token, index) => alignment?.[index] && this.onalignment?.(token, alignment[index]));
    this.target += text;
    this.dispatchEvent(new CustomEvent("change"));
  }
}

export class TranslationView {
  static Session = TranslationSession;

  constructor(pane, session) {
    Object.assign(this, { pane, session });
    session.target ??= "";
    this.area = h("textarea", { class: "plain-text", rows: 3, "aria-label": "Source sentence", placeholder: "Type a sentence to translate.", spellcheck: "false", value: session.wanted, oninput: () => this.#type() });
    this.target = h("p", { class: "target", "aria-live": "polite", "aria-label": "Translation" });
    this.writing = new Writing({ write: (options) => pane.write(options), stop: () => pane.stop(), tokens: "", temperature: 0 });
    this.matrix = new Matrix({ label: "Alignment of the target with the source", corner: "target ↓ source →" });
    this.holding = new Holding(session, { answer: (...given) => this.#translation(...given), show: comparedTexts, onset: () => (pane.changed(), this.#later()) });
    this.memory = new Memory(session, { onunit: () => this.holding.choose(this.memory.layer, this.memory.unit) });
    this.element = h("div", { class: "view" },
      h("div", { class: "wide-column" },
        h("section", { class: "card text", "aria-label": "Source" }, h("div", { class: "card-head" }, h("h2", null, "Source")), this.area),
        h("section", { class: "card says", "aria-label": "Translation" }, h("div", { class: "card-head" }, h("h2", null, "Translation")), this.target),
        h("section", { class: "card", "aria-label": "Alignment" }, h("div", { class: "card-head" }, h("h2", null, "Alignment")), h("p", { class: "hint" }, "Each row is a word that the model wrote; its colours say at which words of the source the model looked as it wrote."), this.matrix.element), this.memory.element),
      h("div", { class: "narrow-column" }, this.writing.element, this.holding.element));
    session.onalignment = (token, weights) => this.matrix.append(token, weights);
    session.addEventListener("change", () => this.show());
    this.show();
    if (session.wanted && !session.source) this.#later();
  }

  show() {
    const { session } = this;
    if (this.area.value !== session.wanted) this.area.value = session.wanted;
    this.target.textContent = session.target || (session.wanted ? "…" : "");
    this.writing.busy(session.writing !== null);
    this.pane.changed();
  }

  #type() {
    this.pane.typed(this.area.value, this.session.wanted);
    this.session.wanted = this.area.value;
    this.#later();
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pane.write(this.writing.options), PAUSE);
  }

  // A fork reads the source, too, with what is held.
  async #translation(fork, set, everything) {
    await readIn(fork, set, everything);
    return (await this.session.server.ask("POST", `${fork.path}/generate`, { seed: 1, ...this.writing.options, ...set })).text;
  }

  async write(options = this.writing.options) {
    this.session.stop();
    const source = this.area.value;
    this.session.source = null; // a translation begins with its source, also where the source is the same
    while (this.session.writing) await new Promise((resolve) => setTimeout(resolve, 20));
    await this.session.read(source);
    if (!source.trim() || source !== this.area.value) return;
    this.session.target = "";
    this.matrix.reset(this.session.answer?.source_tokens ?? []);
    const answer = await this.session.write(options);
    if (answer) this.session.target = answer.text;
    this.session.wanted = this.area.value;
    this.show();
    this.writing.tell(answer);
    this.memory.update();
  }

  stop() {
    this.session.stop();
  }

  focus() {
    this.area.focus();
  }
}
