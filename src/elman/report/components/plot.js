// Axes, linear or logarithmic, drawn by uPlot in the colours of the style sheet; one zooms into them with the pointer,
// a finger, keys and buttons. Charts of lines and of points draw into them.

import { colour, h, onTheme, scrollHint } from "./element.js";
import { roomOf, under } from "./heat_names.js";
import { logTicks, ticks, tickName } from "./ticks.js";
import uPlot from "./vendor/uplot/uPlot.min.js";

const STEP = 0.6; // the part of an axis that a step of zooming keeps
const LETTER = 7.2; // pixels
const ROOM = 24; // pixels below the axis of x
const NAME = 9.5; // pixels along the axis that a name of x takes at least
const BESIDE = 60; // pixels beside the names, about

export const see = (name, part) => `color-mix(in srgb, ${colour(name)} ${100 * part}%, transparent)`;

export class Plot {
  // series, bands, cursor, hooks: uPlot's; spans: () -> { x: [low, high], y: [low, high] } where one has not zoomed, null: by the
  // data; limits: { x, y } to which one can zoom out, where they are others; log: [x, y]; names: words for x = 0, 1, …; axes: the names of both; x(value): words for a tick. drag: "x", "xy"
  // or "": what zooms. onpoint(plot): the cursor moved; onkey(step): an arrow key.
  constructor({ label, kind, series, bands = [], spans, limits = {}, log = [false, false], names = [], axes = ["", ""], x = null, height = 280, drag = "x", cursor = {}, hooks = {}, onpoint = () => {}, onkey = () => {} }) {
    Object.assign(this, { label, series, bands, spans, limits, log, names, x, height, drag, cursor, hooks, onpoint, onkey });
    this.view = { x: null, y: null }; // what one has zoomed to
    this.data = [[], ...series.map(() => [])];
    this.plot = null;
    this.place = h("div", { class: "plot", tabindex: "0", role: "application", "aria-roledescription": kind, "aria-label": `${label}; arrow keys move, plus and minus zoom, 0 shows all`, onkeydown: (event) => this.#key(event) });
    this.tools = h("span", { class: "tools" }, [["−", "Zoom out", 1 / STEP], ["+", "Zoom in", STEP]].map(([sign, name, factor]) =>
      h("button", { type: "button", class: "tool", "aria-label": name, title: name, onclick: () => this.zoom(factor) }, sign)));
    this.room = h("div", { class: "scroll" }, this.place);
    this.place.style.minWidth = `${NAME * names.length + BESIDE}px`;
    this.head = h("div", { class: "plot-head" }, h("span", { class: "axis-name" }, axes[1]), names.length ? scrollHint(this.room) : null, drag ? this.tools : null);
    this.told = h("output", { class: "unseen", "aria-live": "polite" });
    this.element = h("div", { class: "line-chart" }, this.head, this.room, axes[0] ? h("div", { class: "axis-name x" }, axes[0]) : null, this.told);
    new ResizeObserver(() => this.#resize()).observe(this.place);
    onTheme(() => this.plot?.redraw(false));
  }

  get over() {
    return this.plot?.over ?? null;
  }

  // The value of an axis ("x" or "y") at a pixel of the plot's area.
  value(axis, pixel) {
    return this.plot.posToVal(pixel, axis);
  }

  // data: [x, y of the first series, …], in uPlot's form; null where a line has a gap.
  set(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else this.#resize();
  }

  // Keep so large a part of the axes around the cursor, or the middle; a factor above 1 shows more, and Infinity all.
  zoom(factor) {
    if (!this.plot) return;
    for (const axis of this.drag) {
      const { min, max } = this.plot.scales[axis];
      const log = this.log[axis === "x" ? 0 : 1];
      const [to, from] = log ? [Math.log10, (power) => 10 ** power] : [(value) => value, (value) => value];
      const at = this.plot.cursor.left >= 0 && axis === "x" ? this.plot.posToVal(this.plot.cursor.left, "x") : from((to(min) + to(max)) / 2);
      const ends = [min, max].map((end) => from(to(at) + (to(end) - to(at)) * factor));
      const [low, high] = this.limits[axis] ?? this.#whole(axis);
      this.view[axis] = factor === Infinity ? null : [Math.max(low, ends[0]), Math.min(high, ends[1])];
    }
    this.#show();
  }

  // Move the cursor to a value of x; null: away.
  at(x) {
    if (!this.plot) return;
    this.plot.setCursor(x === null ? { left: -10, top: -10 } : { left: this.plot.valToPos(x, "x"), top: this.plot.over.clientHeight / 2 }, false);
  }

  say(words) {
    this.told.textContent = words;
  }

  #whole(axis) {
    const given = this.spans()?.[axis];
    if (given) return given;
    let [low, high] = [Infinity, -Infinity];
    for (const line of axis === "x" ? this.data.slice(0, 1) : this.data.slice(1)) {
      for (const value of line) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    if (low > high) return [0, 1];
    return axis === "x" ? (low < high ? [low, high] : [low - 1, high + 1]) : uPlot.rangeNum(low, high, 0.1, true);
  }

  #show() {
    for (const axis of ["x", "y"]) {
      const [min, max] = this.view[axis] ?? this.#whole(axis);
      this.plot.setScale(axis, { min, max });
    }
  }

  #resize() {
    const width = this.place.clientWidth;
    if (!width) return; // it is not shown yet
    if (this.plot) this.plot.setSize({ width, height: this.#tall() });
    else this.#make(width);
  }

  #axis(index) {
    const [name, log] = ["xy"[index], this.log[index]];
    const write = (plot, values) => values.map((value) => tickName(value, { log, low: plot.scales[name].min, high: plot.scales[name].max }));
    const words = index === 0 && this.x ? (_, values) => values.map((value) => (Number.isInteger(value) ? this.x(value) : "")) : write;
    const splits = (_, __, low, high) => (log ? logTicks : ticks)(low, high, Math.max(2, Math.floor((index ? this.height : this.place.clientWidth) / (index ? 52 : 74))));
    return {
      stroke: () => colour("soft"), font: `${index || !this.names.length ? 12 : 11}px ${colour("sans")}`, ticks: { show: false }, grid: { stroke: () => colour("grid"), width: 1 },
      filter: (_, values) => values, splits: index || !this.names.length ? splits : (_, __, low, high) => this.#named(low, high),
      values: index || !this.names.length ? words : (_, values) => values.map((value) => under(this.names[value] ?? "", this.below.turned)),
      size: index ? (_, values) => 12 + LETTER * Math.max(1, ...(values ?? []).map((value) => value.length)) : () => ROOM + this.#more(this.below),
      rotate: () => (this.below?.turned ? 90 : 0),
      ...(index === 0 && this.names.length && { grid: { show: false } }),
    };
  }

  // How names of x stand that have so many pixels each.
  #under(width) {
    return roomOf([], this.names, { least: 0, width });
  }

  // The pixels that turned names take below those of numbers.
  #more(below) {
    return below?.turned ? Math.max(0, below.below - ROOM + 6) : 0;
  }

  #tall() {
    return this.height + this.#more(this.#under((this.place.clientWidth - BESIDE) / Math.max(1, this.names.length)));
  }

  // The places of names that are in sight and have room.
  #named(low, high) {
    const width = (this.place.clientWidth - BESIDE) / (high - low + 1);
    this.below = this.#under(width);
    const stride = Math.max(1, Math.ceil((NAME - 1) / width));
    const first = Math.max(0, Math.ceil(low / stride));
    return Array.from({ length: Math.max(0, Math.floor(Math.min(high, this.names.length - 1) / stride) - first + 1) }, (_, index) => (first + index) * stride);
  }

  #make(width) {
    const { series, bands, drag, hooks } = this;
    const scale = (axis, index) => ({ time: false, distr: this.log[index] ? 3 : 1, range: () => this.view[axis] ?? this.#whole(axis) });
    this.plot = new uPlot(
      {
        width, height: this.#tall(), padding: [10, 12, 0, 0], legend: { show: false },
        cursor: { y: false, drag: { x: drag.includes("x"), y: drag.includes("y"), setScale: false, uni: 20 }, points: { size: 7 }, ...this.cursor, bind: { dblclick: () => () => this.zoom(Infinity) } },
        scales: { x: scale("x", 0), y: scale("y", 1) },
        axes: [this.#axis(0), this.#axis(1)],
        series: [{}, ...series],
        bands,
        hooks: { ...hooks, setSelect: [(plot) => this.#select(plot)], setCursor: [(plot) => this.onpoint(plot)] },
      },
      this.data,
      this.place,
    );
    this.plot.over.addEventListener("pointermove", (event) => this.#finger(event));
    this.plot.over.addEventListener("pointerdown", (event) => this.#finger(event));
  }

  #finger(event) {
    if (event.pointerType === "mouse") return; // uPlot follows it by itself
    const box = this.plot.over.getBoundingClientRect();
    this.plot.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
  }

  #select(plot) {
    const { left, top, width, height } = plot.select;
    if (width > 3) this.view.x = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    if (height > 3 && this.drag.includes("y")) this.view.y = [plot.posToVal(top + height, "y"), plot.posToVal(top, "y")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#show();
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1 }[event.key];
    const zoom = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: Infinity }[event.key];
    if (!this.plot || (!step && !(zoom && this.drag))) return;
    event.preventDefault();
    if (step) this.onkey(step);
    else this.zoom(zoom);
  }
}

// Draws a dotted line and its word at each of the marks [[x, text], …], each word on the first row where it meets no other.
export function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  const rows = [];
  ctx.save();
  ctx.font = `${12 * scale}px ${colour("sans")}`;
  for (const [x, text] of marks) {
    const at = plot.valToPos(x, "x", true);
    if (at < bbox.left - 1 || at > bbox.left + bbox.width + 1) continue;
    const left = at > bbox.left + bbox.width / 2;
    const size = ctx.measureText(text).width + 6 * scale;
    const [begin, end] = left ? [at - size, at] : [at, at + size];
    let row = rows.findIndex((taken) => taken.every(([a, b]) => end < a || b < begin));
    if (row < 0) row = rows.push([]) - 1;
    rows[row].push([begin, end]);
    ctx.strokeStyle = ctx.fillStyle = colour("soft");
    ctx.lineWidth = scale;
    ctx.setLineDash([2 * scale, 4 * scale]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.textAlign = left ? "right" : "left";
    write(ctx, text, at + (left ? -5 : 5) * scale, bbox.top + (13 + 14 * row) * scale);
  }
  ctx.restore();
}

// Words with the card's colour around them, so that they can be read over lines.
export function write(ctx, text, x, y) {
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.strokeStyle = colour("card");
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}

// Error bars: places [{ x, low, high }] in values.
export function drawIntervals(plot, places, name) {
  const { ctx } = plot;
  const cap = 4 * devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colour(name);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.beginPath();
  for (const { x, low, high } of places) {
    const [at, top, foot] = [plot.valToPos(x, "x", true), plot.valToPos(high, "y", true), plot.valToPos(low, "y", true)];
    for (const y of [top, foot]) (ctx.moveTo(at - cap, y), ctx.lineTo(at + cap, y));
    (ctx.moveTo(at, top), ctx.lineTo(at, foot));
  }
  ctx.stroke();
  ctx.restore();
}

