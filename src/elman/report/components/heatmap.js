// A matrix that grows by columns, on a canvas: orange above zero, blue below, the page's colour at zero, as in reports.
//
// Every number is painted once, as a pixel of a picture off the screen; drawing scales the part of the picture that is
// in sight. The pointer, a finger and the arrow keys move a cursor, and the line above the map says what is there.

import { colour, h, oncePerFrame, onTheme, sized } from "./element.js";
import { short } from "./numbers.js";

export const POSITIVE = [214, 96, 32];
export const NEGATIVE = [46, 116, 196];
const GUTTER = 34; // pixels, for the numbers of rows
const FOOT = 18; // pixels, for the names of columns
const NARROWEST = 4;
const WIDEST = 13;
const TALL = 250;
const MOST = 0.95; // of the values are within full colour
const FINGER = matchMedia("(pointer: coarse)");

export class HeatMap {
  // limit: the value of full colour; null: one that most values are within. say(row, column, value) -> the words for a place.
  // onpoint(row, column): the cursor moved (nulls: it left). onchoose(row, column): a click, or Enter.
  constructor({ label, limit = null, say, onpoint = () => {}, onchoose = () => {} }) {
    Object.assign(this, { label, fixed: limit, say, onpoint, onchoose });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.room = h("div", { class: "heat-room" }, this.canvas);
    this.scroller = h("div", { class: "heat-scroller", tabindex: "0", role: "application", "aria-roledescription": "heat map" }, this.room);
    this.told = h("output", { class: "heat-told", "aria-live": "polite" });
    this.element = h("div", { class: "heat" }, h("div", { class: "heat-head" }, h("h3", null, label), this.told), this.scroller);
    this.draw = oncePerFrame(() => this.#draw());
    this.picture = document.createElement("canvas");
    this.cursor = { row: null, column: null };
    this.chosen = null; // a row
    this.reset([]);
    this.#listen();
    new ResizeObserver(this.draw).observe(this.scroller);
    onTheme(this.draw);
  }

  // Forget all columns; `rows` are the names of rows from now on.
  reset(rows) {
    this.rows = rows;
    this.columns = [];
    this.names = [];
    this.limit = this.fixed ?? 0.001;
    this.picture.width = 512;
    this.picture.height = Math.max(1, rows.length);
    this.draw();
  }

  // Forget the columns from `length` on.
  truncate(length) {
    if (length >= this.columns.length) return;
    this.columns.length = this.names.length = length;
    this.draw();
  }

  // More columns at the right: `values` (R, T) row by row, and the T names of the columns.
  append(values, names) {
    const [R, T] = [this.rows.length, names.length];
    const first = this.columns.length;
    for (let t = 0; t < T; t++) {
      this.columns.push(Float32Array.from({ length: R }, (_, r) => values[r * T + t]));
      this.names.push(names[t]);
    }
    this.#paint(this.#grow(values) ? 0 : first);
    this.#follow();
    this.draw();
  }

  point(row, column) {
    this.cursor = { row, column };
    this.draw();
  }

  choose(row) {
    this.chosen = row;
    this.draw();
  }

  get width() {
    const room = this.scroller.clientWidth - GUTTER;
    return Math.min(WIDEST, Math.max(NARROWEST, Math.floor((2 * room) / Math.max(1, this.columns.length)) / 2));
  }

  get height() {
    return Math.max(FINGER.matches ? 6 : 4, Math.min(16, Math.floor(TALL / Math.max(1, this.rows.length))));
  }

  // Whether full colour now stands for more: most new values are beyond it. A few large ones do not make all others pale.
  #grow(values) {
    if (this.fixed !== null || !values.length) return false;
    const sizes = values.filter(Number.isFinite).map(Math.abs).sort();
    const large = sizes[Math.floor(MOST * (sizes.length - 1))];
    if (!(large > this.limit)) return false;
    this.limit = Number((1.2 * large).toPrecision(2)); // so that it does not grow again with the next column
    return true;
  }

  #paint(first) {
    const [R, T] = [this.rows.length, this.columns.length];
    if (T > this.picture.width) {
      this.picture.width = 2 ** Math.ceil(Math.log2(T)); // which clears it
      first = 0;
    }
    if (!R || first >= T) return;
    const image = new ImageData(T - first, R);
    for (let t = first; t < T; t++) {
      for (let r = 0; r < R; r++) {
        const value = this.columns[t][r] / this.limit;
        const at = 4 * (r * (T - first) + t - first);
        const rgb = value < 0 ? NEGATIVE : POSITIVE;
        [image.data[at], image.data[at + 1], image.data[at + 2]] = rgb;
        image.data[at + 3] = 255 * Math.min(1, Math.abs(value)) || 0; // what is no number has no colour
      }
    }
    this.picture.getContext("2d").putImageData(image, first, 0);
  }

  #follow() {
    this.room.style.width = `${GUTTER + this.width * this.columns.length}px`;
    if (this.cursor.column === null) this.scroller.scrollLeft = this.scroller.scrollWidth;
  }

  #draw() {
    const [R, T] = [this.rows.length, this.columns.length];
    const [w, t] = [this.width, this.height];
    const [wide, tall] = [this.scroller.clientWidth, R * t];
    if (!wide) return;
    this.room.style.width = `${GUTTER + w * T}px`;
    this.scroller.setAttribute("aria-label", `${this.label}: ${R} units, ${T} steps; arrow keys move, Enter chooses a unit`);
    const context = sized(this.canvas, wide, tall + FOOT);
    const from = Math.min(T, Math.floor(this.scroller.scrollLeft / w));
    const shift = GUTTER - (this.scroller.scrollLeft - from * w);
    const shown = Math.min(T - from, Math.ceil((wide - GUTTER) / w) + 1);
    context.imageSmoothingEnabled = false;
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, wide - GUTTER, tall + FOOT);
    context.clip();
    if (shown > 0 && R) context.drawImage(this.picture, from, 0, shown, R, shift, 0, shown * w, tall);
    this.#cursor(context, shift - from * w, w, t, tall);
    this.#columns(context, from, shown, shift, w, tall);
    context.restore();
    this.#rows(context, t);
    context.strokeStyle = colour("rule");
    context.strokeRect(GUTTER - 0.5, 0.5, Math.min(wide - GUTTER, Math.max(T * w, 1)), tall - 1);
    this.#tell();
  }

  #cursor(context, origin, w, t, tall) {
    const { row, column } = this.cursor;
    context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    if (column !== null && column < this.columns.length) {
      context.globalAlpha = 0.75;
      context.strokeRect(origin + column * w - 0.5, 0.5, w + 1, tall - 1);
    }
    for (const [at, alpha] of [[this.chosen, 0.85], [row, 0.5]]) {
      if (at === null || at < 0) continue;
      context.globalAlpha = alpha;
      context.strokeRect(origin - 0.5, at * t - 0.5, this.columns.length * w + 1, t + 1);
    }
    context.globalAlpha = 1;
  }

  #columns(context, from, shown, shift, w, tall) {
    if (w < 7) return;
    context.font = `11px ${colour("mono")}`;
    context.fillStyle = colour("soft");
    context.textAlign = "center";
    for (let k = 0; k < shown; k++) {
      const name = this.names[from + k];
      if (name && [...name].length <= 1) context.fillText(name, shift + (k + 0.5) * w, tall + 13);
    }
  }

  #rows(context, t) {
    context.textAlign = "right";
    const write = (row, ink, bold = "") => {
      context.font = `${bold}${Math.min(11, Math.max(9, t))}px ${colour("sans")}`;
      context.fillStyle = colour(ink);
      context.fillText(this.rows[row], GUTTER - 5, Math.max(9, (row + 0.5) * t + 3.5));
    };
    if (t >= 10) this.rows.forEach((_, row) => row !== this.chosen && write(row, "soft"));
    if (this.chosen !== null && this.chosen >= 0) write(this.chosen, "ink", "600 ");
    const { row } = this.cursor;
    if (t < 10 && row !== null && Math.abs(row - (this.chosen ?? -99)) * t > 10) write(row, "soft");
  }

  #tell() {
    const { row, column } = this.cursor;
    const there = row !== null && row >= 0 && column !== null && column < this.columns.length;
    const words = there ? this.say(row, column, short(this.columns[column][row], true)) : `full colour is ±${short(this.limit)}`;
    if (this.told.value !== words) this.told.value = words;
  }

  #place(event) {
    const box = this.room.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - GUTTER) / this.width);
    const row = Math.floor((event.clientY - box.top) / this.height);
    const inside = column >= 0 && column < this.columns.length && row >= 0 && row < this.rows.length;
    return inside ? { row, column } : { row: null, column: null };
  }

  #move({ row, column }) {
    this.point(row, column);
    this.onpoint(row, column);
  }

  #listen() {
    const { scroller } = this;
    scroller.addEventListener("scroll", this.draw, { passive: true });
    scroller.addEventListener("pointermove", (event) => this.#move(this.#place(event)));
    scroller.addEventListener("pointerdown", (event) => this.#move(this.#place(event)));
    scroller.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#move({ row: null, column: null }));
    scroller.addEventListener("click", (event) => {
      const { row, column } = this.#place(event);
      if (row !== null) this.onchoose(row, column);
    });
    scroller.addEventListener("blur", () => this.#move({ row: null, column: null }));
    scroller.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const [R, T] = [this.rows.length, this.columns.length];
    if (!R || !T) return;
    const { row, column } = this.cursor;
    if (step) {
      event.preventDefault();
      const clip = (value, end) => Math.max(0, Math.min(end - 1, value));
      this.#move(row === null ? { row: Math.max(0, this.chosen ?? 0), column: T - 1 } : { row: clip(row + step[0], R), column: clip(column + step[1], T) });
      this.#reveal();
    } else if (event.key === "Enter" && row !== null) {
      this.onchoose(row, column);
    }
  }

  #reveal() {
    const [left, w] = [this.cursor.column * this.width, this.width];
    const room = this.scroller.clientWidth - GUTTER;
    if (left < this.scroller.scrollLeft) this.scroller.scrollLeft = left;
    else if (left + w > this.scroller.scrollLeft + room) this.scroller.scrollLeft = left + w - room;
  }
}
