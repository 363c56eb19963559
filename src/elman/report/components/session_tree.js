// Sessions as lines over the positions that they have read: a fork leaves the line of its parent where it was made.

import { h, svg } from "./element.js";

const LANE = 26;
const LEFT = 12;
const LETTER = 7; // pixels, of a name

export class SessionTree {
  // onopen(id): a line was chosen; onback(id, position): a checkpoint of the line; onclose(id): a line that no pane shows.
  constructor({ label, onopen, onback, onclose }) {
    Object.assign(this, { onopen, onback, onclose });
    this.element = h("div", { class: "session-tree", role: "tree", "aria-label": label });
    this.sessions = [];
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  // sessions: [{ id, name, parent, at, position, checkpoints, model, open: true where a pane shows it }]; at: where it forked.
  set(sessions) {
    this.sessions = sessions;
    this.#draw();
  }

  #ordered() {
    const known = new Set(this.sessions.map(({ id }) => id));
    const walk = (parent, depth) => this.sessions
      .filter((session) => (known.has(session.parent) ? session.parent : null) === parent)
      .flatMap((session) => [{ ...session, depth }, ...walk(session.id, depth + 1)]);
    return walk(null, 1);
  }

  #draw() {
    const width = this.element.clientWidth;
    if (!width) return;
    const ordered = this.#ordered();
    const lane = new Map(ordered.map(({ id }, index) => [id, index]));
    const longest = Math.max(20, ...ordered.map(({ position }) => position));
    const letters = Math.max(0, ...ordered.map(({ name }) => name.length));
    const room = Math.max(0.35 * width, width - LEFT - LETTER * letters - 60);
    const x = (position) => LEFT + (room * position) / longest;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const rows = ordered.map((session, index) => this.#row(session, x, lane, index, width));
    this.element.replaceChildren(...rows);
    if (focused) this.element.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(session, x, lane, index, width) {
    const y = LANE / 2;
    const begin = session.parent && lane.has(session.parent) ? x(session.at) : x(0);
    const above = session.parent && lane.has(session.parent) ? (index - lane.get(session.parent)) * LANE : 0;
    const end = x(session.position);
    const dots = session.checkpoints.map(({ position }) => svg("circle", { class: "checkpoint", cx: x(position), cy: y, r: 4.5, onclick: (event) => (event.stopPropagation(), this.onback(session.id, position)) },
      svg("title", null, `go back to the checkpoint at ${position}`)));
    const drawing = svg("svg", { width, height: LANE, viewBox: `0 0 ${width} ${LANE}`, "aria-hidden": "true" },
      above ? svg("path", { class: "branch", d: `M${begin} ${y - above}V${y - 6}Q${begin} ${y} ${begin + 6} ${y}` }) : null,
      svg("path", { class: "lane", d: `M${above ? begin + 6 : begin} ${y}H${Math.max(end, begin + 6)}` }),
      svg("circle", { class: "head", cx: Math.max(end, begin + 6), cy: y, r: 4 }),
      dots,
      svg("text", { class: "lane-name", x: Math.max(end, begin + 6) + 12, y: y + 4 }, session.name));
    const said = `${session.name}${session.open ? ", shown" : ""}`;
    return h("div", {
      class: `lane-row${session.open ? " open" : ""}`, role: "treeitem", tabindex: "0", "data-id": session.id, "aria-level": session.depth, "aria-selected": String(session.open), "aria-label": said,
      onclick: () => this.onopen(session.id),
      onkeydown: (event) => this.#key(event, session),
    }, drawing, session.open ? null : h("button", { type: "button", class: "lane-close", tabindex: "-1", "aria-label": `close ${session.name}`, title: "Close this session (Delete)", onclick: (event) => (event.stopPropagation(), this.onclose(session.id)) }, "×"));
  }

  #key(event, session) {
    const move = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (move) (event.preventDefault(), event.currentTarget[move]?.focus());
    else if (event.key === "Delete" && !session.open) this.onclose(session.id);
    else if (event.key === "Enter" || event.key === " ") (event.preventDefault(), this.onopen(session.id));
  }
}
