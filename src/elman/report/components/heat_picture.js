// The numbers of a heat map as a picture off the screen, a pixel for each: only what is new is painted.

export const POSITIVE = [214, 96, 32];
export const NEGATIVE = [46, 116, 196];
const MOST = 0.95; // of the values are within full colour
const LEAST = 512; // pixels

export class HeatPicture {
  // limit: the value of full colour; null: one that most values are within.
  constructor(limit) {
    this.fixed = limit;
    this.canvas = document.createElement("canvas");
    this.reset(0);
  }

  reset(R) {
    this.order = Array.from({ length: R }, (_, row) => row); // the row at each height
    this.columns = [];
    this.limit = this.fixed ?? 0.001;
    this.signed = this.beyond = this.missing = false; // whether there are values below zero, beyond full colour, and no numbers
    this.canvas.width = LEAST;
    this.canvas.height = Math.max(1, R);
  }

  append(values, T) {
    const R = this.order.length;
    const first = this.columns.length;
    for (let t = 0; t < T; t++) this.columns.push(Float32Array.from({ length: R }, (_, r) => values[r * T + t]));
    const finite = values.filter(Number.isFinite);
    this.missing ||= finite.length < values.length;
    this.signed ||= finite.some((value) => value < 0);
    this.#paint(this.#grow(finite) ? 0 : first);
    this.beyond ||= finite.some((value) => Math.abs(value) > 1.005 * this.limit);
  }

  arrange(order) {
    this.order = order;
    this.#paint(0);
  }

  // Whether full colour now stands for more: most new values are beyond it. A few large ones do not make all others pale.
  #grow(values) {
    if (this.fixed !== null || !values.length) return false;
    const sizes = values.map(Math.abs).sort();
    const large = sizes[Math.floor(MOST * (sizes.length - 1))];
    if (!(large > this.limit)) return false;
    this.limit = Number((1.2 * large).toPrecision(2)); // so that it does not grow again with the next column
    return true;
  }

  #paint(first) {
    const [R, T] = [this.order.length, this.columns.length];
    if (T > this.canvas.width) {
      this.canvas.width = 2 ** Math.ceil(Math.log2(T)); // which clears it
      first = 0;
    }
    if (!R || first >= T) return;
    const image = new ImageData(T - first, R);
    for (let t = first; t < T; t++) {
      for (let r = 0; r < R; r++) {
        const value = this.columns[t][this.order[r]] / this.limit;
        const at = 4 * (r * (T - first) + t - first);
        const rgb = value < 0 ? NEGATIVE : POSITIVE;
        [image.data[at], image.data[at + 1], image.data[at + 2]] = rgb;
        image.data[at + 3] = Number.isFinite(value) ? 255 * Math.min(1, Math.abs(value)) : 0; // what is not finite has no colour
      }
    }
    this.canvas.getContext("2d").putImageData(image, first, 0);
  }
}
