// The component of a choice: buttons that show one of several figures, which are there already. Within a choice of texts, the
// choices of a layer or a head go together: another text shows the same layer.

import { h } from "./element.js";

export function mount({ columns }, { element, title }) {
  const parts = [...element.querySelectorAll(":scope > .part")];
  const show = (chosen) => parts.forEach((part, index) => {
    part.hidden = index !== chosen;
    buttons[index].setAttribute("aria-checked", String(index === chosen));
    buttons[index].tabIndex = index === chosen ? 0 : -1;
  });
  const move = (event, index) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -(columns ?? 1), ArrowDown: columns ?? 1 }[event.key];
    const next = step && buttons[index + step];
    if (next) (event.preventDefault(), next.focus(), next.click());
  };
  const names = parts.map(({ dataset }) => dataset.name);
  const choose = (index) => {
    show(index);
    const others = element.parentElement.closest(".chart[data-chart=choice]")?.querySelectorAll(".chart[data-chart=choice]") ?? [];
    for (const other of others) if (other !== element) other.dispatchEvent(new CustomEvent("follow", { detail: names[index] }));
  };
  element.addEventListener("follow", ({ detail }) => names.includes(detail) && show(names.indexOf(detail)));
  const buttons = parts.map((part, index) => h("button", {
    type: "button", role: "radio", title: part.querySelector("h4")?.textContent, onclick: () => choose(index), onkeydown: (event) => move(event, index),
  }, names[index]));
  const group = h("div", { class: `choice-buttons${columns ? " grid" : ""}`, role: "radiogroup", "aria-label": title }, buttons);
  if (columns) group.style.setProperty("--columns", columns);
  element.prepend(h("div", { class: "live scroll" }, group));
  show(0);
  return null;
}
