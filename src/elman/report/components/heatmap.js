// A matrix that grows by columns, on a canvas: orange above zero, blue below, the page's colour at zero, as in reports.
//
// Every number is painted once, as a pixel of a picture off the screen; drawing scales the part of the picture that is
// in sight. The pointer, a finger and the arrow keys move a cursor, and the line above the map says what is there.

import { ColourBar } from "./colour_bar.js";
import { colour, h, oncePerFrame, onTheme, scrollHint, sized } from "./element.js";
import { listen, ZOOM } from "./heat_cursor.js";
import { HeatPicture } from "./heat_picture.js";
import { roomOf, writeColumns, writeRows } from "./heat_names.js";
import { short } from "./numbers.js";

const FINGER = matchMedia("(pointer: coarse)");
// Pixels: the least room beside the map, the narrowest and widest columns, the lowest and highest rows, and of all rows.
const SIZES = { beside: 34, narrow: 4, wide: 13, low: 4, high: 16, tall: 250 };

export class HeatMap {
  // limit: the value of full colour; null: one that most values are within. say(row, column, value) -> the words for a place. steps: the least difference of two values of each row, where there is one.
  // onpoint(row, column): the cursor moved (nulls: it left). onchoose(row, column): a click, or Enter. sizes: see SIZES.
  // onview(map): its zoom or place changed. lead: what stands above the map at its left, in place of the label.
  constructor({ label, limit = null, say, onpoint = () => {}, onchoose = () => {}, onview = () => {}, sizes = {}, lead = null }) {
    Object.assign(this, { label, say, onpoint, onchoose, onview, sizes: { ...SIZES, ...sizes } });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.room = h("div", { class: "heat-room" }, this.canvas);
    this.scroller = h("div", { class: "heat-scroller", tabindex: "0", role: "application", "aria-roledescription": "heat map" }, this.room);
    this.told = h("output", { class: "heat-told", "aria-live": "polite" });
    this.bar = new ColourBar();
    this.tools = h("span", { class: "tools" }, scrollHint(this.scroller), this.bar.element, [["−", "Narrower columns", 1 / ZOOM], ["+", "Wider columns", ZOOM]].map(([sign, name, factor]) =>
      h("button", { type: "button", class: "tool", "aria-label": name, title: name, onclick: () => this.magnify(factor) }, sign)));
    this.element = h("div", { class: "heat" }, h("div", { class: "heat-head" }, lead ?? (this.heading = h("h3", null, label)), this.told, this.tools), this.scroller);
    this.draw = oncePerFrame(() => this.#draw());
    this.picture = new HeatPicture(limit);
    this.cursor = { row: null, column: null };
    this.chosen = null; // a row
    this.zoom = 1;
    this.reset([]);
    listen(this);
    new ResizeObserver(this.draw).observe(this.scroller);
    onTheme(this.draw);
  }

  // Forget all columns; `rows` are the names of rows from now on.
  reset(rows) {
    this.rows = rows;
    this.names = [];
    this.picture.reset(rows.length);
    this.draw();
  }

  get columns() {
    return this.picture.columns;
  }

  get limit() {
    return this.picture.limit;
  }

  rename(label) {
    this.label = label;
    if (this.heading) this.heading.textContent = label;
  }

  // Forget the columns from `length` on.
  truncate(length) {
    if (length >= this.columns.length) return;
    this.columns.length = this.names.length = length;
    this.draw();
  }

  // More columns at the right: `values` (R, T) row by row, and the T names of the columns.
  append(values, names) {
    this.picture.append(values, names.length);
    this.names.push(...names);
    this.#follow();
    this.draw();
  }

  // Show the rows in another order, or only some of them: the row at each height.
  arrange(order) {
    this.picture.arrange(order);
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

  // Wider columns (a factor above 1), or narrower ones; the cursor's column, or the middle one, stays where it is.
  magnify(factor) {
    const { scroller } = this;
    const room = scroller.clientWidth - this.beside;
    const at = this.cursor.column ?? (scroller.scrollLeft + room / 2) / this.width;
    const shift = at * this.width - scroller.scrollLeft;
    this.zoom = Math.max(1, Math.min(40, this.zoom * factor));
    this.#stretch();
    scroller.scrollLeft = at * this.width - shift;
    this.draw();
    this.onview(this);
  }

  // Show the same columns as another map.
  follow({ zoom, scroller }) {
    if (zoom !== this.zoom) ((this.zoom = zoom), this.#stretch());
    if (scroller.scrollLeft !== this.scroller.scrollLeft) this.scroller.scrollLeft = scroller.scrollLeft;
    this.draw();
  }

  get width() {
    const { narrow, wide } = this.sizes;
    const room = this.scroller.clientWidth - this.beside;
    return this.zoom * Math.min(wide, Math.max(narrow, Math.floor((2 * room) / Math.max(1, this.columns.length)) / 2));
  }

  get height() {
    const { low, high, tall } = this.sizes;
    return Math.max(FINGER.matches && low >= 4 ? Math.max(6, low) : low, Math.min(high, Math.floor(tall / Math.max(1, this.picture.order.length))));
  }

  get beside() {
    return this.sides?.beside ?? this.sizes.beside;
  }

  #stretch() {
    this.room.style.width = `${this.beside + this.width * this.columns.length}px`;
  }

  #follow() {
    this.#stretch();
    if (this.cursor.column === null && this.columns.length) this.scroller.scrollLeft = this.sizes.still ? 0 : this.scroller.scrollWidth;
  }

  #draw() {
    const { order } = this.picture;
    const [R, T] = [order.length, this.columns.length];
    const wide = this.scroller.clientWidth;
    if (!wide) return;
    this.sides = roomOf(this.rows, this.names, { least: this.sizes.beside, width: this.width });
    const { beside, below, turned } = this.sides;
    const [w, t] = [this.width, this.height];
    const tall = R * t;
    this.#stretch();
    this.scroller.setAttribute("aria-label", `${this.label}: ${R} ${this.sizes.unit ?? "units"}, ${T} ${this.sizes.step ?? "steps"}; arrow keys move, Enter chooses a ${(this.sizes.unit ?? "units").replace(/s$/, "")}`);
    this.bar.set(this.limit, this.picture);
    const context = sized(this.canvas, wide, tall + below);
    const from = Math.min(T, Math.floor(this.scroller.scrollLeft / w));
    const left = beside - (this.scroller.scrollLeft - from * w);
    const shown = Math.min(T - from, Math.ceil((wide - beside) / w) + 1);
    context.imageSmoothingEnabled = false;
    context.save();
    context.beginPath();
    context.rect(beside, 0, wide - beside, tall + below);
    context.clip();
    if (shown > 0 && R) context.drawImage(this.picture.canvas, from, 0, shown, R, left, 0, shown * w, tall);
    if (this.picture.missing) this.#crosses(context, { from, shown, left, w, t });
    this.#cursor(context, left - from * w, w, t, tall);
    writeColumns(context, this.names, { from, shown, left, width: w, top: tall, turned, marked: this.cursor.column });
    context.restore();
    const place = (row) => order.indexOf(row);
    writeRows(context, order.map((row) => this.rows[row]), { beside, height: t, marks: [place(this.chosen), place(this.cursor.row)] });
    context.strokeStyle = colour("rule");
    context.strokeRect(beside - 0.5, 0.5, Math.min(wide - beside, Math.max(T * w, 1)), tall - 1);
    this.#tell();
  }

  // Where there is no finite number, which has no colour, as zero has none.
  #crosses(context, { from, shown, left, w, t }) {
    const arm = Math.min(w, t) / 4;
    context.strokeStyle = colour("soft");
    context.beginPath();
    for (let at = 0; at < shown; at++) {
      this.picture.order.forEach((row, height) => {
        if (Number.isFinite(this.columns[from + at][row])) return;
        const [x, y] = [left + (at + 0.5) * w, (height + 0.5) * t];
        for (const side of [-arm, arm]) (context.moveTo(x - arm, y - side), context.lineTo(x + arm, y + side));
      });
    }
    context.stroke();
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
      if (!this.picture.order.includes(at)) continue;
      context.globalAlpha = alpha;
      context.strokeRect(origin - 0.5, this.picture.order.indexOf(at) * t - 0.5, this.columns.length * w + 1, t + 1);
    }
    context.globalAlpha = 1;
  }

  #tell() {
    const { row, column } = this.cursor;
    const there = row !== null && row >= 0 && column !== null && column < this.columns.length;
    const words = there ? this.say(row, column, short(this.columns[column][row], true, this.steps?.[row])) : "";
    if (this.told.value !== words) this.told.value = words;
  }
}
