// The page: its sides, its sessions, and what belongs to neither: the theme, the keys, the server's absence.

import { h, oncePerFrame } from "../components/element.js";
import { SessionTree } from "../components/session_tree.js";
import { listenToKeys } from "./keys.js";
import { Pane } from "./pane.js";
import { Server } from "./server.js";

const STORE = "elman-sessions";
const $ = (id) => document.getElementById(id);

class Page {
  server = new Server();
  models = [];
  sessions = []; // that the page knows, in the order in which they were made
  panes = [];
  names = 0;

  async begin() {
    this.#theme();
    this.#absence();
    listenToKeys(this);
    this.tree = new SessionTree({ label: "Sessions", onopen: (id) => this.open(id), onback: (id, position) => this.back(id, position),
      onclose: (id) => this.close(this.sessions.find((session) => session.id === id)) });
    $("tree").append(this.tree.element);
    $("compare").addEventListener("click", () => this.#compare(this.panes.length === 1));
    $("together").addEventListener("change", () => this.changed());
    this.changed = oncePerFrame(() => this.#changed());
    await this.#models();
    $("wait").remove();
    if (!this.models.length) return void ($("panes").textContent = "The server has no model.");
    await this.#restore();
  }

  async #models() {
    for (;;) {
      try {
        const { data } = await this.server.ask("GET", "v1/models");
        this.models = await Promise.all(data.map(async (model) => (model.elman?.layers ? model : this.server.ask("GET", `v1/models/${encodeURIComponent(model.id)}`))));
        return;
      } catch (error) {
        if (!this.server.lost) throw error;
        await new Promise((resolve) => this.server.addEventListener("found", resolve, { once: true }));
      }
    }
  }

  // Sessions

  // Promises whether this window alone has the session.
  add(session) {
    session.name ??= letters(this.names++);
    this.sessions.push(session);
    return this.#hold(session);
  }

  drop(session) {
    this.sessions = this.sessions.filter((other) => other !== session);
    session.release?.();
    this.changed();
  }

  close(session) {
    session.close();
    this.drop(session);
  }

  // A session belongs to one window: a window that was duplicated has to make its own. The browser keeps a lock for as
  // long as the promise that its holder returned is open. (It has none where the page came over plain HTTP from afar.)
  #hold(session) {
    if (!navigator.locks) return true;
    return new Promise((tell) => {
      navigator.locks.request(`elman ${session.id}`, { ifAvailable: true }, (lock) => {
        tell(lock !== null);
        return lock && new Promise((resolve) => (session.release = resolve));
      });
    });
  }

  open(id) {
    const session = this.sessions.find((one) => one.id === id);
    if (!session || this.panes.some((pane) => pane.session === session)) return;
    this.active().show(session);
  }

  // The side that was used last.
  active() {
    return this.panes.find((pane) => pane === this.last) ?? this.panes[0];
  }

  async back(id, position) {
    this.open(id);
    const pane = this.panes.find(({ session }) => session.id === id);
    const text = pane?.session.parts.slice(0, position).map(({ text }) => text).join("");
    if (text !== undefined) await pane.session.read(text);
  }

  forked(pane, fork) {
    if (this.panes.length === 1) return pane.show(fork);
    this.panes.find((other) => other !== pane).show(fork); // so that one sees both
  }

  // What one does in a side, the other does too where they go together.

  #other(pane) {
    return $("together").checked && this.panes.length === 2 ? this.panes.find((one) => one !== pane) : null;
  }

  typed(pane, text, before) {
    this.last = pane;
    const { session } = this.#other(pane) ?? {};
    if (!session || session.writing || before === null || session.model.elman.task !== pane.session.model.elman.task) return;
    if (session.wanted === before) session.read(text);
    else if (text.startsWith(before)) session.read(session.wanted + text.slice(before.length));
  }

  looks(pane, at) {
    this.last = pane;
    this.#other(pane)?.view.lookAt?.(at);
  }

  write(pane, options) {
    const { view } = this.#other(pane) ?? {};
    return Promise.all([pane.view.write(options), view?.write?.(options)]);
  }

  stop(pane) {
    for (const side of [pane, this.#other(pane)]) side?.view.stop?.();
  }

  // Panes

  #pane() {
    const pane = new Pane(this, "AB"[this.panes.length]);
    this.panes.push(pane);
    $("panes").append(pane.element);
    pane.element.addEventListener("focusin", () => (this.last = pane));
    this.#sides();
    return pane;
  }

  #sides() {
    const two = this.panes.length === 2;
    document.body.classList.toggle("two", two);
    $("compare").setAttribute("aria-pressed", String(two));
    $("together-label").hidden = !two;
  }

  // A second side, with a fork of the first or, where nothing is read, a session of its own.
  async #compare(two) {
    if (!two) {
      this.panes.pop().element.remove();
      this.#sides();
      return this.changed();
    }
    const { session } = this.panes[0];
    const pane = this.#pane();
    try {
      if (!session.position || session.model.elman.task !== "language-modelling") return await pane.begin(session.model.id, session.wanted);
      const fork = await session.fork();
      this.add(fork);
      pane.show(fork);
    } catch (error) {
      session.trouble(error);
    }
  }

  // What is kept while the window is open

  #changed() {
    const shown = new Set(this.panes.map(({ session }) => session?.id));
    const several = this.models.length > 1;
    this.tree.set(this.sessions.map((session) => ({ id: session.id, parent: session.parent, at: session.at, position: session.position, checkpoints: session.checkpoints, open: shown.has(session.id),
      name: `${session.name}${several ? ` · ${session.model.id}` : ""} · ${session.position} read${session.gone ? " · gone" : ""}` })));
    const sessions = this.sessions.map(({ id, model, parent, at, name, wanted, set }) => ({ id, model: model.id, parent, at, name, text: wanted, set }));
    const panes = this.panes.map(({ session }) => session?.id);
    sessionStorage.setItem(STORE, JSON.stringify({ sessions, panes, names: this.names, together: $("together").checked }));
  }

  async #restore() {
    const kept = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
    const records = new Map((kept?.sessions ?? []).filter(({ model }) => this.models.some(({ id }) => id === model)).map((record) => [record.id, record]));
    const shown = (kept?.panes ?? []).filter((id) => records.has(id));
    this.names = kept?.names ?? 0;
    if (kept) $("together").checked = kept.together;
    if (!shown.length) return this.#pane().begin(this.models[0].id);
    for (const id of shown) await this.#pane().restore(records.get(id));
    this.changed();
  }

  // Theme, keys, absence

  #theme() {
    const choice = $("theme");
    choice.value = localStorage.getItem("elman-theme") ?? "";
    const set = () => {
      document.documentElement.dataset.theme = choice.value;
      localStorage.setItem("elman-theme", choice.value);
    };
    choice.addEventListener("change", set);
    set();
  }

  #absence() {
    const { server } = this;
    const banner = $("absence");
    server.addEventListener("lost", () => (banner.hidden = false));
    server.addEventListener("found", () => {
      banner.hidden = true;
      for (const { session } of this.panes) session?.resume();
    });
    $("retry").addEventListener("click", () => server.look());
    server.addEventListener("key", () => {
      $("key-form").hidden = false;
      $("key").focus();
    });
    $("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      $("key-form").hidden = true;
      server.give($("key").value.trim());
      $("key").value = "";
    });
  }
}

// A, B, … Z, AA, …
function letters(index) {
  const first = Math.floor(index / 26);
  return (first ? letters(first - 1) : "") + String.fromCharCode(65 + (index % 26));
}

new Page().begin().catch((error) => {
  $("wait")?.remove();
  $("panes").replaceChildren(h("p", { class: "banner trouble", role: "alert" }, error.message));
});
