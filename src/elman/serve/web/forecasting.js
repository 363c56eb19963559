// A forecaster: the fan of its forecast moves as one draws the series before it.

import { h } from "../components/element.js";
import { LineChart } from "../components/line_chart.js";
import { short } from "../components/numbers.js";
import { Holding, readIn } from "./holding.js";
import { Memory } from "./memory.js";
import { Values, ValueSession } from "./values.js";

export class ForecastingView {
  static Session = ValueSession;

  constructor(pane, session) {
    Object.assign(this, { pane, session });
    this.values = new Values(pane, session, { fan: true });
    this.told = h("p", { class: "answer", role: "status" });
    this.rows = h("tbody");
    this.holding = new Holding(session, { answer: readIn, show: comparedForecasts, onset: () => session.anew() });
    this.memory = new Memory(session, { onunit: () => this.holding.choose(this.memory.layer, this.memory.unit) });
    this.element = h("div", { class: "view" }, h("div", { class: "wide-column" }, this.values.element, this.memory.element),
      h("div", { class: "narrow-column" }, h("section", { class: "card says", "aria-label": "Forecast" }, h("div", { class: "card-head" }, h("h2", null, "Forecast")), this.told,
        h("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": "Numbers of the forecast" }, h("table", null, h("thead", null, (this.head = h("tr"))), this.rows))), this.holding.element));
    session.addEventListener("change", () => this.show());
    session.addEventListener("idle", () => this.memory.update());
    this.show();
  }

  show() {
    this.values.show();
    const forecast = this.values.forecast();
    const { horizon } = this.session.model.elman;
    const lacks = this.session.answer?.expected;
    this.told.textContent = forecast.length ? `After ${this.session.position} steps, the next ${horizon ?? forecast.length}.` : lacks ? `For a forecast the model needs ${lacks}.` : "Draw or paste a series, and its forecast appears.";
    this.#table(forecast);
    this.pane.changed();
  }

  #table(forecast) {
    const names = Object.keys(forecast[0] ?? {}).filter((name) => name !== "ds" && name !== "unique_id");
    this.head.replaceChildren(h("th", { scope: "col" }, "step"), ...names.map((name) => h("th", { scope: "col" }, name)));
    this.rows.replaceChildren(...forecast.map((step) => h("tr", null, h("th", { scope: "row" }, String(step.ds)), names.map((name) => h("td", null, typeof step[name] === "number" ? short(step[name]) : String(step[name]))))));
  }

  focus() {
    this.values.area.focus();
  }
}

// The means of the forecast with and without what may be held, in one chart.
function comparedForecasts(asIs, held) {
  if (!asIs.forecast?.length) return { asIs: [], held: [], told: `For a forecast the model needs ${asIs.expected}.` };
  const [before, after] = [asIs, held].map(({ forecast }) => forecast.map(({ mean }) => mean));
  const chart = new LineChart({ label: "The forecast with and without what is held", series: [{ label: "without it", colour: "c2", width: 2.4 }, { label: "with it held", colour: "c4", width: 2.4 }], height: 180 });
  chart.set([before.map((_, step) => step + 1), before, after]);
  const moves = after.map((mean, step) => Math.abs(mean - before[step]));
  const first = (values) => h("p", { class: "held-answer" }, values.length > 1 ? `from ${short(values[0])} to ${short(values.at(-1))}` : short(values[0]));
  return { asIs: [first(before)], held: [first(after), chart.element], told: `The forecast moves by ${short(Math.max(...moves))} at most.` };
}
