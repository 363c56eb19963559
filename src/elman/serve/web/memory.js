// The memory of a model over the text: a heat map of each of its states, and the gates of one unit.

import { h } from "../components/element.js";
import { HeatMap } from "../components/heatmap.js";
import { floats, visible } from "../components/numbers.js";

const UNITS = 60;
const PIECES = 1000; // in one request
const NAMES = { h: "hidden state h", c: "cell state c" };
export const COLOURS = ["c2", "c1", "c4", "c3", "c6"]; // of the gates, in the cell's order

export class Memory {
  // onpoint(index of a piece | null), onunit(): another unit was chosen, onvalues(): there are new numbers. A view that
  // does not draw the gates itself has them in a heat map of their own (`drawn`: it does).
  constructor(session, { onpoint = () => {}, onunit = () => {}, onvalues = () => {}, drawn = false }) {
    Object.assign(this, { session, onpoint, onunit, onvalues, drawn });
    this.layers = session.model.elman.layers ?? [];
    this.layer = Math.max(1, this.layers.length);
    this.heat = {};
    this.unit = null;
    this.units = null; // null: the most active, which the next answer says
    this.seen = []; // the parts whose columns are there
    this.gates = {}; // of the unit, by name
    this.told = h("p", { class: "hint" });
    this.maps = h("div", { class: "maps" });
    this.element = h("section", { class: "card memory", "aria-label": "Memory" }, this.#head(), this.maps, this.told);
  }

  // The layer that is shown; a model without recurrent layers has none.
  get cell() {
    return this.layers[this.layer - 1] ?? null;
  }

  #head() {
    const options = this.layers.map((layer, index) => h("option", { value: index + 1 }, `${layer.name}: ${layer.cell}, ${layer.units} units`));
    this.layerChoice = h("select", { "aria-label": "Layer", onchange: () => this.#switch(Number(this.layerChoice.value)) }, options);
    this.layerChoice.value = this.layer;
    this.unitChoice = h("input", { type: "number", min: 0, inputmode: "numeric", "aria-label": "Unit whose gates are drawn", onchange: () => this.choose(this.unitChoice.value === "" ? null : Number(this.unitChoice.value)) });
    const again = h("button", { type: "button", class: "plain", title: "Show the units that vary most over the text of now", onclick: () => this.restart() }, "Most active units");
    const controls = this.cell ? [h("label", null, "Layer ", this.layerChoice), h("label", null, "Unit ", this.unitChoice)] : [];
    return h("div", { class: "card-head" }, h("h2", null, "Memory"), controls, again);
  }

  // A heat map for each state that there is.
  #makeMaps(names) {
    const place = (state) => (row, column, value) => `unit ${this.units?.[row]} ${this.#after(column)}: ${state} = ${value}`;
    this.heat = Object.fromEntries(names.map((name) => {
      const state = name.split(" ").at(-1);
      return [name, new HeatMap({
        label: NAMES[state] ?? name,
        limit: state === "h" && bounded(this.cell) ? 1 : null,
        say: place(NAMES[state] ? state : "value"),
        onpoint: (row, column) => (this.#all((map) => map.point(row, column)), this.onpoint(column)),
        onchoose: (row) => this.choose(this.units[row]),
      })];
    }));
    this.maps.replaceChildren(...Object.values(this.heat).map(({ element }) => element));
    this.gateMap = null;
  }

  #after(column) {
    const text = this.session.parts[column]?.text;
    return text ? `after “${visible(text)}” (${column + 1})` : `at step ${column + 1}`;
  }

  #showGates() {
    const names = Object.keys(this.gates);
    this.gateMap?.element.remove();
    this.gateMap = null;
    if (this.drawn || !names.length) return;
    const say = (row, column, value) => `gate ${names[row]} ${this.#after(column)}: ${value}`;
    this.gateMap = new HeatMap({ label: `gates of unit ${this.unit}, from shut to open`, limit: 1, say, onpoint: (_, column) => this.onpoint(column) });
    this.maps.append(this.gateMap.element);
    this.gateMap.reset(names);
    this.gateMap.append(Float32Array.from(names.flatMap((name) => this.gates[name])), this.seen.map(({ text }) => text && visible(text)));
  }

  #all(work) {
    Object.values(this.heat).forEach(work);
  }

  #switch(layer) {
    this.layer = layer;
    this.unit = null;
    this.unitChoice.value = "";
    this.gates = {};
    this.restart();
    this.onunit();
  }

  // The unit whose gates are drawn; a unit that is not among the rows takes the place of the last.
  choose(unit) {
    this.unit = unit !== null && unit >= 0 && unit < (this.cell?.units ?? Infinity) ? unit : null;
    this.unitChoice.value = this.unit ?? "";
    if (this.units && this.unit !== null && !this.units.includes(this.unit)) this.units = [...this.units.slice(0, UNITS - 1), this.unit].sort((a, b) => a - b);
    this.seen = [];
    this.gates = {};
    this.onunit();
    this.update();
  }

  restart() {
    this.units = null;
    this.seen = [];
    this.update();
  }

  point(column) {
    this.#all((map) => map.point(map.cursor.row, column));
  }

  // Bring the maps to what the session has read: only what is missing is asked for.
  async update() {
    const { parts } = this.session;
    const differs = this.seen.findIndex((part, index) => part !== parts[index]);
    if (differs >= 0) this.#truncate(differs);
    if (this.asking || this.session.busy || this.seen.length >= this.session.known) return;
    this.asking = true;
    try {
      while (!this.session.busy && this.session.known > this.seen.length) if (!(await this.#more())) break;
    } catch (error) {
      if (error.status >= 400 && error.status < 500 && error.status !== 404 && !this.seen.length) this.element.hidden = true; // this model shows no memory
      else this.session.trouble(error);
    } finally {
      this.asking = false;
    }
  }

  #truncate(length) {
    this.seen.length = length;
    this.#all((map) => map.truncate(length));
    for (const name of Object.keys(this.gates)) this.gates[name].length = length;
  }

  async #more() {
    const [from, unit, layer] = [this.seen.length, this.unit, this.layer];
    const asked = this.session.parts.slice(from, Math.min(this.session.known, from + PIECES));
    const said = { from, to: from + asked.length, layer: this.cell ? placeOf(this.cell).layer : 1, unit, units: this.units ?? UNITS, attention_at: null, top: 8 };
    const answer = await this.session.watch(said);
    const now = this.session.parts;
    if (unit !== this.unit || layer !== this.layer || from !== this.seen.length) return true; // asked for something else meanwhile
    const whole = asked.findIndex((part, index) => part !== now[from + index]);
    const T = whole < 0 ? Math.min(asked.length, answer.to - answer.from) : whole;
    if (!T) return whole >= 0;
    this.#take(answer, asked.slice(0, T), from);
    return true;
  }

  #take(answer, parts, from) {
    parts.forEach((part, index) => {
      part.next = answer.next?.[index] ?? part.next;
      part.surprise ??= answer.surprise?.[index];
    });
    const names = Object.keys(answer.states).filter((name) => !this.cell || name.startsWith(`${this.cell.name} `)); // such as "layer 1 forward h"
    this.element.hidden = !names.length;
    if (!from) this.#begin(names, answer.states);
    for (const name of names) {
      const told = answer.states[name];
      this.heat[name].append(crop(floats(told), told.shape, parts.length), parts.map(({ text }) => text && visible(text)));
    }
    for (const [name, gate] of Object.entries(answer.gates?.[this.cell?.name] ?? {})) (this.gates[name] ??= []).push(...floats(gate).slice(0, parts.length));
    this.seen.push(...parts);
    this.#showGates();
    const total = this.cell?.units ?? 0;
    const some = this.units && this.units.length < total ? `The ${this.units.length} of ${total} units that vary most. ` : "";
    const more = this.cell?.gates?.length ? ` Click on a row to see the gates of its unit${this.drawn ? " under the text" : ""}.` : "";
    this.told.textContent = `${some}Every column is the memory after a ${this.session.model.elman.reads === "values" ? "value" : "piece of the text"}.${this.#window()}${more}`;
    this.onvalues();
  }

  // What a forecaster reads of its series.
  #window() {
    const { reads, window } = this.session.model.elman;
    const { length } = this.seen;
    if (reads !== "values" || !window || length === window) return "";
    return length < window ? ` The model reads ${window} values at most, and there are ${length} so far.` : ` The model reads the newest ${window} values; those before are crossed out.`;
  }

  #begin(names, states) {
    if (String(names) !== String(Object.keys(this.heat))) this.#makeMaps(names);
    this.units = states[names.at(-1)]?.units ?? null;
    const row = this.unit === null ? -1 : (this.units?.indexOf(this.unit) ?? -1);
    this.#all((map) => (map.reset(this.units ?? []), map.choose(row < 0 ? null : row)));
  }

  // The values of the chosen unit's state over the text.
  track() {
    const row = this.units?.indexOf(this.unit) ?? -1;
    const map = Object.values(this.heat).at(-1);
    return row < 0 || !map ? [] : map.columns.map((column) => column[row] / map.limit);
  }
}

const bounded = (cell) => ["elman", "gru", "lstm"].includes(cell?.cell); // whose hidden states lie between -1 and 1

// The number of a layer, and its direction where there are two, from a name such as "layer 1 forward".
export function placeOf({ name }) {
  const [, number, direction] = name.split(" ");
  return { layer: Number(number), ...(direction && { direction }) };
}

// The first T columns of a matrix (R, C).
function crop(values, [R, C], T) {
  if (T === C) return values;
  const part = new Float32Array(R * T);
  for (let r = 0; r < R; r++) part.set(values.subarray(r * C, r * C + T), r * T);
  return part;
}
