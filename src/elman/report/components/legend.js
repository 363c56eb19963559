// The series of a chart, as buttons that switch them on and off, each with its value at the place one points at.

import { h, svg } from "./element.js";

export class Legend {
  // entries: [{ name, colour: "c1", dash: [6, 5], shape: a path or "", number, line: false for points }];
  // ontoggle(index, shown). Shift shows one series alone, or all again. Legends of one link switch series of one name together.
  constructor(entries, ontoggle, link = null) {
    this.shown = entries.map(() => true);
    Object.assign(this, { ontoggle, link, names: entries.map(({ name }) => name) });
    this.place = h("span", { class: "legend-place" });
    this.buttons = entries.map((entry, index) => h("button", { type: "button", class: "legend-series", "aria-pressed": "true", title: "Show or hide; with Shift: alone", onclick: (event) => this.#press(index, event.shiftKey) },
      key(entry), h("span", null, entry.number ? `${entry.number} ${entry.name}` : entry.name), h("b", { class: "legend-value" })));
    this.element = h("div", { class: "legend", role: "group", "aria-label": "Series" }, this.buttons, this.place);
    link?.listen(({ hidden }) => this.#set(this.names.map((name) => !hidden.has(name))));
  }

  // place: words for where one points; values: words for each series.
  tell(place, values) {
    this.place.textContent = place;
    this.buttons.forEach((button, index) => (button.lastChild.textContent = values[index] ?? ""));
  }

  #press(index, alone) {
    const only = this.shown.every((shown, other) => shown === (other === index));
    const wanted = alone ? this.shown.map((_, other) => only || other === index) : this.shown.map((shown, other) => (other === index ? !shown : shown));
    this.#set(wanted);
    this.link?.show(this.names.map((name, other) => [name, wanted[other]]));
  }

  #set(wanted) {
    wanted.forEach((shown, other) => {
      if (shown === this.shown[other]) return;
      this.buttons[other].setAttribute("aria-pressed", String(shown));
      this.ontoggle(other, shown);
    });
    this.shown = wanted;
  }
}

function key({ colour, dash = [], shape, line = true }) {
  const drawn = line
    ? svg("path", { class: "line", d: "M0 6H30", "stroke-dasharray": dash.length ? dash.join(" ") : "none" })
    : shape ? svg("path", { class: "point", d: shape, transform: "translate(6 6)" }) : svg("circle", { class: "point", cx: 6, cy: 6, r: 3.5 });
  const drawing = svg("svg", { class: line ? "key" : "key dot", viewBox: line ? "0 0 30 12" : "0 0 12 12", "aria-hidden": "true" }, drawn);
  drawing.style.setProperty("--c", `var(--${colour})`); // a policy may forbid style attributes
  return drawing;
}
