// Lines over one x axis, with bands between two of them.

import { colour, h } from "./element.js";
import { Legend } from "./legend.js";
import { short } from "./numbers.js";
import { drawIntervals, drawMarks, Plot, see } from "./plot.js";

export class LineChart {
  // series: [{ label, colour: "c1", width, dash, points, with: of which series this is a part, bars: [low, high] }], parts have
  // no place in the legend; bands: [{ between: [2, 3], colour, part }]; numbers of series are from 1. range: [low, high] of
  // y, or null; x(value): words for a value of x; marks: [[x, text], …]; link: shares places of x, shared: shares the series
  // that are shown; other options are those of `Plot`.
  constructor({ label, series, bands = [], range = null, spans = null, x = short, marks = [], names = [], ticks = x === short ? null : x, link = null, shared = null, ...plot }) {
    Object.assign(this, { series, x, names, link });
    this.options = { range };
    this.own = series.map((_, index) => index).filter((index) => !series[index].with); // those of the legend
    this.lines = series.map((line) => this.#line(line));
    this.legend = new Legend(this.own.map((index) => ({ name: series[index].label, ...series[index] })), (index, shown) => this.#toggle(this.own[index], shown), shared);
    this.plot = new Plot({
      label, kind: "line chart", ...plot, names, x: ticks, spans: spans ?? (() => ({ y: this.options.range })),
      series: this.lines,
      bands: bands.map(({ between, colour: name, part }) => ({ series: between, fill: () => see(name, part) })),
      cursor: { dataIdx: (_, index, hovered) => this.#nearest(index, hovered), points: { size: (_, index) => (series[index - 1].with ? 0 : 7) } },
      hooks: { draw: [(plot) => this.#draw(plot, marks)] },
      onpoint: (plot) => this.#point(plot),
      onkey: (step) => this.#step(step),
    });
    this.element = h("div", { class: "line-figure" }, this.legend.element, this.plot.element);
    link?.listen(({ time }) => this.time === time || ((this.time = time), this.plot.at(time)));
  }

  get over() {
    return this.plot.over;
  }

  value(axis, pixel) {
    return this.plot.value(axis, pixel);
  }

  set(data) {
    this.plot.set(data);
  }

  #line({ label, colour: name, width = 2, dash, points = false, bars }) {
    return { label, stroke: () => colour(name), width, dash, points: { show: points || Boolean(bars), size: 6, fill: () => colour(name) } };
  }

  #toggle(index, shown) {
    this.series.forEach((line, other) => {
      if (other !== index && line.with !== index + 1) return;
      this.lines[other].show = shown; // for a plot that is not made yet
      this.plot?.plot?.setSeries(other + 1, { show: shown });
    });
  }

  // The place nearest to one that is pointed at, at which a series has a value; beyond the ends of a series there is none.
  #nearest(index, hovered) {
    const line = this.plot.data[index];
    let [before, after] = [hovered, hovered];
    while (before >= 0 && !Number.isFinite(line[before])) before--;
    while (after < line.length && !Number.isFinite(line[after])) after++;
    if (before < 0 || after === line.length) return hovered;
    return hovered - before <= after - hovered ? before : after;
  }

  #point({ cursor }) {
    const { data } = this.plot;
    const away = cursor.idx === null || cursor.idx === undefined || cursor.left < 0;
    const words = this.own.map((index) => (away ? "" : short(data[index + 1][cursor.idxs?.[index + 1] ?? cursor.idx])));
    const x = away ? null : data[0][cursor.idx];
    this.legend.tell(away ? "" : `at ${this.#name(x)}`, words);
    if (x !== this.time) ((this.time = x), this.link?.point(x, null));
  }

  #name(x) {
    return this.names.length ? `“${this.names[x] ?? ""}” (${x + 1})` : this.x(x);
  }

  #step(step) {
    const { plot, data } = this.plot;
    const last = data[0].length - 1;
    const now = plot.cursor.left >= 0 ? plot.cursor.idx : null;
    const index = now === null ? 0 : Math.max(0, Math.min(last, now + step));
    plot.setCursor({ left: plot.valToPos(data[0][index], "x"), top: plot.over.clientHeight / 2 });
    const values = this.own.filter((_, index) => this.legend.shown[index]).map((one) => `${this.series[one].label} ${short(data[one + 1][this.#nearest(one + 1, index)])}`);
    this.plot.say(`${this.#name(data[0][index])}: ${values.join(", ")}`);
  }

  #draw(plot, marks) {
    this.series.forEach(({ bars, colour: name }, index) => {
      if (!bars || !plot.series[index + 1].show) return;
      const [low, high] = bars.map((number) => plot.data[number]);
      drawIntervals(plot, Array.from(plot.data[0], (x, at) => ({ x, low: low[at], high: high[at] })).filter((place) => Number.isFinite(place.low) && Number.isFinite(place.high)), name);
    });
    drawMarks(plot, marks);
  }
}
