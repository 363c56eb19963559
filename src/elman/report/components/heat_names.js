// The names along the sides of a heat map: how much room they take, and how they are written on its canvas.

import { colour } from "./element.js";

const MOST = 20; // letters of a name that is written
const SMALL = 9;
const LETTERS = 12; // pixels, the size of letters where there is room
const LINE = 10.5; // pixels that a name takes across its letters

// Symbols that no text spells, in one letter each, as names.py has them: names of a letter have no room for more.
const SPECIAL = new Map([["<unk>", "\ufffd"], ["<eod>", "∎"], ["<eos>", "⏎"], ["<pad>", "·"]]);

// Letters of East Asia, and pictures, take the room of two.
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{1b2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

const letters = (all) => all.reduce((sum, letter) => sum + (WIDE.test(letter) ? 2 : 1), 0);

// A name with its middle left out where it is too long: the same as names.py makes of it.
export const shorten = (name, most = MOST) => {
  const all = [...String(name ?? "")];
  if (letters(all) <= most) return all.join("");
  const [head, tail] = [all.slice(0, most), all.slice(-most)];
  while (letters(head) > (most - 1) >> 1) head.pop();
  while (letters(tail) > (most - 1) >> 1) tail.shift();
  return `${head.join("")}…${tail.join("")}`;
};

const measure = document.createElement("canvas").getContext("2d");

// The pixels of the longest of some names.
function longest(names, font) {
  measure.font = font;
  return Math.max(0, ...[...new Set(names)].map((name) => measure.measureText(shorten(name)).width));
}

// A name below a map or an axis, along it or turned: where it is not turned, a special symbol is one letter.
export const under = (name, turned) => (turned ? shorten(name) : (SPECIAL.get(name) ?? shorten(name)));

// The room for the names of rows beside a map, and for the names of columns below one, which are turned where one has not
// `width` pixels; special symbols turn none.
export function roomOf(rows, columns, { least, width }) {
  const sans = colour("sans");
  const beside = Math.max(least, Math.ceil(longest(rows, `${LETTERS - 1}px ${sans}`)) + 10);
  const font = `11px ${colour("mono")}`;
  const ordinary = columns.filter((name) => !SPECIAL.has(name));
  const turned = longest(ordinary, font) > width - 1 && ordinary.some((name) => [...String(name ?? "")].length > 1);
  return { beside, below: !columns.some(Boolean) ? 4 : turned ? Math.ceil(longest(columns, font)) + 8 : 18, turned };
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
    const words = under(name, turned);
    if (!turned && [...words].length > 1 && context.measureText(words).width > width * stride) continue;
    context.save();
    context.translate(x + (turned ? 4 : 0), top + (turned ? 5 : 13));
    if (turned) context.rotate(-Math.PI / 2);
    context.fillText(words, 0, 0);
    context.restore();
  }
}
