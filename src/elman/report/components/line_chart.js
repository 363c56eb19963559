// Lines over one x axis, with bands between two of them, drawn by uPlot in the colours of the style sheet.

import { colour, h, onTheme } from "./element.js";
import { short } from "./numbers.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const see = (name, part) => `color-mix(in srgb, ${colour(name)} ${100 * part}%, transparent)`;

export class LineChart {
  // series: [{ label, colour: "c1", width, dash, points }]; bands: [{ between: [2, 3], colour, part }], by numbers of
  // series from 1; range: [low, high] of y, or null; x(value) -> the words for a value of x.
  constructor({ label, series, bands = [], range = null, height = 240, x = short, drag = false }) {
    this.element = h("div", { class: "line-chart", role: "img", "aria-label": label });
    this.options = { series, bands, range, height, x, drag };
    this.data = [[], ...series.map(() => [])];
    this.plot = null;
    this.size = new ResizeObserver(() => this.plot?.setSize({ width: this.element.clientWidth, height }));
    this.size.observe(this.element);
    onTheme(() => this.plot?.redraw(false));
  }

  // data: [x, y of the first series, …], in uPlot's form; null where a line has a gap.
  set(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else if (this.element.clientWidth) this.#make();
    else requestAnimationFrame(() => this.plot || !this.element.isConnected || this.set(this.data));
  }

  #make() {
    const { series, bands, range, height, x, drag } = this.options;
    const axis = { stroke: () => colour("soft"), font: `12px ${colour("sans")}`, ticks: { show: false } };
    axis.grid = { stroke: () => colour("grid"), width: 1 };
    const y = range ? { range: () => range } : {};
    this.plot = new uPlot(
      {
        width: this.element.clientWidth,
        height,
        padding: [10, 10, 0, 0],
        cursor: { drag: { x: drag, y: false, setScale: drag }, points: { size: 6 } },
        scales: { x: { time: false }, y },
        axes: [{ ...axis, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], values: (_, values) => values.map((value) => x(value)) }, { ...axis, size: 48, values: (_, values) => values.map((value) => short(value)) }],
        legend: { live: true },
        series: [
          { label: "at", value: (_, value) => (value === null ? "–" : x(value)) },
          ...series.map((line) => ({
            label: line.label,
            stroke: () => colour(line.colour),
            width: line.width ?? 2,
            dash: line.dash,
            points: { show: line.points ?? false, size: 5 },
            value: (_, value) => short(value),
          })),
        ],
        bands: bands.map(({ between, colour: name, part }) => ({ series: between, fill: () => see(name, part) })),
      },
      this.data,
      this.element,
    );
  }

  get over() {
    return this.plot?.over ?? null;
  }

  // The value of an axis ("x" or "y") at a pixel of the plot's area.
  value(axis, pixel) {
    return this.plot.posToVal(pixel, axis);
  }
}
