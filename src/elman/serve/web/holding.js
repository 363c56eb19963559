// What if: a unit or a gate that is held at a value, and the continuation with and without.

import { h } from "../components/element.js";
import { short } from "../components/numbers.js";
import { placeOf } from "./memory.js";

const WORDS = { h: "hidden state h", c: "cell state c" };
const LENGTH = 120; // symbols of the two continuations

export class Holding {
  // options(): how the model writes; onset(): what is held has changed.
  constructor(session, { options, onset }) {
    Object.assign(this, { session, options, onset });
    const { layers, heads } = session.model.elman;
    const attention = Array.from({ length: heads?.layers ?? 0 }, (_, index) => ({ name: `layer ${index + 1}`, states: [], gates: [], heads: heads.heads }));
    this.layers = layers?.length ? layers : attention; // what can be held: units of recurrent layers, or heads
    this.layer = h("select", { "aria-label": "Layer of the unit", onchange: () => this.#kinds() }, this.layers.map((layer, index) => h("option", { value: index + 1 }, layer.name)));
    this.kind = h("select", { "aria-label": "What is held", onchange: () => this.#range() });
    this.unit = h("input", { type: "number", min: 0, value: 0, "aria-label": "Unit that is held", oninput: () => this.#later() });
    this.slider = h("input", { type: "range", step: "any", "aria-label": "Value", oninput: () => (this.#say(), this.#later()) });
    this.value = h("output", { class: "number" });
    this.asIs = h("p", { class: "continuation" });
    this.held = h("p", { class: "continuation" });
    this.told = h("p", { class: "hint", "aria-live": "polite" });
    this.list = h("ul", { class: "holds", "aria-label": "Held now" });
    this.element = h("details", { class: "card holding", ontoggle: () => this.element.open && this.#later() },
      h("summary", null, h("h2", null, layers?.length ? "What if a unit is held?" : "What if a head is held?")),
      h("div", { class: "hold-form" }, h("label", null, "Hold ", this.kind), h("label", null, "of ", this.layer), (this.unitLabel = h("label", null, "unit ", this.unit)), h("label", { class: "wide" }, "at ", this.slider, this.value)),
      h("dl", { class: "continuations" }, h("dt", null, "As it is"), h("dd", null, this.asIs), h("dt", null, "With this held"), h("dd", null, this.held)),
      this.told,
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => this.#keep() }, "Hold it in this session")), this.list);
    this.element.hidden = !this.layers.length;
    if (!this.layers.length) return;
    this.layer.value = this.layers.length;
    this.#kinds();
    this.#list();
  }

  choose(layer, unit) {
    if (!this.layers[layer - 1]?.units) return;
    this.layer.value = layer;
    if (unit !== null) this.unit.value = unit;
    this.#kinds(this.kind.value);
    if (this.element.open) this.#later();
  }

  #kinds(before) {
    const { states, gates, units, heads = 0 } = this.layers[this.layer.value - 1];
    this.unitLabel.hidden = heads > 0;
    this.kind.replaceChildren(...Array.from({ length: heads }, (_, index) => h("option", { value: `head ${index + 1}` }, `head ${index + 1}`)),
      ...states.map((name) => h("option", { value: `state ${name}` }, WORDS[name] ?? `state ${name}`)), ...gates.map((name) => h("option", { value: `gate ${name}` }, `gate ${name}`)));
    if (before && [...this.kind.options].some(({ value }) => value === before)) this.kind.value = before;
    this.unit.max = units - 1;
    if (!before) this.#range();
  }

  #range() {
    const gate = this.kind.value.startsWith("gate");
    const [low, high] = gate ? [0, 1] : this.kind.value === "state c" ? [-4, 4] : [-1, 1];
    Object.assign(this.slider, { min: low, max: high, step: (high - low) / 200 });
    this.slider.value = gate ? 1 : 0;
    this.#say();
    this.#later();
  }

  #say() {
    this.value.value = short(Number(this.slider.value));
  }

  get set() {
    const [kind, name] = this.kind.value.split(" ");
    const part = kind === "head" ? { head: Number(name) } : { [kind]: name, unit: Number(this.unit.value) };
    return { ...placeOf(this.layers[this.layer.value - 1]), ...part, value: Number(this.slider.value) };
  }

  #later() {
    clearTimeout(this.timer);
    if (this.element?.open) this.timer = setTimeout(() => this.preview(), 150);
  }

  // Both continuations, each written by a fork that is closed again.
  async preview() {
    if (!this.element.open || this.session.gone || this.session.busy || this.session.writing || !this.session.position) return;
    if (this.trying) return void (this.again = true);
    this.trying = true;
    try {
      do {
        this.again = false;
        const options = { ...this.options(), tokens: LENGTH, seed: this.options().seed ?? 1 };
        const asIs = await this.#continuation(options, []);
        const held = await this.#continuation(options, [this.set]);
        this.#show(asIs, held);
      } while (this.again);
    } catch (error) {
      this.told.textContent = error.message;
    } finally {
      this.trying = false;
    }
  }

  async #continuation(options, more) {
    const set = [...this.session.set, ...more];
    const fork = await this.session.fork();
    try {
      return (await this.session.server.ask("POST", `${fork.path}/generate`, { ...options, ...(set.length && { set }) })).text;
    } finally {
      fork.close();
    }
  }

  #show(asIs, held) {
    const [a, b] = [[...asIs], [...held]];
    const same = b.findIndex((letter, index) => letter !== a[index]);
    this.asIs.textContent = asIs;
    this.held.replaceChildren(b.slice(0, same < 0 ? b.length : same).join(""), h("mark", null, same < 0 ? "" : b.slice(same).join("")));
    this.told.textContent = same < 0 && a.length === b.length ? "The continuation stays the same." : `The continuations part after ${same < 0 ? Math.min(a.length, b.length) : same} symbols.`;
  }

  #keep() {
    this.session.set = [...this.session.set.filter((one) => key(one) !== key(this.set)), this.set];
    this.#list();
    this.onset();
  }

  #list() {
    this.list.replaceChildren(...this.session.set.map((one) => h("li", null, `${named(one)}, layer ${one.layer}, at ${short(one.value)} `,
      h("button", { type: "button", class: "plain", "aria-label": `let go of ${named(one)}`, onclick: () => this.#drop(one) }, "let go"))));
  }

  #drop(one) {
    this.session.set = this.session.set.filter((other) => other !== one);
    this.#list();
    this.onset();
  }
}

const named = ({ head, gate, state, unit }) => (head ? `head ${head}` : `${gate ? `gate ${gate}` : `state ${state}`} of unit ${unit}`);
const key = (one) => `${one.layer} ${one.direction} ${named(one)}`;
