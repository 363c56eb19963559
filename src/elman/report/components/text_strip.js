// A text with a colour behind every piece, and rows of bars for numbers from 0 to 1 under the very characters.
//
// Pieces are elements of one block of text, so that lines break as in any text. The bars are on a canvas behind them.

import { colour, h, oncePerFrame, onTheme, sized } from "./element.js";

const SHADES = 8; // on either side of zero, as the style sheet of the reports has them
const BAR = 8; // pixels, the height of a bar for 1

export class TextStrip {
  constructor() {
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.text = h("div", { class: "strip pieces", "aria-hidden": "true" });
    this.end = h("span", null, "\u200b"); // so that a line break at the end begins a line
    this.text.append(this.end);
    this.element = h("div", { class: "text-strip" }, this.canvas, this.text);
    this.spans = [];
    this.rows = [];
    this.draw = oncePerFrame(() => this.#draw());
    new ResizeObserver(this.draw).observe(this.element);
    onTheme(this.draw);
  }

  get length() {
    return this.spans.length;
  }

  truncate(length) {
    for (const span of this.spans.splice(length)) span.remove();
    this.draw();
  }

  // pieces: [{text, kind}], kind a class such as "written" or "unknown".
  append(pieces) {
    const spans = pieces.map(({ text, kind }) => h("i", { class: kind || null }, text));
    this.end.before(...spans);
    this.spans.push(...spans);
    this.draw();
  }

  // The colours of the pieces from `first` on: values from -1 (blue) to 1 (orange); 0 and what is not finite have none.
  shade(values, first = 0) {
    values.forEach((value, index) => {
      const span = this.spans[first + index];
      if (!span) return;
      const level = Math.round(Math.max(-1, Math.min(1, Number.isFinite(value) ? value : 0)) * SHADES);
      const name = level ? `${level > 0 ? "p" : "n"}${Math.abs(level)}` : "";
      if (span.dataset.shade === name) return;
      if (span.dataset.shade) span.classList.remove(span.dataset.shade);
      if (name) span.classList.add(name);
      span.dataset.shade = name;
    });
  }

  // Outline pieces: mark({ chosen: 5, pointed: null })
  mark(places) {
    for (const [name, index] of Object.entries(places)) {
      this.text.querySelector(`.${name}`)?.classList.remove(name);
      if (index !== null) this.spans[index]?.classList.add(name);
    }
  }

  // rows: [{ colour: "c1", values }], a value from 0 to 1 for each piece; [] for none. `--ribbon` is the room below a line.
  set(rows) {
    this.rows = rows;
    (this.element.parentElement ?? this.element).style.setProperty("--ribbon", rows.length ? `${rows.length * (BAR + 1) + 6}px` : "0px");
    this.draw();
  }

  // The index of the piece at a point of the window, or null.
  at(x, y) {
    const found = document.elementsFromPoint(x, y).find((element) => element.parentNode === this.text && element !== this.end);
    return found ? this.spans.indexOf(found) : null;
  }

  #draw() {
    const context = sized(this.canvas, this.element.clientWidth, this.rows.length ? this.text.offsetHeight : 0);
    if (!this.rows.length) return;
    const boxes = this.spans.map((span) => [span.offsetLeft, span.offsetTop + span.offsetHeight + 2, span.offsetWidth]);
    this.rows.forEach(({ colour: name, values }, row) => {
      const ink = colour(name);
      const paper = colour("grid");
      boxes.forEach(([x, top, width], index) => {
        const y = top + row * (BAR + 1);
        context.fillStyle = paper;
        context.fillRect(x, y, width, BAR);
        if (!(index < values.length)) return;
        context.fillStyle = ink;
        context.fillRect(x, y + BAR * (1 - values[index]), Math.max(1, width - 1), BAR * values[index]);
      });
    });
  }
}
