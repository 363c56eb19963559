// A text that one types into, and sees as a strip of coloured pieces: a text area, clear as glass, on top of the strip.

import { TextStrip } from "../components/text_strip.js";
import { h } from "../components/element.js";

export class Editor {
  // oninput(text); oncaret(offset); onpoint(index of a piece | null)
  constructor({ label, placeholder, oninput, oncaret = () => {}, onpoint = () => {} }) {
    this.strip = new TextStrip();
    this.area = h("textarea", { "aria-label": label, placeholder, spellcheck: "false", autocomplete: "off", autocapitalize: "off", autocorrect: "off", rows: "1" });
    this.element = h("div", { class: "surface" }, h("div", { class: "sheet" }, this.strip.element, this.area));
    this.shown = []; // the parts of which the strip is made
    this.area.addEventListener("input", () => oninput(this.area.value));
    const caret = () => document.activeElement === this.area && oncaret(this.area.selectionEnd);
    document.addEventListener("selectionchange", caret); // of the text area too, in the browsers of today
    this.area.addEventListener("focus", caret);
    this.area.addEventListener("pointermove", (event) => onpoint(this.strip.at(event.clientX, event.clientY)));
    this.area.addEventListener("pointerleave", () => onpoint(null));
  }

  get caret() {
    return this.area.selectionEnd;
  }

  // Show the parts that agree with the text, and the rest as text that is not read yet. The number of parts that stay.
  show(parts, text) {
    const same = this.shown.findIndex((part, index) => part !== parts[index]);
    const stay = same < 0 ? this.shown.length : same;
    this.strip.truncate(stay);
    this.strip.append(parts.slice(stay));
    this.shown = parts.slice();
    const read = parts.reduce((length, part) => length + part.text.length, 0);
    this.strip.end.textContent = `${text.slice(read)}\u200b`;
    if (this.area.value !== text) {
      const atEnd = this.area.selectionEnd === this.area.value.length;
      const [from, to] = [this.area.selectionStart, this.area.selectionEnd];
      this.area.value = text;
      if (!atEnd) this.area.setSelectionRange(from, to);
    }
    return stay;
  }

  focusEnd() {
    this.area.focus();
    this.area.setSelectionRange(this.area.value.length, this.area.value.length);
  }

  followEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }
}
