// The component of a report's alignment: a table with the names of all its rows and columns.

import { h } from "./element.js";
import { Matrix } from "./matrix.js";

export function mount({ x, y, source, target, weights, full, share }, { title, link }) {
  const matrix = new Matrix({ label: title, corner: `${y} ↓ ${x} →`, full, share, onpoint: (row, column) => link.point(column, row === null ? null : target[row]) });
  matrix.scroller.classList.add("whole");
  matrix.table.style.setProperty("--columns", source.length);
  matrix.reset(source);
  const S = source.length;
  target.forEach((name, row) => matrix.append(name, weights.subarray(row * S, (row + 1) * S)));
  return h("div", { class: "alignment-figure" }, matrix.element);
}
