// Which number has which colour: blue below zero, orange above, full at the limit.

import { h } from "./element.js";
import { short } from "./numbers.js";

export class ColourBar {
  constructor() {
    this.low = h("span");
    this.high = h("span");
    this.element = h("span", { class: "colour-bar", role: "img" }, this.low, h("i", { "aria-hidden": "true" }), this.high);
  }

  // limit: the value of full colour; signed: whether there are values below zero; beyond: whether some are further from zero.
  set(limit, { signed = true, beyond = false } = {}) {
    const sign = beyond ? " or more" : "";
    this.element.classList.toggle("signed", signed);
    this.low.textContent = signed ? short(-limit) : "0";
    this.high.textContent = `${short(limit)}${sign}`;
    this.element.setAttribute("aria-label", signed ? `colours from blue, ${short(-limit)}, to orange, ${short(limit)}` : `colours from none, 0, to orange, ${short(limit)}`);
  }
}
