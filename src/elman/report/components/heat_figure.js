// The component of a report's heat map: its rows in an order that one chooses, and its values where one points.

import { h } from "./element.js";
import { HeatMap } from "./heatmap.js";

const GIVEN = "as given";
export const SIZES = { still: true, beside: 24, narrow: 4, wide: 160, low: 4, high: 36, tall: 420 }; // pixels
const NAMED = 12; // pixels that a name takes
const MOST_NAMED = 80; // rows that are as high as their names
const MANY = 200; // rows that are as low as can be

// Pixels of a heat map whose sides have names, or have not.
export const sizesFor = (rows, columns, more = {}) => ({ ...SIZES, ...(rows.length > MANY ? { low: 2 } : rows.length && rows.length <= MOST_NAMED && { low: NAMED }), ...(columns.some((name) => name) && { narrow: 9 }), ...more });

// A choice of one of the orders { name: [row, …] }; nothing where there is none.
export function orderChoice(orders, onchange) {
  const names = Object.keys(orders);
  return names.length ? h("select", { onchange }, [GIVEN, ...names].map((name) => h("option", { value: name }, name))) : null;
}

export function mount({ x, y, rows, columns, values, full, orders }, { title, link }) {
  const [R, C] = values.shape;
  const names = rows.length ? rows : Array.from({ length: R }, (_, row) => String(row));
  const below = columns.length ? columns : Array.from({ length: C }, (_, column) => String(column));
  const choice = orderChoice(orders, () => map.arrange(orders[choice.value] ?? names.map((_, row) => row)));
  const map = new HeatMap({
    label: title, limit: full || 1, lead: [h("span", { class: "axis-name" }, y), choice && h("label", { class: "pick" }, "Order ", choice)], sizes: sizesFor(rows, columns, { unit: "rows", step: "columns" }),
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
  return h("div", { class: "heat-figure" }, map.element, h("div", { class: "axis-name x" }, x));
}
