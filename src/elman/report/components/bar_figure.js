// The component of a report's bars: a number for each name, as rows that fit every width.

import { h } from "./element.js";
import { short } from "./numbers.js";

export function mount({ names, values, ends, notes, span: [low, high], colour, marks, x }, { title, link }) {
  const part = (value) => `${(100 * (Math.max(low, Math.min(high, value)) - low)) / (high - low)}%`;
  const between = (kind, from, to) => {
    const piece = h("span", { class: kind });
    piece.style.insetInlineStart = part(Math.min(from, to));
    piece.style.width = `calc(${part(Math.max(from, to))} - ${part(Math.min(from, to))})`;
    return piece;
  };
  // A mark is a dotted line in every row; its word stands above the first.
  const marked = (first) => marks.map(([at, text], index) => {
    const line = h("span", { class: `bar-mark${at - low > (high - low) / 2 ? " left" : ""}${first ? " first" : ""}` }, first ? h("span", { title: text }, text) : null);
    line.style.insetInlineStart = part(at);
    line.style.setProperty("--row", index);
    return line;
  });
  const rows = names.map((name, index) => {
    const value = values[index];
    const bounds = ends.map((each) => each[index]);
    const more = [[ends.length && `(${short(bounds[0])} to ${short(bounds[1])})`, "bar-ends"], [notes[index] && `· ${notes[index]}`, "bar-note"]];
    const said = [short(value), ...more.filter(([words]) => words).flatMap(([words, kind]) => [" ", h("span", { class: kind }, words)])];
    const bar = between("value-bar", Math.max(low, 0), value);
    bar.style.setProperty("--c", `var(--${colour})`);
    return h("li", { onpointerenter: () => link.point(null, name), onpointerleave: () => link.point(null, null) },
      h("span", { class: "bar-name" }, name), h("span", { class: "bar-area" }, marked(index === 0), bar, ends.length ? between("bar-interval", ...bounds) : null), h("span", { class: "bar-value" }, said));
  });
  const list = h("ol", { class: "bar-rows", "aria-label": title }, rows);
  const element = h("div", { class: "bar-figure" }, h("div", { class: "axis-name" }, x), list);
  element.style.setProperty("--marks", marks.length);
  link.listen(({ unit }) => rows.forEach((row, index) => row.classList.toggle("lit", names[index] === unit)));
  return element;
}
