// Probabilities as bars. Where `onchoose` is given, every bar is a button.

import { h } from "./element.js";
import { percent, spoken, visible } from "./numbers.js";

export class Bars {
  // name(entry) -> what a bar is called on the screen; action(entry) -> what its button does, in words.
  constructor({ label, onchoose = null, name = (entry) => visible(entry.text), action = (entry) => `append ${spoken(entry.text)}` }) {
    Object.assign(this, { onchoose, name, action });
    this.element = h("ol", { class: "bars", "aria-label": label });
    this.entries = [];
  }

  // entries: [{probability, …}], in the order in which they are shown.
  set(entries) {
    this.entries = entries;
    while (this.element.childElementCount > entries.length) this.element.lastChild.remove();
    while (this.element.childElementCount < entries.length) this.element.append(this.#row(this.element.childElementCount));
    entries.forEach((entry, index) => {
      const row = this.element.children[index].firstChild;
      row.children[0].textContent = this.name(entry);
      row.children[1].style.setProperty("--part", entry.probability);
      row.children[2].textContent = percent(entry.probability);
      row.classList.toggle("first", index === 0);
      if (this.onchoose) row.setAttribute("aria-label", `${this.action(entry)}, ${percent(entry.probability)}`);
    });
  }

  #row(index) {
    const parts = [h("b", { class: "symbol" }), h("span", { class: "part", "aria-hidden": "true" }), h("span", { class: "number" })];
    const properties = { type: "button", class: "bar-row", onclick: () => this.onchoose(this.entries[index]) };
    return h("li", null, this.onchoose ? h("button", properties, parts) : h("div", { class: "bar-row" }, parts));
  }
}
