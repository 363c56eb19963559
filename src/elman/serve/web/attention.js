// Where a Transformer looks: the attention of one head, or their mean, from a place in the text back over the text.

import { h } from "../components/element.js";
import { floats, percent, visible } from "../components/numbers.js";

export class Attention {
  // onvalues(weights | null): a weight for every piece up to the place; onplace asks for the place of the moment.
  constructor(session, { onvalues }) {
    Object.assign(this, { session, onvalues });
    this.pick = { layer: 0, head: null }; // null: the mean over heads
    this.grid = h("div", { class: "heads", role: "radiogroup", "aria-label": "Layer and head" });
    this.told = h("p", { class: "hint", "aria-live": "polite" });
    this.element = h("section", { class: "card attention", "aria-label": "Attention" }, h("div", { class: "card-head" }, h("h2", null, "Attention")), this.grid, this.told);
    this.asked = null;
  }

  // Look from the piece at `index`.
  async look(index) {
    if (index < 0 || index >= this.session.known || this.session.busy) return;
    const part = this.session.parts[index];
    if (this.asked === part) return;
    this.asked = part;
    if (this.asking) return;
    this.asking = true;
    try {
      for (let at = null; this.asked !== at; ) {
        at = this.asked;
        const from = this.session.parts.indexOf(at);
        if (from < 0 || this.session.busy) this.asked = null; // the session's next rest asks again
        if (!this.asked) break;
        const answer = await this.session.watch({ from, to: from + 1, attention_at: from, layer: 1, unit: null, units: 1, top: 8 });
        at.next = answer.next?.[0] ?? at.next;
        if (answer.attention) this.#take(answer.attention);
      }
    } catch (error) {
      this.session.trouble(error);
    } finally {
      this.asking = false;
    }
  }

  #take(told) {
    const same = this.last && this.last.layers === told.layers && this.last.heads === told.heads;
    this.last = { from: told.at + 1 - told.shape[2], ...told, values: floats(told) };
    if (!same) this.#makeGrid(told);
    this.show();
  }

  #makeGrid({ layers, heads }) {
    const button = (layer, head, label) => h("button", { type: "button", role: "radio", class: "head", "data-layer": layer, "data-head": head ?? "", "aria-label": label,
      onclick: () => ((this.pick = { layer, head }), this.show()), onkeydown: (event) => this.#key(event) }, head === null ? "mean" : String(head + 1));
    this.grid.replaceChildren(...Array.from({ length: layers }, (_, layer) => h("div", { class: "head-row" }, h("span", null, `layer ${layer + 1}`),
      button(layer, null, `layer ${layer + 1}, mean of its heads`), Array.from({ length: heads }, (_, head) => button(layer, head, `layer ${layer + 1}, head ${head + 1}`)))));
    this.pick.layer = Math.min(this.pick.layer, layers - 1);
  }

  #key(event) {
    const buttons = [...this.grid.querySelectorAll("button")];
    const perRow = buttons.length / this.last.layers;
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow }[event.key];
    const next = move && buttons[buttons.indexOf(event.currentTarget) + move];
    if (next) (event.preventDefault(), next.focus(), next.click());
  }

  // A weight for each of the steps that the model still sees: from `last.from` to `last.at`.
  weights() {
    const { values, shape: [, N, S] } = this.last;
    const { layer, head } = this.pick;
    const row = (n) => values.subarray((layer * N + n) * S, (layer * N + n + 1) * S);
    if (head !== null) return row(head);
    return Float32Array.from({ length: S }, (_, s) => Array.from({ length: N }, (_, n) => row(n)[s]).reduce((a, b) => a + b) / N);
  }

  show() {
    if (!this.last) return;
    const { layer, head } = this.pick;
    for (const button of this.grid.querySelectorAll("button")) {
      const chosen = Number(button.dataset.layer) === layer && button.dataset.head === (head === null ? "" : String(head));
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    const weights = this.weights();
    const at = this.last.at;
    const most = this.last.from + weights.reduce((best, value, index) => (value > weights[best] ? index : best), 0);
    const piece = (index) => visible(this.session.parts[index]?.text ?? "");
    const back = at - most;
    const where = back === 0 ? "at itself" : `${back} ${back === 1 ? "step" : "steps"} back at “${piece(most)}”`;
    this.told.textContent = `From “${piece(at)}” (${at + 1}), ${head === null ? "the mean of the heads of" : `head ${head + 1} of`} layer ${layer + 1} looks most ${where}: ${percent(weights[most - this.last.from])}.`;
    this.onvalues(weights);
  }
}
