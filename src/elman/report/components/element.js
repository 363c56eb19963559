// Elements made in one expression: h("button", { class: "plain", onclick: go, "aria-label": "Go" }, "Go")

const SVG = "http://www.w3.org/2000/svg";

export const h = (name, properties, ...children) => fill(document.createElement(name), properties, children);

export const svg = (name, properties, ...children) => fill(document.createElementNS(SVG, name), properties, children);

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "hidden") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// A call of many in a row does its work once, before the next frame.
export function oncePerFrame(work) {
  let asked = 0;
  return () => (asked ||= requestAnimationFrame(() => ((asked = 0), work())));
}

// A canvas of a size in CSS pixels, sharp on every screen; drawing is in CSS pixels.
export function sized(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Words that are there where what is in an element is larger than the element, which then scrolls.
export function scrollHint(scroller) {
  const hint = h("span", { class: "scrolls", hidden: true });
  const look = () => {
    const [wide, tall] = [scroller.scrollWidth > scroller.clientWidth + 1, scroller.scrollHeight > scroller.clientHeight + 1];
    hint.hidden = !wide && !tall;
    hint.textContent = wide ? "⟷ scrolls" : "↕ scrolls";
  };
  const sizes = new ResizeObserver(look);
  sizes.observe(scroller);
  if (scroller.firstElementChild) sizes.observe(scroller.firstElementChild);
  return hint;
}

// The value of a colour of the style sheet, as the theme of the moment has it.
export const colour = (name, element = document.documentElement) => getComputedStyle(element).getPropertyValue(`--${name}`).trim();

// Calls `work` when the theme changes: the system's, or the one that the page was switched to.
export function onTheme(work) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", work);
  new MutationObserver(work).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
}
