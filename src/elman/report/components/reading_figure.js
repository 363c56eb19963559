// The component of a report's reading: a text, the memory over it, and the gates of one unit. What one points at in one of
// them, all show; a click on a unit shows its gates and its values under the characters.

import { h } from "./element.js";
import { HeatMap } from "./heatmap.js";
import { orderChoice, sizesFor } from "./heat_figure.js";
import { short, visible } from "./numbers.js";
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
    this.symbols = data.columns.map(visible);
    this.text = new PointedText({ label: `The text of: ${title}`, pieces: data.pieces, onpoint: (index) => link.point(index, index === null ? null : link.chosen) });
    this.told = h("output", { class: "told", "aria-live": "polite" });
    this.maps = Object.entries(data.states).map(([name, values]) => this.#map(name, data.units, values, data.full[name]));
    this.gateNames = Object.keys(data.gates);
    this.gateMap = this.gateNames.length ? this.#map("gates", this.gateNames, null, 1) : null;
    this.head = h("h4");
    this.keys = h("span", { class: "legend" });
    this.colour = h("select", { onchange: () => this.#shade() }, [UNIT, ...Object.keys(data.colours)].map((name) => h("option", { value: name }, name)));
    this.unitChoice = h("select", { onchange: () => link.choose(this.unitChoice.value) }, data.units.map((name) => h("option", { value: name }, name)));
    this.element = h("div", { class: "reading-figure" },
      h("div", { class: "reading-head" }, h("label", { class: "pick" }, "Unit ", this.unitChoice), h("label", { class: "pick" }, "Colour of the text ", this.colour), orderChoice(data.orders, data.units.length, this.maps, "Order of units"), this.keys),
      this.text.element, this.told, this.maps.map(({ element }) => element), this.gateMap ? [this.head, this.gateMap.element] : null);
    if (link.chosen === null) link.chosen = data.units[data.unit];
    link.listen(() => this.#linked());
  }

  #map(name, rows, values, limit) {
    const gates = values === null;
    const map = new HeatMap({
      label: name, limit, heading: !gates, sizes: sizesFor(rows, this.symbols, { high: 18, beside: 40, unit: gates ? "gates" : "units" }),
      say: (row, column, value) => `${gates ? `gate ${rows[row]} of unit ${this.units[this.row]}` : `unit ${rows[row]}`} after “${this.symbols[column]}” (${column + 1}): ${value}`,
      onpoint: (row, column) => this.link.point(column, gates || row === null ? null : rows[row]),
      onchoose: (row) => gates || this.link.choose(rows[row]),
      onview: (from) => [...this.maps, this.gateMap].forEach((other) => other && other !== from && other.follow(from)),
    });
    if (gates) return map;
    map.reset(rows);
    map.append(values, this.symbols);
    return map;
  }

  // What is pointed at or chosen changed, here or in another figure of the link.
  #linked() {
    const { time, unit, chosen } = this.link;
    const row = this.units.indexOf(chosen);
    if (row >= 0 && (row !== this.row || !this.shown)) this.#choose(row);
    const at = time !== null && time >= 0 && time < this.T ? time : null;
    const pointed = unit === null ? null : this.units.indexOf(unit);
    this.text.point(at);
    for (const map of this.maps) map.point(pointed !== null && pointed >= 0 ? pointed : null, at);
    this.gateMap?.point(null, at);
    this.told.value = at === null ? "" : this.#words(at);
  }

  #choose(row) {
    this.shown = true;
    this.row = row;
    const unit = this.units[row];
    this.unitChoice.value = unit;
    for (const map of this.maps) map.choose(row);
    if (this.gateMap) {
      const values = this.gateNames.map((name) => this.#of(this.gates[name], row));
      this.head.textContent = `gates of unit ${unit}, from shut to open`;
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
    const states = Object.entries(this.states).map(([name, values]) => `${name} ${short(this.#of(values, this.row)[at], true)}`);
    const gates = this.gateNames.map((name) => `${name} ${short(this.#of(this.gates[name], this.row)[at])}`);
    const colours = Object.entries(this.colours).map(([name, values]) => `${name} ${short(values[at], true)}`);
    return `After “${this.symbols[at]}” (${at + 1}), unit ${this.units[this.row]}: ${[...states, ...gates].join(", ")}${colours.length ? `; ${colours.join(", ")}` : ""}`;
  }
}
