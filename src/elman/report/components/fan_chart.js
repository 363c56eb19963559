// A series and the fan of its forecast; the pointer can draw the series.

import { h } from "./element.js";
import { LineChart } from "./line_chart.js";

export class FanChart {
  // levels: names of quantiles from low to high, such as ["q10", "q50", "q90"]; ondraw(index, value): a point was drawn.
  constructor({ label, levels, ondraw = null, height = 320 }) {
    this.levels = levels;
    this.ondraw = ondraw;
    const pairs = Math.floor(levels.length / 2);
    const bands = Array.from({ length: pairs }, (_, index) => ({ between: [3 + levels.length - 1 - index, 3 + index], colour: "c2", part: 0.12 + 0.16 * index }));
    const fan = levels.map((level) => ({ label: level, colour: "c2", width: 0.6 }));
    const series = [{ label: "value", colour: "c1", points: true }, { label: "forecast", colour: "c2", width: 2.4 }, ...fan];
    this.chart = new LineChart({ label, series, bands, height, range: [-1, 1], x: (value) => `${value}`, drag: ondraw ? "" : "x" });
    this.element = h("div", { class: "fan-chart" }, this.chart.element);
    this.last = null;
    if (ondraw) this.#listen();
  }

  // values: the series (T,); forecast: [{ mean, q10, … }] for the steps after it.
  set(values, forecast, room) {
    const [T, H] = [values.length, forecast.length];
    const x = Array.from({ length: Math.max(T + H, room) }, (_, index) => index + 1);
    const after = (name) => x.map((_, index) => (index === T - 1 && H ? values[T - 1] : (forecast[index - T]?.[name] ?? null)));
    const all = [...values, ...forecast.flatMap((step) => [step.mean, ...this.levels.map((level) => step[level])])].filter(Number.isFinite);
    if (!this.drawing) {
      const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [-1, 1];
      const more = 0.12 * (high - low || 1);
      [this.chart.options.range[0], this.chart.options.range[1]] = [low - more, high + more];
    }
    this.chart.set([x, x.map((_, index) => values[index] ?? null), after("mean"), ...this.levels.map(after)]);
  }

  #listen() {
    const { element } = this;
    const place = (event) => {
      const { over } = this.chart;
      if (!over) return null;
      const box = over.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      if (!this.drawing && (x < 0 || y < 0 || x > box.width || y > box.height)) return null;
      return { index: Math.round(this.chart.value("x", x)) - 1, value: this.chart.value("y", y) };
    };
    const draw = (event) => {
      const at = place(event);
      if (!at) return;
      const from = this.last ?? at;
      const steps = Math.abs(at.index - from.index);
      for (let k = Math.min(1, steps); k <= steps; k++) {
        const part = steps ? k / steps : 1;
        this.ondraw(Math.round(from.index + (at.index - from.index) * part), from.value + (at.value - from.value) * part);
      }
      this.last = at;
    };
    element.addEventListener("pointerdown", (event) => {
      if (event.button || !place(event)) return;
      event.preventDefault();
      this.drawing = true;
      this.last = null;
      draw(event);
    });
    element.addEventListener("pointermove", (event) => this.drawing && draw(event));
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, () => (this.drawing = false));
  }
}
