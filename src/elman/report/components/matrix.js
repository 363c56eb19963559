// A small matrix with names along both sides, such as an alignment: a table, so that one can also hear it.

import { h, scrollHint } from "./element.js";
import { shorten } from "./heat_names.js";
import { percent, short, visible } from "./numbers.js";

export class Matrix {
  // corner: what rows and columns are; full: the number of full colour; share: whether numbers are parts of 1. onpoint(row, column): the cell under the pointer (nulls: none).
  constructor({ label, corner, full = 1, share = true, onpoint = () => {} }) {
    this.head = h("tr");
    this.body = h("tbody");
    Object.assign(this, { corner, full, written: share ? percent : short });
    this.table = h("table", { class: "matrix", "aria-label": label }, h("thead", null, this.head), this.body);
    this.scroller = h("div", { class: "matrix-scroller", tabindex: "0", role: "region", "aria-label": label }, this.table);
    this.told = h("output", { class: "told" });
    this.element = h("div", null, this.scroller, this.told, scrollHint(this.scroller));
    this.table.addEventListener("pointerover", ({ target }) => {
      const cell = target.closest("tbody td");
      this.#light(cell ? cell.parentNode.rowIndex - 1 : null, cell ? cell.cellIndex - 1 : null);
      onpoint(...this.lit);
    });
    this.table.addEventListener("pointerleave", () => (this.#light(null, null), onpoint(null, null)));
    this.lit = [null, null];
    this.reset([]);
  }

  reset(columns) {
    this.columns = columns;
    this.head.replaceChildren(h("td", { class: "corner" }, this.corner), ...columns.map((name) => h("th", { scope: "col", title: visible(name) }, h("span", null, shorten(visible(name))))));
    this.body.replaceChildren();
    this.values = [];
  }

  // One row more: a number, at least 0, for every column.
  append(name, values) {
    this.values.push(values);
    const cells = this.columns.map((column, index) => {
      const value = values[index] ?? 0;
      const cell = h("td", null, h("span", { class: "unseen" }, this.written(value)));
      cell.style.setProperty("--part", Number.isFinite(value) ? Math.min(1, value / this.full) : 0);
      return cell;
    });
    this.body.append(h("tr", null, h("th", { scope: "row", title: visible(name) }, shorten(visible(name))), cells));
  }

  #light(row, column) {
    this.lit = [row, column];
    this.told.value = row === null ? "" : `${this.body.rows[row].cells[0].title} → ${visible(this.columns[column])}: ${this.written(this.values[row][column] ?? 0)}`;
    [...this.head.cells].forEach((cell, index) => cell.classList.toggle("lit", column !== null && index === column + 1));
    [...this.body.rows].forEach((line, index) => line.cells[0].classList.toggle("lit", index === row));
  }
}
