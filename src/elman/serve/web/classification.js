// A classifier: the probabilities of its labels as one types, or as one draws a series.

import { Bars } from "../components/bars.js";
import { h } from "../components/element.js";
import { LineChart } from "../components/line_chart.js";
import { percent, short } from "../components/numbers.js";
import { Holding, readIn } from "./holding.js";
import { Memory } from "./memory.js";
import { Values, ValueSession } from "./values.js";
import { WordSession } from "./words.js";

const LINES = 6; // labels whose probabilities are drawn over the words
const SHOWN = 12;

export class ClassificationView {
  static Session = class {
    static begin(server, model) {
      return (readsValues(model) ? ValueSession : WordSession).begin(server, model);
    }
    static of(server, model, record) {
      return new (readsValues(model) ? ValueSession : WordSession)(server, model, record);
    }
  };

  constructor(pane, session) {
    Object.assign(this, { pane, session });
    this.history = []; // [{ position, probabilities }]
    this.values = readsValues(session.model) ? new Values(pane, session, { fan: false }) : null;
    this.area = this.values ? null : h("textarea", { class: "plain-text", rows: 4, "aria-label": "Text that the model reads", placeholder: "Type, and the model says what it takes the text for.", spellcheck: "false", value: session.wanted, oninput: () => (pane.typed(this.area.value, session.wanted), session.read(this.area.value)) });
    this.told = h("p", { class: "answer", role: "status" });
    this.bars = new Bars({ label: "Probabilities of labels", name: ({ text }) => text });
    this.chart = h("div");
    this.looks = h("p", { class: "looked" });
    this.holding = new Holding(session, { answer: readIn, show: comparedLabels, onset: () => ((this.history = []), session.anew()) });
    this.memory = new Memory(session, { onunit: () => this.holding.choose(this.memory.layer, this.memory.unit) });
    this.element = h("div", { class: "view" },
      h("div", { class: "wide-column" },
        this.values?.element ?? h("section", { class: "card text", "aria-label": "Text" }, h("div", { class: "card-head" }, h("h2", null, "Text")), this.area, this.looks),
        h("section", { class: "card", "aria-label": "Over the text" }, h("div", { class: "card-head" }, h("h2", null, "As it read")), this.chart), this.memory.element),
      h("div", { class: "narrow-column" }, h("section", { class: "card says", "aria-label": "Labels" }, h("div", { class: "card-head" }, h("h2", null, "Label")), this.told, this.bars.element), this.holding.element));
    session.addEventListener("change", () => this.show());
    session.addEventListener("idle", () => this.memory.update());
    this.show();
    if (session.wanted && !session.answer) session.anew();
  }

  show() {
    const { answer, wanted } = this.session;
    if (this.area && this.area.value !== wanted) this.area.value = wanted;
    this.values?.show();
    if (answer !== this.shown) {
      this.shown = answer;
      this.#show(answer);
    }
    this.pane.changed();
  }

  #show(answer) {
    const probabilities = answer?.probabilities ?? {};
    const entries = entriesOf(answer);
    this.bars.set(entries.slice(0, SHOWN));
    this.told.textContent = answer ? labelOf(answer) : "Nothing is read yet.";
    if (!answer) return;
    this.history = [...this.history.filter(({ position }) => position < answer.position), { position: answer.position, probabilities: answer.label === undefined ? { value: answer.value } : probabilities }];
    this.#draw(entries.length ? entries.slice(0, LINES).map(({ text }) => text) : ["value"]);
    this.#look(answer.attention);
  }

  #draw(names) {
    const known = this.names ?? [];
    if (!names.every((name) => known.includes(name)) || !this.lines) {
      this.names = [...new Set([...known.filter((name) => names.includes(name)), ...names])];
      const single = this.names[0] === "value";
      this.lines = new LineChart({ label: "Probabilities over what was read", series: this.names.map((label, index) => ({ label, colour: `c${1 + (index % 8)}`, points: true })), range: single ? null : [0, 1], height: 220 });
      this.chart.replaceChildren(this.lines.element);
    }
    this.lines.set([this.history.map(({ position }) => position), ...this.names.map((name) => this.history.map(({ probabilities }) => probabilities[name] ?? null))]);
  }

  // Which words the pooling looked at.
  #look(weights) {
    if (!weights || this.values) return this.looks.replaceChildren();
    const words = this.session.words.slice(0, weights.length);
    const most = Math.max(...weights, 1e-9);
    this.looks.replaceChildren("It looked at: ", ...words.flatMap((word, index) => {
      const mark = h("mark", { title: percent(weights[index]) }, word);
      mark.style.setProperty("--part", weights[index] / most);
      return [mark, " "];
    }));
  }

  focus() {
    (this.area ?? this.values.area).focus();
  }
}

// The probabilities of an answer, the highest first; none of a model that says a number.
const entriesOf = (answer) => Object.entries(answer?.probabilities ?? {}).map(([text, probability]) => ({ text, probability })).sort((a, b) => b.probability - a.probability);

function labelOf(answer) {
  if (answer.value !== undefined) return `${short(answer.value)}${answer.deviation ? ` ± ${short(answer.deviation)}` : ""}`;
  if (answer.labels) return answer.labels.join(", ") || "none of the labels";
  const [first] = entriesOf(answer);
  return `${answer.label}${first ? `, ${percent(first.probability)}` : ""}`;
}

// The label with and without what may be held, and the probabilities of both in the same order.
function comparedLabels(asIs, held) {
  const order = entriesOf(asIs).slice(0, SHOWN).map(({ text }) => text);
  const shown = (answer, label) => {
    const bars = new Bars({ label, name: ({ text }) => text });
    bars.set(order.map((text) => ({ text, probability: answer.probabilities[text] ?? 0 })));
    return [h("p", { class: "held-answer" }, labelOf(answer)), ...(order.length ? [bars.element] : [])];
  };
  const name = ({ label, labels }) => String(labels ?? label);
  const [before, after] = [asIs, held].map(({ probabilities }) => percent(probabilities?.[order[0]]));
  const told = asIs.value !== undefined ? `The number changes by ${short(held.value - asIs.value, true)}.` : `The label ${name(asIs) === name(held) ? "stays" : "changes"}${order.length ? `: of ${order[0]}, ${before} become ${after}` : ""}.`;
  return { asIs: shown(asIs, "Probabilities as it is"), held: shown(held, "Probabilities with this held"), told };
}

export const readsValues = ({ elman }) => elman.reads === "values";
