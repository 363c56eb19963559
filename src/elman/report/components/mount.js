// Puts components in the places of a page's drawings, which stay for print.

import { h } from "./element.js";
import { linkOf } from "./link.js";
import { revive } from "./numbers.js";

// kinds: functions mount(data, { element, title, link }) -> an element, or null where the component adds to what is there.
export function mountAll(kinds, root = document) {
  for (const element of root.querySelectorAll(".chart[data-chart]")) {
    const { chart, title, link, group } = element.dataset;
    const data = JSON.parse(element.querySelector(":scope > script").textContent, revive);
    const live = kinds[chart](data, { element, title, link: linkOf(link, group ?? choiceOf(element) ?? link) });
    if (!live) continue;
    element.append(h("div", { class: "live" }, live));
    element.classList.add("mounted");
  }
}

// The outermost choice that a figure is an option of, or null.
function choiceOf(element) {
  const choice = element.parentElement.closest(".chart[data-chart=choice]");
  return choice && (choiceOf(choice) ?? choice);
}
