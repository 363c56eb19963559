// One side of the page: a model, one of its sessions, and the view of the model's task.

import { h } from "../components/element.js";
import { ClassificationView } from "./classification.js";
import { ForecastingView } from "./forecasting.js";
import { LanguageView } from "./language.js";
import { TaggingView } from "./tagging.js";
import { TranslationView } from "./translation.js";

const VIEWS = { "language-modelling": LanguageView, tagging: TaggingView, classification: ClassificationView, forecasting: ForecastingView, translation: TranslationView };
const TASKS = { "language-modelling": "language model", tagging: "tagger", classification: "classifier", forecasting: "forecaster", translation: "translator" };

export class Pane {
  // page: models, server, and what happens to all panes together; see page.js.
  constructor(page, name) {
    Object.assign(this, { page, name, session: null, view: null });
    this.models = h("select", { "aria-label": `Model ${name}`, onchange: () => this.#switch(this.models.value) }, page.models.map(({ id }) => h("option", { value: id }, id)));
    this.facts = h("span", { class: "facts" });
    this.anew = h("button", { type: "button", class: "plain", onclick: () => this.begin(this.models.value) }, "New session");
    this.trouble = h("div", { class: "banner trouble", role: "alert", hidden: true });
    this.place = h("div");
    this.element = h("section", { class: "pane", "aria-label": `Side ${name}` }, h("header", { class: "pane-head" }, h("label", null, h("span", { class: "unseen" }, "Model "), this.models), this.facts, this.anew), this.trouble, this.place);
  }

  #view(id) {
    const model = this.page.models.find((one) => one.id === id);
    const View = VIEWS[model?.elman.task];
    if (!View) throw new Error(`This page has no view of ${model ? `the task ${model.elman.task}` : `a model ${id}`}.`);
    return { model, View };
  }

  // Another model, which reads the same text where it can.
  async #switch(id) {
    const { session } = this;
    const same = session?.model.elman.task === this.#view(id).model.elman.task;
    await this.begin(id, same ? session.wanted : "");
    if (session && session !== this.session && !session.position) this.page.close(session);
  }

  // A new session of a model.
  async begin(id, text = "") {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    await this.#safely(async () => {
      const { model, View } = this.#view(id);
      const session = await View.Session.begin(this.page.server, model);
      if (turn !== this.turn) return session.close(); // another model was chosen meanwhile
      this.page.add(session);
      session.wanted = text;
      this.show(session);
      if (text) await session.read(text);
    });
  }

  // A session that the page had before it was loaded again.
  async restore(record) {
    await this.#safely(async () => {
      const { model, View } = this.#view(record.model);
      const session = View.Session.of?.(this.page.server, model, record) ?? new View.Session(this.page.server, model, record);
      Object.assign(session, { wanted: record.text, name: record.name });
      const alone = await this.page.add(session);
      try {
        await session.load();
      } catch (error) {
        session.trouble(error);
      }
      if (!alone) return this.#leave(session, record.text);
      session.wanted = record.text;
      this.show(session);
      if (session.gone) this.#gone();
      else await session.read(session.wanted);
    });
  }

  // Another window has the session: this one goes on with a fork, and does nothing to the session itself.
  async #leave(session, text) {
    this.page.drop(session);
    if (session.model.elman.task !== "language-modelling" || session.gone) return this.begin(session.model.id, text);
    const fork = await session.fork();
    this.page.add(fork);
    this.show(fork);
    await fork.read(text);
  }

  show(session) {
    this.session?.removeEventListener("gone", this.ongone);
    this.session?.removeEventListener("trouble", this.ontrouble);
    const { model, View } = this.#view(session.model.id);
    this.session = session;
    this.ongone = () => this.#gone();
    this.ontrouble = ({ detail }) => this.#say(detail);
    session.addEventListener("gone", this.ongone);
    session.addEventListener("trouble", this.ontrouble);
    session.addEventListener("idle", () => (this.trouble.hidden = this.trouble.hidden || !session.gone), { once: false });
    this.models.value = model.id;
    const { kind, parameters, task } = model.elman;
    this.facts.textContent = `${TASKS[task]} · ${kind} · ${Number(parameters).toLocaleString("en")} parameters`;
    this.trouble.hidden = true;
    this.view = new View(this, session);
    this.place.replaceChildren(this.view.element);
    this.page.changed();
  }

  async fork(at) {
    await this.#safely(async () => {
      const fork = await this.session.fork(at);
      this.page.add(fork);
      this.page.forked(this, fork);
    });
  }

  async #safely(work) {
    try {
      await work();
    } catch (error) {
      this.#say(error.message);
      if (error.constructor === Error || error instanceof TypeError) console.warn(error);
    }
  }

  #say(message, ...more) {
    this.trouble.replaceChildren(message, " ", ...more);
    this.trouble.hidden = false;
  }

  #gone() {
    const { session } = this;
    this.#say("The server no longer has this session: it was idle for too long, or the server began anew.",
      h("button", { type: "button", onclick: () => (this.page.drop(session), this.begin(session.model.id, session.wanted)) }, "Read the text anew"));
  }

  // What a view tells

  typed(text, before) {
    this.page.typed(this, text, before);
  }

  looks(at) {
    this.page.looks(this, at);
  }

  write(options) {
    return this.page.write(this, options);
  }

  stop() {
    this.page.stop(this);
  }

  changed() {
    this.page.changed();
  }
}
