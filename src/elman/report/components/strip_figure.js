// The component of a report's coloured text: the value of a piece where one points.

import { h } from "./element.js";
import { short, visible } from "./numbers.js";
import { PointedText } from "./pointed_text.js";

export function mount({ pieces, values, full }, { title, link }) {
  const told = h("output", { class: "told", "aria-live": "polite" });
  const text = new PointedText({ label: title, pieces, onpoint: (index) => link.point(index, null) });
  text.strip.shade(Array.from(values, (value) => value / (full || 1)));
  link.listen(({ time }) => {
    const index = time !== null && time < pieces.length ? time : null;
    text.point(index);
    told.value = index === null ? "" : `“${visible(pieces[index])}” (${index + 1}): ${short(values[index], true)}`;
  });
  return h("div", { class: "strip-figure" }, text.element, told, text.hint);
}
