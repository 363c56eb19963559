// The component of a report's chart of points in a plane.

import { colour, h } from "./element.js";
import { Legend } from "./legend.js";
import { short } from "./numbers.js";
import { drawIntervals, Plot, write } from "./plot.js";

const NEAR = 28; // pixels: from how far the pointer finds a point
const RADIUS = 3.2;
const PARTS = { soft: 0.3, other: 0.75 }; // how much of their colour points have

export function mount(data, { title, link }) {
  return new PointFigure(data, title, link).element;
}

class PointFigure {
  constructor({ x, y, spans: [xSpan, ySpan], names, groups }, title, link) {
    Object.assign(this, { x, y, names, groups, link, pointed: null });
    this.legend = new Legend(groups.map(({ shape, ...group }) => ({ ...group, shape, line: false })), (index, shown) => ((groups[index].hidden = !shown), this.plot?.plot?.redraw(false)), link);
    this.ring = h("span", { class: "ring", hidden: true });
    this.told = h("output", { class: "told", "aria-live": "polite" });
    this.plot = new Plot({
      label: title, kind: "chart of points", series: [{ points: { show: false } }], names, axes: [x, y], height: 330, drag: "xy",
      spans: () => ({ x: xSpan, y: ySpan }), cursor: { x: false, points: { show: false } },
      hooks: { draw: [(plot) => this.#draw(plot)] }, onpoint: (plot) => this.#point(plot), onkey: (step) => this.#step(step),
    });
    this.plot.set([[...xSpan], [null, null]]);
    this.element = h("div", { class: "point-figure" }, this.legend.element, this.plot.element, this.told);
    link.listen(({ time, unit }) => this.#linked(time, unit));
  }

  #draw(plot) {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - 5 * scale, bbox.top - 5 * scale, bbox.width + 10 * scale, bbox.height + 10 * scale);
    ctx.clip();
    const shown = this.groups.filter(({ hidden }) => !hidden);
    for (const group of shown) this.#group(plot, group, scale);
    for (const group of shown) this.#labels(plot, group, scale); // over all points
    ctx.restore();
    if (this.pointed) this.#mark(this.pointed);
  }

  #group(plot, group, scale) {
    const { ctx } = plot;
    const places = this.#places(plot, group, true);
    ctx.fillStyle = ctx.strokeStyle = colour(group.colour);
    if (group.path) {
      ctx.globalAlpha = 0.45;
      ctx.lineWidth = scale;
      ctx.beginPath();
      for (const [x, y] of places) ctx.lineTo(x, y);
      ctx.stroke();
    }
    if (group.low) drawIntervals(plot, Array.from(group.x, (x, index) => ({ x, low: group.low[index], high: group.high[index] })), group.colour);
    ctx.globalAlpha = PARTS[group.colour] ?? PARTS.other;
    const shape = new Path2D();
    if (group.shape) shape.addPath(new Path2D(group.shape));
    else shape.arc(0, 0, RADIUS, 0, 2 * Math.PI);
    for (const [x, y] of places) {
      const placed = new Path2D();
      placed.addPath(shape, new DOMMatrix([scale, 0, 0, scale, x, y]));
      ctx.fill(placed);
    }
    ctx.globalAlpha = 1;
  }

  #labels(plot, group, scale) {
    const { ctx } = plot;
    const places = this.#places(plot, group, true);
    ctx.font = `${12 * scale}px ${colour("sans")}`;
    ctx.fillStyle = colour("ink");
    const named = group.number ? [...group.labels, [0, String(group.number)]] : group.labels;
    for (const [index, words] of named) {
      if (!places[index]) continue;
      const [x, y] = places[index];
      const left = x + ctx.measureText(words).width + 6 * scale > plot.bbox.left + plot.bbox.width;
      ctx.textAlign = left ? "right" : "left";
      write(ctx, words, x + (left ? -6 : 6) * scale, y - 5 * scale);
    }
  }

  #places(plot, { x, y }, canvas) {
    return Array.from(x, (value, index) => [plot.valToPos(value, "x", canvas), plot.valToPos(y[index], "y", canvas)]);
  }

  // The point that is nearest to the pointer.
  #point(plot) {
    const { left, top } = plot.cursor;
    let best = null;
    if (left >= 0) {
      let least = NEAR ** 2;
      for (const group of this.groups) {
        if (group.hidden) continue;
        this.#places(plot, group, false).forEach(([x, y], index) => {
          const far = (x - left) ** 2 + (y - top) ** 2;
          if (far < least) [least, best] = [far, { group, index }];
        });
      }
    }
    this.#mark(best);
    const time = best?.group.path ? best.index : null;
    this.link.point(time, best?.group.texts[best.index] ?? null);
  }

  #linked(time, unit) {
    if (this.pointed && !this.pointed.group.hidden && this.link.time === time && this.pointed.group.texts[this.pointed.index] === unit) return;
    for (const group of this.groups) {
      if (group.hidden) continue;
      const index = group.path && time !== null ? time : unit === null ? -1 : group.texts.indexOf(unit);
      if (index >= 0 && index < group.x.length) return this.#mark({ group, index });
    }
    this.#mark(null);
  }

  #mark(place) {
    this.pointed = place;
    const { plot } = this.plot;
    this.ring.hidden = !place || !plot;
    this.told.textContent = place ? this.#words(place) : "";
    if (this.ring.hidden) return;
    if (!this.ring.isConnected) plot.over.append(this.ring);
    this.ring.style.left = `${plot.valToPos(place.group.x[place.index], "x")}px`;
    this.ring.style.top = `${plot.valToPos(place.group.y[place.index], "y")}px`;
  }

  #words({ group, index }) {
    const name = group.texts[index] ? `${group.name}, ${group.texts[index]}` : group.name;
    const bounds = group.low ? ` (${short(group.low[index])} to ${short(group.high[index])})` : "";
    const place = this.names.length ? "" : `${this.x} ${short(group.x[index])}, `;
    return `${name}: ${place}${this.y} ${short(group.y[index])}${bounds}`;
  }

  #step(step) {
    const every = this.groups.filter(({ hidden }) => !hidden).flatMap((group) => Array.from(group.x, (_, index) => ({ group, index })));
    if (!every.length) return;
    const now = every.findIndex(({ group, index }) => group === this.pointed?.group && index === this.pointed.index);
    const next = every[Math.max(0, Math.min(every.length - 1, now + step))];
    this.#mark(next);
    this.link.point(next.group.path ? next.index : null, next.group.texts[next.index] ?? null);
  }
}
