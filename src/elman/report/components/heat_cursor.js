// What the pointer, a finger and the keys do with a heat map: they move its cursor, choose a row, and widen its columns.

export const ZOOM = 1.5; // of columns, at each step

// The row and the column under the pointer; nulls where it is beside the map.
function place(map, event) {
  const box = map.room.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - map.beside) / map.width);
  const row = map.picture.order[Math.floor((event.clientY - box.top) / map.height)];
  const inside = column >= 0 && column < map.columns.length && row !== undefined;
  return inside ? { row, column } : { row: null, column: null };
}

function move(map, { row, column }) {
  map.point(row, column);
  map.onpoint(row, column);
}

export function listen(map) {
  const { scroller } = map;
  scroller.addEventListener("scroll", () => (map.draw(), map.onview(map)), { passive: true });
  scroller.addEventListener("pointermove", (event) => move(map, place(map, event)));
  scroller.addEventListener("pointerdown", (event) => move(map, place(map, event)));
  scroller.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && move(map, { row: null, column: null }));
  scroller.addEventListener("click", (event) => {
    const { row, column } = place(map, event);
    if (row !== null) map.onchoose(row, column);
  });
  scroller.addEventListener("blur", () => move(map, { row: null, column: null }));
  scroller.addEventListener("keydown", (event) => key(map, event));
}

function key(map, event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const zoom = { "+": ZOOM, "=": ZOOM, "-": 1 / ZOOM, 0: 0 }[event.key];
  const { order } = map.picture;
  const [R, T] = [order.length, map.columns.length];
  if (!R || !T) return;
  const { row, column } = map.cursor;
  if (step) {
    event.preventDefault();
    const clip = (value, end) => Math.max(0, Math.min(end - 1, value));
    const begin = { row: order.includes(map.chosen) ? map.chosen : order[0], column: map.sizes.still ? 0 : T - 1 };
    move(map, row === null ? begin : { row: order[clip(order.indexOf(row) + step[0], R)], column: clip(column + step[1], T) });
    reveal(map);
  } else if (zoom !== undefined) {
    event.preventDefault();
    map.magnify(zoom);
  } else if (event.key === "Enter" && row !== null) {
    map.onchoose(row, column);
  }
}

// Scroll until the cursor's column is in sight.
function reveal(map) {
  const [left, w] = [map.cursor.column * map.width, map.width];
  const room = map.scroller.clientWidth - map.beside;
  if (left < map.scroller.scrollLeft) map.scroller.scrollLeft = left;
  else if (left + w > map.scroller.scrollLeft + room) map.scroller.scrollLeft = left + w - room;
}
