// What figures share. Those of one name show what one points at in any of them: a time and a unit. Those of one group, such as
// the options of a choice, keep what one has chosen: a unit, the order of units, a colour, and the series that are switched off.

const OPEN = { time: null, unit: null }; // a number, and a name
const CHOSEN = { chosen: null, order: null, colour: null, few: true, hidden: new Set() }; // names, but for `few`: not all units

const places = new Map();
const groups = new Map(); // by names, and by elements of choices

class Shared {
  listeners = new Set();

  constructor(values) {
    this.values = values;
  }

  set(changes) {
    if (Object.entries(changes).every(([name, value]) => this.values[name] === value)) return;
    this.values = { ...this.values, ...changes };
    for (const listener of this.listeners) listener();
  }
}

class Link {
  constructor(place, group) {
    Object.assign(this, { place, group });
    for (const shared of [place, group]) for (const name of Object.keys(shared.values)) Object.defineProperty(this, name, { get: () => shared.values[name] });
  }

  // listener(link), also called at once.
  listen(listener) {
    for (const shared of [this.place, this.group]) shared.listeners.add(() => listener(this));
    listener(this);
  }

  point(time, unit) {
    this.place.set({ time, unit });
  }

  choose(unit) {
    this.group.set({ chosen: unit });
  }

  // { order, colour, few }, or some of them.
  arrange(manner) {
    this.group.set(manner);
  }

  // names and whether each is shown: [["lstm", false], …].
  show(names) {
    const hidden = new Set(this.hidden);
    for (const [name, shown] of names) shown ? hidden.delete(name) : hidden.add(name);
    this.group.set({ hidden });
  }
}

// The link of a name and of a group, which is the name's own where there is none; "" is the name of none other.
export function linkOf(name, group = name) {
  return new Link(shared(places, name, OPEN), shared(groups, group, CHOSEN));
}

function shared(every, name, values) {
  if (!name) return new Shared(values);
  if (!every.has(name)) every.set(name, new Shared(values));
  return every.get(name);
}
