// What figures of one name share: the time and the unit that one points at, the unit that was chosen, and the series that
// are switched off.

const links = new Map();

class Link {
  listeners = new Set();
  time = null; // a number
  unit = null; // a name
  chosen = null; // a name
  hidden = new Set(); // names of series

  // listener(link), also called at once.
  listen(listener) {
    this.listeners.add(listener);
    listener(this);
  }

  point(time, unit) {
    if (time === this.time && unit === this.unit) return;
    [this.time, this.unit] = [time, unit];
    for (const listener of this.listeners) listener(this);
  }

  // names and whether each is shown: [["lstm", false], …].
  show(names) {
    for (const [name, shown] of names) shown ? this.hidden.delete(name) : this.hidden.add(name);
    for (const listener of this.listeners) listener(this);
  }

  choose(unit) {
    if (unit === this.chosen) return;
    this.chosen = unit;
    for (const listener of this.listeners) listener(this);
  }
}

// The link of a name; one of its own for "".
export function linkOf(name) {
  if (!name) return new Link();
  if (!links.has(name)) links.set(name, new Link());
  return links.get(name);
}
