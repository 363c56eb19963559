// The controls of a model that writes: how much, how bold, with which seed; write, step, stop.

import { h } from "../components/element.js";

const number = (name, label, value, attributes) =>
  h("label", null, `${label} `, h("input", { type: "number", name, value, inputmode: "decimal", ...attributes }));

export class Writing {
  // write(options), stop(): what the buttons do.
  constructor({ write, stop, tokens = 100, temperature = 0.8 }) {
    this.writeButton = h("button", { type: "submit", class: "main", title: "Ctrl+Enter" }, "Write");
    this.stepButton = h("button", { type: "button", onclick: () => write({ ...this.options, tokens: 1 }), title: "Ctrl+. writes one symbol" }, "One step");
    this.stopButton = h("button", { type: "button", onclick: stop, hidden: true, title: "Escape" }, "Stop");
    this.told = h("p", { class: "hint", role: "status" });
    this.form = h("form", { class: "writing-form", onsubmit: (event) => (event.preventDefault(), write(this.options)) },
      number("tokens", "Symbols", tokens, { min: 1, max: 10000, step: 1 }),
      number("temperature", "Temperature", temperature, { min: 0, max: 10, step: 0.1 }),
      number("top_k", "Top-k", "", { min: 1, step: 1, placeholder: "all" }),
      number("top_p", "Top-p", "", { min: 0, max: 1, step: 0.05, placeholder: "1" }),
      number("seed", "Seed", "", { min: 0, step: 1, placeholder: "any" }),
      h("label", null, "Stop at ", h("input", { type: "text", name: "stop", placeholder: "such as \\n\\n", autocomplete: "off" })),
      h("div", { class: "buttons wide" }, this.writeButton, this.stopButton, this.stepButton));
    this.element = h("section", { class: "card writing", "aria-label": "Write" }, h("div", { class: "card-head" }, h("h2", null, "Write")), this.form, this.told);
  }

  get options() {
    const options = {};
    for (const name of ["tokens", "temperature", "top_k", "top_p", "seed"]) {
      const { value } = this.form.elements[name];
      if (value !== "") options[name] = Number(value);
    }
    const stop = this.form.elements.stop.value.replaceAll("\\n", "\n").replaceAll("\\t", "\t");
    if (stop) options.stop = [stop];
    return options;
  }

  busy(writes) {
    this.writeButton.hidden = this.stepButton.hidden = writes;
    this.stopButton.hidden = !writes;
  }

  // What an answer says of itself.
  tell(answer) {
    if (!answer) return;
    const why = { length: "", stop: " It came to the text to stop at.", end: " It ended by itself.", cancelled: " It was stopped." }[answer.finished] ?? "";
    this.told.textContent = `${answer.seed === undefined ? "" : `Written with seed ${answer.seed}.`}${why}`;
  }
}
