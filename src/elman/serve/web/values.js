// A series that one draws with the pointer, pastes or types, and a session that reads it.

import { FanChart } from "../components/fan_chart.js";
import { h } from "../components/element.js";
import { Session } from "./session.js";
import { PIECES } from "./words.js";

const ROOM = 96; // steps of the empty chart

export class ValueSession extends Session {
  rows = []; // that stand in the page
  read_ = []; // that the server has read

  get text() {
    return this.wanted;
  }

  plan() {
    const differs = this.rows.findIndex((row, index) => String(row) !== String(this.read_[index]));
    const keep = differs < 0 ? Math.min(this.rows.length, this.read_.length) : differs;
    if (keep === this.rows.length && keep === this.read_.length) return null;
    const most = this.model.elman.task === "classification" ? Math.ceil(this.rows.length / PIECES) : Infinity;
    return { keep, feed: keep < this.rows.length ? { values: this.rows.slice(keep, keep + most) } : null };
  }

  accept(_, { values }) {
    this.read_.push(...values);
    this.parts = this.read_.map(() => ({ text: "" }));
  }

  // All that it reads, as one feed.
  get everything() {
    return { values: [...this.read_] };
  }

  async rollback(position) {
    await super.rollback(position);
    this.read_.length = Math.min(position, this.read_.length);
  }

  async load() {
    await super.load();
    if (this.position !== this.read_.length) this.read_ = []; // what the server read cannot be told: it is read anew
    if (!this.read_.length && this.position) await this.rollback(0);
    return this;
  }

  give(rows) {
    this.rows = rows;
    return this.read(rows.map((row) => row.join(" ")).join("\n"));
  }
}

export class Values {
  // fan: whether there is a forecast to draw.
  constructor(pane, session, { fan }) {
    Object.assign(this, { pane, session, fan });
    const { columns = ["value"] } = session.model.elman;
    this.columns = columns;
    this.column = 0;
    this.choice = h("select", { "aria-label": "Column that is drawn", onchange: () => ((this.column = Number(this.choice.value)), this.show()) }, columns.map((name, index) => h("option", { value: index }, name)));
    this.area = h("textarea", { class: "plain-text numbers-text", rows: 4, spellcheck: "false", "aria-label": "Values, a line for each step", placeholder: `A line for each step: ${columns.join(" ")}`, oninput: () => this.#typed() });
    this.told = h("p", { class: "hint", role: "status" });
    this.place = h("div");
    this.element = h("section", { class: "card text", "aria-label": "Series" },
      h("div", { class: "card-head" }, h("h2", null, "Series"), columns.length > 1 ? h("label", null, "Draw ", this.choice) : null,
        h("button", { type: "button", class: "plain", onclick: () => this.give(this.#wave()) }, "A wave"), h("button", { type: "button", class: "plain", onclick: () => this.give([]) }, "Clear")),
      h("p", { class: "hint" }, "Draw in the chart with the pointer or a finger, or paste numbers below."), this.place, this.told,
      h("details", null, h("summary", null, "Numbers"), this.area));
    this.area.value = session.wanted;
    if (session.wanted && !session.rows.length) this.#typed();
  }

  give(rows) {
    this.session.give(rows);
    this.area.value = this.session.wanted;
    this.pane.typed(this.session.wanted, null);
  }

  #wave() {
    return Array.from({ length: ROOM }, (_, step) => this.columns.map((_, column) => Number((Math.sin((2 * Math.PI * step) / 24 + column) * (1 + 0.2 * column) + 0.3 * Math.sin(step * 1.7 + column)).toFixed(3))));
  }

  #typed() {
    const lines = this.area.value.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => line.split(/[\s;]+|,(?=\s|-?\d)/).filter(Boolean).map(Number));
    const rows = this.columns.length === 1 ? lines.flat().map((value) => [value]) : lines;
    const wrong = rows.findIndex((row) => row.length !== this.columns.length || !row.every(Number.isFinite));
    this.told.textContent = wrong < 0 ? "" : `Line ${wrong + 1} is not ${this.columns.length === 1 ? "a number" : `${this.columns.length} numbers`}: the model reads the lines before it.`;
    this.session.give(wrong < 0 ? rows : rows.slice(0, wrong));
    this.pane.typed(this.session.wanted, null);
  }

  // A point of the drawing: steps that are jumped over are filled with what stood before them.
  #draw(index, value) {
    if (index < 0) return;
    const rows = this.session.rows.map((row) => [...row]);
    while (rows.length <= index) rows.push(rows.length ? [...rows.at(-1)] : this.columns.map(() => value));
    rows[index][this.column] = Number(value.toPrecision(4));
    this.give(rows);
  }

  show() {
    const forecast = this.fan ? this.forecast() : [];
    const levels = Object.keys(forecast[0] ?? {}).filter((name) => /^q\d/.test(name)).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
    if (!this.chart || (forecast.length && String(levels) !== String(this.chart.levels))) {
      this.chart = new FanChart({ label: "The series and its forecast", levels, ondraw: (index, value) => this.#draw(index, value) });
      this.place.replaceChildren(this.chart.element);
    }
    this.chart.set(this.session.rows.map((row) => row[this.column]), forecast, ROOM);
  }

  forecast() {
    const told = this.session.answer?.forecast ?? []; // null: the model has read too little
    const name = this.columns[this.column];
    const own = told.filter((step) => (step.unique_id ?? step.series ?? step.column ?? name) === name);
    return own.length ? own : told;
  }
}
