// The keys of the page; index.html tells them to people.

export function listenToKeys(page) {
  const told = document.getElementById("keys-told");
  document.getElementById("keys").addEventListener("click", () => told.showModal());
  const actions = {
    "Control+Enter": (pane) => pane.write(pane.view.writing.options),
    "Control+.": (pane) => pane.write({ ...pane.view.writing.options, tokens: 1 }),
    "Alt+b": (pane) => pane.view.goBack(),
    "Alt+f": (pane) => pane.view.forkHere.click(),
    "Alt+t": (pane) => pane.view.focus(),
    "Alt+c": () => document.getElementById("compare").click(),
    ...Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`Alt+${index + 1}`, (pane) => pane.view.nth(index)])),
  };
  document.addEventListener("keydown", (event) => {
    const pane = page.active();
    if (!pane?.view || event.repeat) return;
    if (event.key === "Escape" && pane.session.writing) return page.stop(pane);
    if (event.key === "?" && !event.target.closest("textarea, input")) return told.showModal();
    const key = /^(Digit\d|Key[A-Z])$/.test(event.code) && event.altKey ? event.code.at(-1).toLowerCase() : event.key;
    const name = `${event.ctrlKey || event.metaKey ? "Control+" : ""}${event.altKey ? "Alt+" : ""}${key}`;
    if (!actions[name]) return;
    event.preventDefault();
    try {
      actions[name](pane);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the view of this task has no such thing
    }
  });
}
