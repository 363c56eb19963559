// A text of coloured pieces at which one points: with the pointer, a finger, or the arrow keys.

import { h, scrollHint } from "./element.js";
import { TextStrip } from "./text_strip.js";

export class PointedText {
  // onpoint(index of a piece | null)
  constructor({ label, pieces, onpoint }) {
    Object.assign(this, { pieces, onpoint, at: null });
    this.strip = new TextStrip();
    this.strip.append(pieces.map((text) => ({ text: text.replaceAll("\n", "↵\n") })));
    this.element = h("div", {
      class: "pointed-text", tabindex: "0", role: "application", "aria-roledescription": "coloured text", "aria-label": `${label}; arrow keys move`,
      onpointermove: (event) => this.onpoint(this.strip.at(event.clientX, event.clientY)),
      onpointerdown: (event) => this.onpoint(this.strip.at(event.clientX, event.clientY)),
      onpointerleave: (event) => event.pointerType === "mouse" && this.onpoint(null),
      onkeydown: (event) => this.#key(event),
      onblur: () => this.onpoint(null),
    }, this.strip.element);
    this.hint = scrollHint(this.element);
  }

  // Show that a piece is pointed at, here or elsewhere.
  point(index) {
    if (index === this.at) return;
    this.at = index;
    this.strip.mark({ pointed: index });
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = this.pieces.length - 1;
    this.onpoint(this.at === null ? 0 : Math.max(0, Math.min(last, this.at + step)));
    this.strip.spans[this.at]?.scrollIntoView({ block: "nearest" });
  }
}
