// The component of a report's heat map: its rows in an order that one chooses, and its values where one points.

import { h } from "./element.js";
import { HeatMap } from "./heatmap.js";
import { visible } from "./numbers.js";

const GIVEN = "as given";
export const SIZES = { still: true, beside: 24, narrow: 4, wide: 72, low: 4, high: 26, tall: 420 }; // pixels
const NAMED = 12; // pixels that a name takes
const MOST_NAMED = 80; // rows that are as high as their names

// Pixels of a heat map whose sides have names, or have not.
export const sizesFor = (rows, columns, more = {}) => ({ ...SIZES, ...(rows.length && rows.length <= MOST_NAMED && { low: NAMED }), ...(columns.some((name) => name) && { narrow: 9 }), ...more });

// A choice of one of the orders { name: [row, …] } for some maps; nothing where there is none.
export function orderChoice(orders, R, maps, words = "Order") {
  const names = Object.keys(orders);
  if (!names.length) return null;
  const given = Array.from({ length: R }, (_, row) => row);
  const choice = h("select", { onchange: () => maps.forEach((map) => map.arrange(orders[choice.value] ?? given)) }, [GIVEN, ...names].map((name) => h("option", { value: name }, name)));
  return h("label", { class: "pick" }, `${words} `, choice);
}

export function mount({ x, y, rows, columns, values, full, orders }, { title, link }) {
  const [R, C] = values.shape;
  const names = rows.length ? rows : Array.from({ length: R }, (_, row) => String(row));
  const below = columns.length ? columns.map(visible) : Array.from({ length: C }, (_, column) => String(column));
  const map = new HeatMap({
    label: title, limit: full || 1, heading: false, sizes: sizesFor(rows, columns, { unit: "rows", step: "columns" }),
    say: (row, column, value) => `${y} ${names[row]}, ${x} ${below[column]}: ${value}`,
    onpoint: (row, column) => link.point(column, row === null ? null : names[row]),
    onchoose: (row) => link.choose(names[row]),
  });
  map.reset(names);
  map.append(values, below);
  link.listen(({ time, unit, chosen }) => {
    const row = unit === null ? -1 : names.indexOf(unit);
    map.choose(chosen === null ? null : names.indexOf(chosen));
    map.point(row < 0 ? null : row, time !== null && time >= 0 && time < C ? time : null);
  });
  return h("div", { class: "heat-figure" }, h("div", { class: "plot-head" }, h("span", { class: "axis-name" }, y), orderChoice(orders, R, [map])), map.element, h("div", { class: "axis-name x" }, x));
}
