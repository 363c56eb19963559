// The server that the page came from: requests, streams, its key, and whether it can be reached.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Lost extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// Events: "lost", "found", and "key" when the server wants a key: whoever hears it calls `give`.
export class Server extends EventTarget {
  lost = false;
  #key = sessionStorage.getItem("elman-key");
  #asking = null; // a promise of a key

  give(key) {
    this.#key = key;
    sessionStorage.setItem("elman-key", key);
    this.#asking?.resolve();
    this.#asking = null;
  }

  async ask(method, path, body) {
    for (let tries = 0; ; tries++) {
      const answer = await this.#send(method, path, body);
      if (answer.ok) return answer.status === 204 ? null : answer.json();
      const refused = await this.#refusal(answer);
      const again = { 409: 0.1, 429: Math.min(5, Number(answer.headers.get("Retry-After")) || 1) }[answer.status];
      if (!again || tries === 20) throw refused;
      await wait(again); // another work of the session is under way, or the server is full
    }
  }

  // The events of a server-sent stream; leaving the loop, or the signal, closes it.
  async *stream(path, body, signal) {
    const answer = await this.#send("POST", path, body, signal);
    if (!answer.ok) throw await this.#refusal(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw this.#lose();
        text += value.replaceAll("\r", "");
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
          if (data === "[DONE]") return;
          if (!data) continue;
          const told = JSON.parse(data);
          if (told.error) throw new Refused(told.error.status ?? 500, told.error.message);
          yield told;
        }
      }
    } catch (error) {
      throw error instanceof TypeError ? this.#lose() : error;
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  async #send(method, path, body, signal) {
    for (;;) {
      const headers = { ...(body && { "Content-Type": "application/json" }), ...(this.#key && { Authorization: `Bearer ${this.#key}` }) };
      let answer;
      try {
        answer = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
      } catch (error) {
        throw error.name === "AbortError" ? error : this.#lose();
      }
      if (answer.status === 502 || answer.status === 503) throw this.#lose(); // on its way down, or up
      if (answer.status !== 401) return answer;
      await this.#want();
    }
  }

  async #refusal(answer) {
    const told = await answer.json().catch(() => null);
    return new Refused(answer.status, told?.error?.message ?? `The server answered ${answer.status}.`);
  }

  #want() {
    if (!this.#asking) {
      let resolve;
      const promise = new Promise((then) => (resolve = then));
      this.#asking = { promise, resolve };
      this.dispatchEvent(new Event("key"));
    }
    return this.#asking.promise;
  }

  #lose() {
    if (!this.lost) {
      this.lost = true;
      this.dispatchEvent(new Event("lost"));
      this.#seek();
    }
    return new Lost();
  }

  async #seek() {
    for (let pause = 0.4; this.lost; pause = Math.min(5, 1.5 * pause)) {
      await wait(pause);
      await this.look();
    }
  }

  // Look now whether the server is there again.
  async look() {
    const answer = await fetch("readyz", { cache: "no-store" }).catch(() => null);
    if (!this.lost || !answer?.ok) return;
    this.lost = false;
    this.dispatchEvent(new Event("found"));
  }
}
