// The component of a report's reading: a text, the memory over it, and the gates of one unit. What one points at in one of
// them, all show; a click on a unit shows its gates and its values under the characters.

import { h } from "./element.js";
import { roomOf } from "./heat_names.js";
import { HeatMap } from "./heatmap.js";
import { orderChoice, sizesFor } from "./heat_figure.js";
import { short } from "./numbers.js";
import { PointedText } from "./pointed_text.js";

const COLOURS = ["c2", "c1", "c4", "c3", "c6"]; // of the gates
const UNIT = "the chosen unit";

export function mount(data, { title, link }) {
  return new Reading(data, title, link).element;
}

class Reading {
  constructor(data, title, link) {
    Object.assign(this, data, { link, row: data.unit });
    this.T = data.pieces.length;
    this.symbols = data.columns;
    this.text = new PointedText({ label: `The text of: ${title}`, pieces: data.pieces, onpoint: (index) => link.point(index, index === null ? null : link.chosen) });
    this.told = h("output", { class: "told", "aria-live": "polite" });
    this.maps = Object.entries(data.states).map(([name, values]) => this.#map(name, data.units, values, data.full[name]));
    this.gateNames = Object.keys(data.gates);
    this.gateMap = this.gateNames.length ? this.#map("gates", this.gateNames, null, 1) : null;
    this.keys = h("span", { class: "legend" });
    this.colour = h("select", { onchange: () => link.arrange({ colour: this.colour.value }) }, [UNIT, ...Object.keys(data.colours)].map((name) => h("option", { value: name }, name)));
    this.unitChoice = h("input", { size: 5, onchange: () => (data.units.includes(this.unitChoice.value) ? link.choose(this.unitChoice.value) : (this.unitChoice.value = this.units[this.row])) });
    this.order = orderChoice(data.orders, () => link.arrange({ order: this.order.value }));
    this.some = h("input", { type: "checkbox", onchange: () => link.arrange({ few: this.some.checked }) });
    const pick = (words, element) => h("label", { class: "pick" }, `${words} `, element);
    this.element = h("div", { class: "reading-figure" },
      h("div", { class: "reading-head" }, pick("Unit", this.unitChoice), pick("Colour of the text", this.colour), this.order && pick("Order of units", this.order),
        data.shown.length < data.units.length ? h("label", { class: "pick" }, this.some, ` only the ${data.shown.length} that vary most`) : null, this.keys, this.text.hint),
      h("div", { class: "reading-text" }, this.text.element, this.told), this.maps.map(({ element }) => element), this.gateMap?.element);
    const beside = Math.max(...[data.units, this.gateNames].map((names) => roomOf(names, [], { least: 40, width: 0 }).beside));
    for (const map of [...this.maps, this.gateMap]) if (map) map.sizes.beside = beside; // so that their columns stand below each other
    if (link.chosen === null) link.choose(data.units[data.unit]);
    link.listen(() => this.#linked());
  }

  #map(name, rows, values, limit) {
    const gates = values === null;
    const map = new HeatMap({
      label: name, limit, sizes: sizesFor(rows, this.symbols, { high: 18, unit: gates ? "gates" : "units" }),
      say: (row, column, value) => `${gates ? `gate ${rows[row]} of unit ${this.units[this.row]}` : `unit ${rows[row]}`} after “${this.symbols[column]}” (${column + 1}): ${value}`,
      onpoint: (row, column) => this.link.point(column, gates || row === null ? null : rows[row]),
      onchoose: (row) => gates || this.link.choose(rows[row]),
      onview: (from) => [...this.maps, this.gateMap].forEach((other) => other && other !== from && other.follow(from)),
    });
    if (gates) return map;
    map.reset(rows);
    map.append(values, this.symbols);
    map.steps = values.steps;
    return map;
  }

  // What is pointed at or chosen changed, here or in another figure of the link.
  #linked() {
    const { time, unit, chosen } = this.link;
    this.#follow(this.link);
    const row = this.units.indexOf(chosen);
    if (row >= 0 && (row !== this.row || !this.begun)) this.#choose(row);
    const at = time !== null && time >= 0 && time < this.T ? time : null;
    const pointed = unit === null ? null : this.units.indexOf(unit);
    this.text.point(at);
    for (const map of this.maps) map.point(pointed !== null && pointed >= 0 ? pointed : null, at);
    this.gateMap?.point(null, at);
    this.told.value = at === null ? "" : this.#words(at);
  }

  // Take the order, the colour and the number of units that were chosen, here or in another text.
  #follow({ order, colour, few }) {
    const before = this.followed ?? {};
    this.followed = { order, colour, few };
    for (const [select, value] of [[this.order, order], [this.colour, colour]]) if ([...(select?.options ?? [])].some((option) => option.value === value)) select.value = value;
    this.some.checked = few && this.shown.length < this.units.length;
    if (order !== before.order || few !== before.few) this.#arrange();
    if (this.begun && colour !== before.colour) this.#shade();
  }

  // The units that the maps show, from the top.
  #arrange() {
    const given = this.units.map((_, row) => row);
    const order = this.orders[this.order?.value] ?? given;
    const shown = this.some.checked ? order.filter((row) => row === this.row || this.shown.includes(row)) : order;
    for (const map of this.maps) map.arrange(shown);
  }

  #choose(row) {
    this.begun = true;
    this.row = row;
    if (!this.maps[0].picture.order.includes(row)) this.#arrange();
    const unit = this.units[row];
    this.unitChoice.value = unit;
    for (const map of this.maps) map.choose(row);
    if (this.gateMap) {
      const values = this.gateNames.map((name) => this.#of(this.gates[name], row));
      this.gateMap.rename(`gates of unit ${unit}, from shut to open`);
      this.gateMap.reset(this.gateNames);
      this.gateMap.append(Float32Array.from(values.flatMap((one) => [...one])), this.symbols);
      this.text.strip.set(values.map((one, index) => ({ colour: COLOURS[index % COLOURS.length], values: one })));
      this.keys.replaceChildren("under the characters: ", ...this.gateNames.map((name, index) => {
        const key = h("b", { class: "gate-name" }, name);
        key.style.setProperty("--c", `var(--${COLOURS[index % COLOURS.length]})`);
        return key;
      }));
    }
    this.#shade();
  }

  #shade() {
    const name = this.colour.value;
    const last = Object.keys(this.states).at(-1);
    const [values, full] = name === UNIT ? [this.#of(this.states[last], this.row), this.full[last]] : [this.colours[name], this.full[name]];
    this.text.strip.shade(Array.from(values, (value) => value / full));
  }

  #of(matrix, row) {
    return matrix.subarray(row * this.T, (row + 1) * this.T);
  }

  #words(at) {
    const states = Object.entries(this.states).map(([name, values]) => `${name} ${short(values[this.row * this.T + at], true, values.steps[this.row])}`);
    const gates = this.gateNames.map((name) => `${name} ${short(this.gates[name][this.row * this.T + at], false, this.gates[name].steps[this.row])}`);
    const colours = Object.entries(this.colours).map(([name, values]) => `${name} ${short(values[at], true)}`);
    return `After “${this.symbols[at]}” (${at + 1}), unit ${this.units[this.row]}: ${[...states, ...gates].join(", ")}${colours.length ? `; ${colours.join(", ")}` : ""}`;
  }
}
