// What if: a unit, a gate or a head that is held at a value, and what the model says with and without.

import { h } from "../components/element.js";
import { short } from "../components/numbers.js";

const WORDS = { h: "hidden state h", c: "cell state c" };

export class Holding {
  // answer(fork, set, everything): what the model says in a fork while a set is held; `again`: the fork has read nothing
  // yet, and everything is what the session has read.
  // show(asIs, held): what is shown of both answers, { asIs: [nodes], held: [nodes], told }. onset(): what is held has changed.
  constructor(session, { answer, show, onset, again = true }) {
    Object.assign(this, { session, answer, show, onset, again });
    const { layers, places = [] } = session.model.elman;
    this.places = places;
    this.place = h("select", { "aria-label": "Layer of the unit", onchange: () => this.#kinds() }, places.map(({ name }, index) => h("option", { value: index }, name)));
    this.kind = h("select", { "aria-label": "What is held", onchange: () => this.#range() });
    this.unit = h("input", { type: "number", min: 0, value: 0, placeholder: "every", "aria-label": "Unit that is held", oninput: () => this.#later() });
    this.slider = h("input", { type: "range", step: "any", "aria-label": "Value", oninput: () => (this.#say(), this.#later()) });
    this.value = h("output", { class: "number" });
    this.asIs = h("dd");
    this.held = h("dd");
    this.told = h("p", { class: "hint", "aria-live": "polite" });
    this.list = h("ul", { class: "holds", "aria-label": "Held now" });
    this.element = h("details", { class: "card holding", ontoggle: () => this.element.open && this.#later() },
      h("summary", null, h("h2", null, layers?.length ? "What if a unit is held?" : "What if a head is held?")),
      h("div", { class: "hold-form" }, h("label", { class: "wide" }, "In", this.place), h("label", null, "hold ", this.kind), (this.unitLabel = h("label", null, "unit ", this.unit)), h("label", { class: "wide at" }, "at ", this.slider, this.value)),
      (this.both = h("dl", { class: "continuations", hidden: true }, h("dt", null, "Without it"), this.asIs, h("dt", null, "With it held"), this.held)),
      this.told,
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => this.#keep() }, "Hold it in this session")), this.list);
    this.element.hidden = !places.length;
    if (!places.length) return;
    this.place.value = Math.max(0, (layers?.length || places.filter(({ address }) => !address.part && !address.attention).length) - 1); // the last of those that are watched
    this.#kinds();
    this.#list();
    session.addEventListener("idle", () => this.#later());
  }

  // A unit of one of the layers that are watched, which are the first of all places.
  choose(layer, unit) {
    if (!this.places[layer - 1]?.units) return;
    this.place.value = layer - 1;
    if (unit !== null) this.unit.value = unit;
    this.#kinds(this.kind.value);
    this.#later();
  }

  #kinds(before) {
    const { states, gates, units, heads } = this.places[this.place.value];
    this.unitLabel.hidden = heads > 0;
    this.kind.replaceChildren(...Array.from({ length: heads }, (_, index) => h("option", { value: `head ${index + 1}` }, heads > 1 ? `head ${index + 1}` : "the only head")),
      ...states.map((name) => h("option", { value: `state ${name}` }, WORDS[name] ?? `state ${name}`)), ...gates.map((name) => h("option", { value: `gate ${name}` }, `gate ${name}`)));
    if (before && [...this.kind.options].some(({ value }) => value === before)) this.kind.value = before;
    this.unit.max = units - 1;
    if (!before || this.kind.value !== before) this.#range();
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
    const unit = this.unit.value === "" ? {} : { unit: Number(this.unit.value) };
    const part = kind === "head" ? { head: Number(name) } : { [kind]: name, ...unit };
    return { ...this.places[this.place.value].address, ...part, value: Number(this.slider.value) };
  }

  #later() {
    clearTimeout(this.timer);
    if (this.element.open) this.timer = setTimeout(() => this.preview(), 150);
  }

  // Both answers, each of a fork that is closed again.
  async preview() {
    const { session } = this;
    if (!this.element.open || session.gone || session.busy || session.writing) return;
    this.both.hidden = !session.position;
    if (!session.position) return void (this.told.textContent = "Once the model has read something, its answers with and without stand here.");
    if (this.trying) return void (this.more = true);
    this.trying = true;
    try {
      do {
        this.more = false;
        const { set } = this;
        const others = without(session.set, set);
        const { everything } = session; // of now: meanwhile, it may be read again
        const asIs = await this.#tried(others, everything);
        const held = await this.#tried([...others, set], everything);
        const { told, ...shown } = this.show(asIs, held);
        this.asIs.replaceChildren(...shown.asIs);
        this.held.replaceChildren(...shown.held);
        this.told.textContent = told;
      } while (this.more && !session.busy && session.position);
    } catch (error) {
      this.told.textContent = error.message;
    } finally {
      this.trying = false;
    }
  }

  async #tried(set, everything) {
    const fork = await this.session.fork(this.again ? 0 : undefined);
    try {
      return await this.answer(fork, set.length ? { set } : {}, everything);
    } finally {
      fork.close();
    }
  }

  #keep() {
    this.#change([...without(this.session.set, this.set), this.set]);
  }

  #change(set) {
    this.session.set = set;
    this.#list();
    this.onset();
  }

  #list() {
    this.list.replaceChildren(...this.session.set.map((one) => {
      const name = `${named(one)}, ${this.places.find((place) => key(place.address) === key(addressOf(one)))?.name}`;
      return h("li", null, `${name}, at ${short(one.value)} `, h("button", { type: "button", class: "plain", "aria-label": `let go of ${name}`, onclick: () => this.#change(this.session.set.filter((other) => other !== one)) }, "let go"));
    }));
  }
}

// What the model says in a fork that reads everything while a set is held.
export const readIn = (fork, set, everything) => fork.server.ask("POST", `${fork.path}/feed`, { ...everything, ...set });

// Two texts, what differs of the second marked.
export function comparedTexts(asIs, held) {
  const [a, b] = [[...asIs], [...held]];
  const same = b.findIndex((letter, index) => letter !== a[index]);
  const part = same < 0 ? b.length : same;
  const stays = same < 0 && a.length === b.length;
  return { asIs: [h("p", { class: "continuation" }, asIs)], held: [h("p", { class: "continuation" }, b.slice(0, part).join(""), h("mark", null, b.slice(part).join("")))],
    told: stays ? "Both texts are the same." : `The texts part after ${part} ${part === 1 ? "symbol" : "symbols"}.` };
}

// What is held of other things than one.
const without = (set, one) => set.filter((other) => key(other) !== key(one));
const named = ({ head, gate, state, unit }) => (head ? `head ${head}` : `${gate ? `gate ${gate}` : `state ${state}`} of ${unit === undefined ? "every unit" : `unit ${unit}`}`);
const addressOf = ({ part, layer, direction, attention }) => ({ part, layer, direction, attention });
const key = ({ part, layer, direction, attention, head, gate, state, unit }) => JSON.stringify([part, layer, direction, attention, head, gate, state, unit].map((one) => one ?? null));
