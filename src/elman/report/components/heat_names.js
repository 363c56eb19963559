// The names along the sides of a heat map: how much room they take, and how they are written on its canvas.

import { colour } from "./element.js";

const MOST = 20; // letters of a name that is written
const SMALL = 9;
const LETTERS = 12; // pixels, the size of letters where there is room
const LINE = 10.5; // pixels that a name takes across its letters

export const shorten = (name, most = MOST) => {
  const all = [...String(name ?? "")];
  const half = (most - 1) >> 1;
  return all.length <= most ? all.join("") : `${all.slice(0, half).join("")}…${all.slice(-half).join("")}`;
};

const measure = document.createElement("canvas").getContext("2d");

// The pixels of the longest of some names.
function longest(names, font) {
  measure.font = font;
  return Math.max(0, ...[...new Set(names)].map((name) => measure.measureText(shorten(name)).width));
}

// The room for the names of rows beside a map, and for the names of columns below one.
export function roomOf(rows, columns, { least, width }) {
  const sans = colour("sans");
  const beside = Math.max(least, Math.ceil(longest(rows, `${LETTERS - 1}px ${sans}`)) + 10);
  const words = longest(columns, `11px ${colour("mono")}`);
  const turned = words > width - 1 && columns.some((name) => [...String(name ?? "")].length > 1);
  return { beside, below: !columns.some(Boolean) ? 4 : turned ? Math.ceil(words) + 8 : 18, turned };
}

// Rows: write(name, row position, whether it is marked) with the room `beside`; every n-th where they are too low for letters.
export function writeRows(context, names, { beside, height, marks }) {
  const stride = Math.max(1, Math.ceil(LINE / height));
  const marked = marks.filter((row) => row >= 0);
  context.textAlign = "right";
  names.forEach((name, row) => {
    const mark = marked.includes(row);
    const near = marked.some((other) => other !== row && Math.abs(other - row) * height < LINE);
    if (!mark && (row % stride || near)) return;
    context.font = `${mark ? "700 " : ""}${Math.min(LETTERS - 1, Math.max(SMALL, height))}px ${colour("sans")}`;
    context.fillStyle = colour(mark ? "ink" : "soft");
    context.fillText(shorten(name), beside - 5, Math.max(9, (row + 0.5) * height + 3.5));
  });
}

// Columns from `from` on, `shown` of them, the first at x = `left`.
export function writeColumns(context, names, { from, shown, left, width, top, turned, marked }) {
  const stride = Math.max(1, Math.ceil((turned ? LINE - 1 : 7) / width));
  for (let column = Math.ceil(from / stride) * stride; column < from + shown; column += stride) {
    const name = names[column];
    if (!name) continue;
    const bold = column === marked;
    context.font = `${bold ? "700 " : ""}11px ${colour("mono")}`;
    context.fillStyle = colour(bold ? "ink" : "soft");
    const x = left + (column - from + 0.5) * width;
    context.textAlign = turned ? "right" : "center";
    if (!turned && [...name].length > 1 && context.measureText(name).width > width * stride) continue;
    context.save();
    context.translate(x + (turned ? 4 : 0), top + (turned ? 5 : 13));
    if (turned) context.rotate(-Math.PI / 2);
    context.fillText(shorten(name), 0, 0);
    context.restore();
  }
}
