"""The page of `elman serve` in a browser: one types, and sees what the model of the server remembers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from chromium import CHROMIUM, IN_BROWSER
from elman import lens
from elman.lens import attention_weights, visit_layers
from elman.runs import Run
from page_runs import WAVES, train_all

sync = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'elman[dev]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install 'elman[dev]'")
pytestmark = IN_BROWSER
SECOND = 1000  # milliseconds
PATIENCE = 10 * SECOND
SLOW_LOCKS = """(() => {
  const ask = navigator.locks.request.bind(navigator.locks);
  navigator.locks.request = async (...asked) => (await new Promise((go) => setTimeout(go, 500)), ask(...asked));
})()"""
TEXT, SENTENCE = "Text that the model reads", "the cat sat on a mat"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return train_all(tmp_path_factory.mktemp("page"))


@contextmanager
def serving(runs: dict[str, Run], *options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server, and its process."""
    command = [sys.executable, "-m", "elman", "serve", *(run.path for run in runs.values()), "--json", *options]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"], process
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="module")
def server(runs: dict[str, Run]) -> Iterator[str]:
    with serving(runs, "--port", 0) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


class Window:
    """A window of the browser, what it asked of the server, and what went wrong in it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.asked: list[tuple[str, Any]] = []  # the last part of each address, and the body
        self.wrong: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", self._ask)
        page.on("response", lambda answer: self.wrong.append(answer.text()) if answer.status >= 400 else None)
        page.on("pageerror", lambda error: self.wrong.append(f"{error}"))
        page.on("console", lambda line: self.wrong.append(line.text) if line.type in ("error", "warning") else None)

    def _ask(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.wrong.append(f"asked elsewhere: {request.url}")
        if request.method == "POST":
            self.asked.append((request.url.rpartition("/")[2], request.post_data_json))

    def open(self, model: str = "letters") -> Any:
        self.page.goto(self.address)
        self.page.get_by_label(TEXT).wait_for()  # of the first model
        if model != "letters":
            self.page.get_by_label("Model A").select_option(model)
            self.page.locator(f".session-tree .open:has-text('{model} ·')").wait_for()
        return self.page

    def type(self, text: str, label: str = TEXT) -> None:
        self.page.get_by_label(label, exact=True).press_sequentially(text)
        self.settled()

    def settled(self, side: int = 0) -> None:
        """Wait until all that stands in the text is read."""
        pending = self.page.locator(".pieces").nth(side).locator("span")
        sync.expect(pending).to_have_text("\u200b")
        self.page.wait_for_timeout(60)

    def longer(self, length: int, side: int = 0) -> None:
        """Wait until the text has more than so many characters."""
        longer = "([side, length]) => document.querySelectorAll('.sheet textarea')[side].value.length > length"
        self.page.wait_for_function(longer, arg=[side, length])

    def text(self, side: int = 0) -> str:
        return str(self.page.get_by_label(TEXT, exact=True).nth(side).input_value())

    def sessions(self) -> list[dict[str, Any]]:
        """The sessions of the page's sides, as the server has them."""
        kept = json.loads(self.page.evaluate("sessionStorage.getItem('elman-sessions')"))
        return [httpx.get(f"{self.address}v1/sessions/{id}").json() for id in kept["panes"]]

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def all_of(self, kind: str) -> list[Any]:
        return [body for name, body in self.asked if name == kind]


@pytest.fixture
def window(browser: Any, server: str) -> Iterator[Window]:
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    made = Window(context.new_page(), server)
    yield made
    context.close()
    assert not made.wrong


def ids(run: Run, text: str) -> list[int]:
    begin = [] if run.tokenizer.eod is None else [run.tokenizer.eod]
    return [*begin, *run.tokenizer.encode(text).tolist()]


@torch.no_grad()
def expected(run: Run, text: str) -> list[tuple[str, str]]:
    """The most probable symbols after a text, and their probabilities as the page writes them."""
    shares = run.model(torch.tensor([ids(run, text)]))[0][0, -1].double().softmax(-1)
    order = shares.argsort(descending=True)[:8].tolist()
    return [(run.tokenizer.decode([token]), percent(float(shares[token]))) for token in order]


def percent(share: float) -> str:
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


def shown(symbol: str) -> str:
    return symbol.replace(" ", "␣").replace("\n", "↵") or "∅"


def bars(page: Any) -> list[list[str]]:
    return [row.split("\n") for row in page.locator(".next .bars li").all_inner_texts()]


def test_the_model_reads_what_is_typed_and_only_that(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("letters")
    window.type("the cat")
    assert "".join(body["text"] for body in window.all_of("feed")) == "the cat"
    assert not window.all_of("rollback")
    assert bars(page) == [[shown(symbol), share] for symbol, share in expected(runs["letters"], "the cat")]

    page.get_by_label(TEXT).press("ArrowLeft")
    page.get_by_label(TEXT).press("ArrowLeft")
    window.asked.clear()
    window.type("h")  # in the middle: "the chat"
    [back] = window.all_of("rollback")
    [session] = window.sessions()
    assert back["to"] == session["position"] - len("hat")
    assert [body["text"] for body in window.all_of("feed")] == ["hat"]
    assert "".join(session["pieces"]) == window.text() == "the chat"


def test_a_symbol_that_the_model_does_not_know_stays_in_the_text(window: Window) -> None:
    page = window.open("letters")
    window.type("aΩ c🙂d")
    assert window.text() == "aΩ c🙂d"
    assert page.locator(".pieces .unknown").all_inner_texts() == ["Ω", "🙂"]


def test_the_next_symbol_is_appended_by_a_click_and_by_a_key(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("letters")
    window.type("the")
    best = expected(runs["letters"], "the")
    page.locator(".next .bars button").nth(1).click()
    window.settled()
    assert window.text() == "the" + best[1][0]
    then = expected(runs["letters"], window.text())
    page.keyboard.press("Alt+3")
    window.settled()
    assert window.text() == "the" + best[1][0] + then[2][0]


def test_surprise_is_a_colour(window: Window, runs: dict[str, Run]) -> None:
    page, run = window.open("letters"), runs["letters"]
    window.type("the tttt")
    read = ids(run, "the tttt")
    with torch.no_grad():
        scores = run.model(torch.tensor([read]))[0][0].double().log_softmax(-1)
    nats = [0.0, *(-scores[step, token].item() for step, token in enumerate(read[1:]))]
    shades = page.locator(".pieces i").evaluate_all("all => all.map(one => Number((one.dataset.shade ?? '').slice(1)))")
    assert shades == [min(8, int(value / 8 * 8 + 0.5)) for value in nats]
    assert max(shades) > min(shades[1:])


def test_the_heat_map_says_what_the_lens_says(window: Window, runs: dict[str, Run]) -> None:
    page, run = window.open("letters"), runs["letters"]
    window.type("the cat sat")
    visit = visit_layers(run.model, lambda: run.model(torch.tensor([ids(run, "the cat sat")])))[1]
    places = page.locator(".heat-scroller")
    sync.expect(places).to_have_count(2)
    sync.expect(page.get_by_role("application", name="cell state c: 12 units, 11 steps")).to_be_visible()
    for place, states in zip(places.all(), visit.after, strict=True):
        place.focus()
        for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft"):
            place.press(key)
        told = page.locator(".heat").filter(has=page.locator(".heat-scroller:focus")).locator("output")
        sync.expect(told).to_contain_text("unit 3 after “s” (9): ")
        value = told.inner_text().rpartition(" = ")[2]
        real = states[8, 0, 3].item()
        assert float(value) == pytest.approx(real, rel=6e-3)


def test_gates_are_drawn_under_the_characters(window: Window) -> None:
    page = window.open("letters")
    window.type("the cat")
    heat = page.locator(".heat-scroller").first
    heat.focus()
    heat.press("ArrowRight")
    heat.press("Enter")
    sync.expect(page.locator(".gate-key")).to_have_text(["i", "f", "o"])
    ink = "canvas => canvas.toDataURL().length"  # the more is drawn, the longer
    canvas = page.locator(".text-strip canvas")
    page.wait_for_timeout(200)
    few = canvas.evaluate(ink)
    window.type(" sat on a mat")
    page.wait_for_timeout(200)
    assert canvas.evaluate(ink) > 1.3 * few


def test_only_new_columns_are_painted(window: Window) -> None:
    window.page.add_init_script(
        "window.painted = []; const paint = CanvasRenderingContext2D.prototype.putImageData;"
        "CanvasRenderingContext2D.prototype.putImageData = function (image, ...at) {"
        " window.painted.push(image.width); return paint.call(this, image, ...at); }"
    )
    page = window.open("letters")
    page.get_by_label(TEXT).fill(("the cat sat on a mat. " * 30)[:500])
    window.settled()
    page.wait_for_timeout(300)
    page.evaluate("window.painted.length = 0")
    window.type("a")
    page.wait_for_timeout(200)
    assert page.evaluate("window.painted")[:1] == [1]  # of h, whose full colour is always 1


def test_going_back_and_forking_by_a_click_on_a_character(window: Window) -> None:
    page = window.open("letters")
    window.type("the cat sat")
    box = page.locator(".pieces i").filter(has_text=re.compile("^c$")).bounding_box()
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)  # before the c
    sync.expect(page.locator(".place-told")).to_contain_text("Before “c”, after 4 of 11")
    window.press("Fork here")
    sync.expect(page.get_by_role("treeitem")).to_have_count(2)
    assert window.text() == "the "
    window.type("dog")
    [fork] = window.sessions()
    assert "".join(fork["pieces"]) == "the dog"
    page.get_by_role("treeitem").first.click()
    assert window.text() == "the cat sat"
    window.press("Checkpoint")
    box = page.locator(".pieces i").filter(has_text=re.compile("^o$|^c$")).bounding_box()
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    window.press("Go back to here")
    window.settled()
    [session] = window.sessions()
    assert window.text() == "".join(session["pieces"]) == "the "
    assert session["id"] == fork["parent"]


def test_the_model_writes_and_stops(window: Window, runs: dict[str, Run]) -> None:
    page, run = window.open("letters"), runs["letters"]
    window.type("the ")
    page.get_by_label("Symbols").last.fill("40")
    page.get_by_label("Seed").fill("5")
    page.keyboard.press("Control+Enter")
    text, _ = run.generate("the ", tokens=40, seed=5)
    sync.expect(page.get_by_label(TEXT)).to_have_value("the " + text)
    sync.expect(page.locator(".writing [role=status]")).to_contain_text("Written with seed 5.")
    page.get_by_label("Symbols").last.fill("10000")
    window.press("Write")
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    window.longer(len(text) + 20)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Write", exact=True).wait_for()
    window.settled()
    [session] = window.sessions()
    assert not session["busy"]
    assert "".join(session["pieces"]) == window.text()
    assert window.text().startswith("the " + text)
    assert len(window.text()) < 10000


def test_steps_write_what_a_whole_would_be(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("letters")
    window.type("a ")
    page.get_by_label("Seed").fill("7")
    for _ in range(3):
        length = len(window.text())
        window.press("One step")
        window.longer(length)
        page.get_by_role("button", name="One step").wait_for()
    assert window.text() == "a " + runs["letters"].generate("a ", tokens=3, seed=7)[0]


def test_a_unit_that_is_held_changes_the_continuation(window: Window) -> None:
    page = window.open("letters")
    window.type("the cat")
    page.get_by_text("What if a unit is held?").click()
    page.get_by_label("What is held").select_option("state h")
    page.get_by_role("slider", name="Value").fill("1")
    sync.expect(page.locator(".continuation")).to_have_count(2)
    first, second = page.locator(".continuation").all()
    sync.expect(second).not_to_be_empty()
    for unit in range(12):
        page.get_by_label("Unit that is held").fill(str(unit))
        page.wait_for_timeout(400)
        if first.inner_text() != second.inner_text():
            break
    assert first.inner_text() != second.inner_text()
    window.press("Hold it in this session")
    window.asked.clear()
    window.type("s")
    assert window.all_of("feed")[0]["set"] == [{"layer": 2, "state": "h", "unit": unit, "value": 1}]
    page.get_by_role("button", name=f"let go of state h of unit {unit}, layer 2").click()
    window.asked.clear()
    window.type("a")
    assert "set" not in window.all_of("feed")[0]


def hold_on(page: Any, value: str) -> None:
    """Try a value of every unit of the layer, and hold it."""
    page.get_by_text("What if a unit is held?").click()
    page.get_by_label("Unit that is held").fill("")
    page.get_by_role("slider", name="Value").fill(value)
    sync.expect(page.locator(".continuations")).to_be_visible()
    page.get_by_role("button", name="Hold it in this session").click()


def held_run(run: Run, place: int, **what: Any) -> Run:
    address = lens.places(run.model)[place].address
    return run.with_model(lens.hold(run.model, lens.interventions([{**address, **what}])))


def test_a_unit_that_is_held_changes_the_tags(window: Window, runs: dict[str, Run]) -> None:
    """As `predict` with the held model says them: without and with are shown, and then the sentence is read so."""
    page, run = window.open("tags"), runs["tags"]
    page.get_by_label("Sentence that the model reads").press_sequentially(SENTENCE)
    sync.expect(page.locator(".tagged:not(.small) li")).to_have_count(6)
    before = run.answers([SENTENCE.split()])[0].record
    values = [{"state": "c", "value": value} for value in (4.0, -4.0)]
    held, what = next(
        (record, one)
        for one in values
        for record in [held_run(run, 1, **one).answers([SENTENCE.split()])[0].record]
        if record["tags"] != before["tags"]
    )
    page.get_by_text("What if a unit is held?").click()
    page.get_by_label("Layer of the unit").select_option("layer 1 reverse")
    page.get_by_label("What is held").select_option("state c")
    page.get_by_label("Unit that is held").fill("")  # every unit
    page.get_by_role("slider", name="Value").fill(str(what["value"]))
    with_and_without = page.locator(".tagged.small")
    sync.expect(with_and_without.nth(1).locator("small")).to_have_text(held["tags"])
    sync.expect(with_and_without.nth(0).locator("small")).to_have_text(before["tags"])
    changed = sum(a != b for a, b in zip(held["tags"], before["tags"], strict=True))
    sync.expect(with_and_without.nth(1).locator(".changed")).to_have_count(changed)
    window.press("Hold it in this session")
    sync.expect(page.locator(".tagged:not(.small) small")).to_have_text(held["tags"])
    probability = percent(max(held["probabilities"][-1].values()))
    sync.expect(page.get_by_label("Probabilities of tags").locator(".bars li").first).to_contain_text(probability)
    page.reload()  # what is held stays held
    page.get_by_text("What if a unit is held?").click()
    sync.expect(page.locator(".tagged:not(.small) small")).to_have_text(held["tags"])
    window.asked.clear()
    page.get_by_role("button", name="let go of state c of every unit, layer 1 reverse").click()
    sync.expect(page.locator(".tagged:not(.small) small")).to_have_text(before["tags"])
    page.wait_for_timeout(300)
    [session] = window.sessions()
    assert session["position"] == 6
    asked = [body for body in window.all_of("feed") if "top" in body]  # others are those of what is tried
    assert asked == [{"top": 8, "tokens": SENTENCE.split()}]


def test_a_unit_that_is_held_changes_a_label_a_forecast_and_a_translation(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("labels")
    page.get_by_label(TEXT).press_sequentially("the dog ran")
    hold_on(page, "1")
    record = held_run(runs["labels"], 0, state="h", value=1.0).answers(["the dog ran"])[0].record
    answer = f"{record['label']}, {percent(max(record['probabilities'].values()))}"
    sync.expect(page.locator(".answer")).to_have_text(answer)
    sync.expect(page.locator(".held-answer").nth(1)).to_have_text(answer)
    page.get_by_label("Model A").select_option("waves")
    page.get_by_text("Numbers", exact=True).click()
    page.get_by_label("Values, a line for each step").fill("\n".join(map(str, WAVES[0][:30])))
    page.get_by_text("After 30 steps").wait_for()
    hold_on(page, "1")
    held, plain = held_run(runs["waves"], 0, state="h", value=1.0), runs["waves"]
    rows = [
        [f"{row[name]:.3g}" for row in run.predict([WAVES[0][:30]])[0] for name in ("mean", "q10")]
        for run in (held, plain)
    ]
    assert rows[0] != rows[1]
    cells = page.get_by_label("Numbers of the forecast").locator("tbody td:nth-child(2), tbody td:nth-child(3)")
    sync.expect(cells).to_have_text(rows[0])
    page.get_by_label("Model A").select_option("pairs")
    page.get_by_label("Source sentence").fill("the cat sat here")
    held = held_run(runs["pairs"], 0, state="h", value=1.0)
    sync.expect(page.locator(".target")).to_have_text(runs["pairs"].predict(["the cat sat here"], beam=1)[0])
    page.get_by_role("button", name="Write", exact=True).wait_for()
    hold_on(page, "1")
    sync.expect(page.locator(".target")).to_have_text(held.predict(["the cat sat here"], beam=1)[0])
    sync.expect(page.locator(".continuation").nth(1)).to_have_text(held.predict(["the cat sat here"], beam=1)[0])


def test_attention_is_what_the_lens_says(window: Window, runs: dict[str, Run]) -> None:
    page, run = window.open("heads"), runs["heads"]
    window.type("the cat sat")
    page.get_by_role("radio", name="layer 2, head 1").click()
    weights = attention_weights(run.model, lambda: run.model(torch.tensor([ids(run, "the cat sat")])))[1][0, 0, -1]
    told = page.locator(".attention .hint").inner_text()
    assert told.endswith(f": {percent(float(weights.max()))}.")
    back = len(weights) - 1 - int(weights.argmax())
    assert f"{back} step" in told or back == 0


def test_two_sides_step_together(window: Window) -> None:
    page = window.open("letters")
    window.type("the ")
    window.press("Compare")
    sync.expect(page.locator(".pane")).to_have_count(2)
    window.settled(1)
    page.get_by_label("Model B").select_option("heads")
    page.locator(".pane").nth(1).locator(".facts", has_text="transformer").wait_for()
    window.settled(1)
    assert window.text(1) == "the "
    page.get_by_label(TEXT).first.press("End")
    page.get_by_label(TEXT).first.press_sequentially("cat")
    window.settled()
    window.settled(1)
    for side in (0, 1):
        assert window.text(side) == "the cat"
    page.get_by_role("button", name="One step").first.click()
    for side in (0, 1):
        window.longer(len("the cat"), side)
    assert [session["model"] for session in window.sessions()] == ["letters", "heads"]


def test_tags_appear_over_the_words(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("tags")
    page.get_by_label("Sentence that the model reads").press_sequentially(SENTENCE)
    sync.expect(page.locator(".tagged li")).to_have_count(6)
    tags = runs["tags"].answers([SENTENCE.split()])[0].record["tags"]
    sync.expect(page.locator(".tagged small")).to_have_text(tags)
    page.get_by_label("Sentence that the model reads").press("Home")
    page.get_by_label("Sentence that the model reads").press_sequentially("on ")
    sync.expect(page.locator(".tagged span")).to_have_text(["on", *SENTENCE.split()])


def test_labels_as_one_types(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("labels")
    page.get_by_label(TEXT).press_sequentially("the dog ran")
    record = runs["labels"].answers(["the dog ran"])[0].record
    sync.expect(page.locator(".answer")).to_have_text(
        f"{record['label']}, {percent(max(record['probabilities'].values()))}"
    )


def test_the_fan_moves_with_the_series(window: Window, runs: dict[str, Run]) -> None:
    page = window.open("waves")
    page.get_by_text("Numbers", exact=True).click()
    page.get_by_label("Values, a line for each step").fill("\n".join(map(str, WAVES[0][:30])))
    rows = page.get_by_label("Numbers of the forecast").locator("tbody tr")
    sync.expect(rows).to_have_count(6)
    before = rows.all_inner_texts()
    mean = [row["mean"] for row in runs["waves"].predict([WAVES[0][:30]])[0]]
    assert [float(row.split("\t")[1]) for row in before] == pytest.approx(mean, rel=6e-3)
    memory = page.get_by_role("region", name="Memory")
    sync.expect(memory).to_contain_text("reads the newest 12 values; those before are crossed out")
    page.get_by_label("Values, a line for each step").fill("\n".join(map(str, WAVES[0][:7])))
    sync.expect(memory).to_contain_text("reads 12 values at most, and there are 7 so far")
    page.get_by_label("Values, a line for each step").fill("\n".join(map(str, WAVES[0][:30])))
    page.get_by_text("After 30 steps").wait_for()
    over = page.locator(".u-over").bounding_box()
    page.mouse.move(over["x"] + over["width"] * 0.2, over["y"] + 20)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.28, over["y"] + 120, steps=4)
    page.mouse.up()
    page.wait_for_timeout(400)
    assert rows.all_inner_texts() != before


def test_the_alignment_grows_with_the_translation(window: Window, runs: dict[str, Run]) -> None:
    page, source = window.open("pairs"), "the cat sat here"
    page.get_by_label("Source sentence").fill(source)
    sync.expect(page.locator(".target")).to_have_text(runs["pairs"].predict([source], beam=1)[0])
    page.get_by_role("button", name="Write", exact=True).wait_for()
    [session] = window.sessions()
    assert page.locator(".matrix tbody tr").count() == session["position"] - 1  # a row for each unit but the source
    shares = page.locator(".matrix tbody tr").first.locator("td").all_inner_texts()
    assert sum(float(share.strip("< %")) for share in shares) == pytest.approx(100, abs=len(shares))
    page.get_by_label("Source sentence").fill("a dog ran there")
    sync.expect(page.locator(".target")).to_have_text(runs["pairs"].predict(["a dog ran there"], beam=1)[0])


def test_a_reload_keeps_the_session_and_a_second_window_has_its_own(window: Window, server: str) -> None:
    page = window.open("letters")
    window.type("the cat")
    [before] = window.sessions()
    page.reload()
    page.get_by_label(TEXT).wait_for()
    window.settled()
    [after] = window.sessions()
    assert (after["id"], window.text()) == (before["id"], "the cat")
    assert not window.all_of("feed")[len("the cat") :]
    second = Window(page.context.new_page(), server)
    second.open("letters")
    second.type("a dog")
    window.type(" sat")
    assert "".join(second.sessions()[0]["pieces"]) == "a dog"
    assert "".join(window.sessions()[0]["pieces"]) == "the cat sat"
    page.context.add_init_script(SLOW_LOCKS)  # the browser may say late whose a session is
    with page.expect_popup() as opened:
        page.evaluate("window.open(location.href)")  # with a copy of this window's storage
    third = Window(opened.value, server)
    third.page.get_by_label(TEXT).wait_for()
    third.settled()
    third.type("!")
    assert third.text() == "the cat sat!"
    assert third.sessions()[0]["id"] != after["id"]
    assert "".join(window.sessions()[0]["pieces"]) == "the cat sat"
    assert not second.wrong + third.wrong


def test_losing_and_finding_the_server(browser: Any, runs: dict[str, Run], tmp_path: Path) -> None:
    context = browser.new_context()
    letters = {"letters": runs["letters"]}
    kept = ("--folder", tmp_path / "sessions")
    try:
        with serving(letters, "--port", 0, *kept) as (address, process):
            window = Window(context.new_page(), address)
            page = window.open("letters")
            window.type("the cat")
            assert not window.wrong
            port = address.rsplit(":", 1)[1].strip("/")
        page.get_by_label(TEXT).press_sequentially(" sat")
        sync.expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
        window.asked.clear()
        with serving(letters, "--port", port, *kept) as (_, process):
            sync.expect(page.get_by_text("The server cannot be reached.")).to_be_hidden()
            window.settled()
            assert [body["text"] for body in window.all_of("feed")][-1:] == [
                " sat"
            ]  # and no more: the session was kept
            assert "".join(window.sessions()[0]["pieces"]) == window.text() == "the cat sat"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(tmp_path / "sessions")
        window.press("Checkpoint")
        sync.expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
        page.get_by_role("button", name="Try now").click()  # a person can press it, and nobody is there yet
        sync.expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
        with serving(letters, "--port", port, *kept):
            page.locator("#retry").dispatch_event("click")  # the page may have found the server by itself meanwhile
            window.press("Read the text anew")
            window.settled()
            assert "".join(window.sessions()[0]["pieces"]) == window.text() == "the cat sat"
    finally:
        context.close()


def test_a_server_with_keys_is_asked_with_one(browser: Any, runs: dict[str, Run], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("open-sesame-0123456789\n")
    context = browser.new_context()
    with serving({"letters": runs["letters"]}, "--port", 0, "--api-key-file", keys) as (address, _):
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        field = page.get_by_label("The server asks for an API key:")
        field.fill("wrong")
        field.press("Enter")
        sync.expect(field).to_have_value("")
        field.fill("open-sesame-0123456789")
        field.press("Enter")
        page.get_by_label(TEXT).press_sequentially("the")
        sync.expect(page.locator(".place-told")).to_have_text("At the end: 3 characters read.")
    context.close()


NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, [role], table")]
  .filter((one) => one.checkVisibility() && !one.closest("[aria-hidden=true], [role=status], [role=alert]"))
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label")))
  .map((one) => one.outerHTML)"""
WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
  .filter((one) => !one.closest(".heat-scroller, .matrix-scroller, .numbers, .heads, .unseen, svg"))
  .map((one) => one.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("model", ["letters", "heads", "tags", "labels", "shapes", "waves", "pairs"])
def test_a_phone_and_a_screen_reader(browser: Any, server: str, model: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark", has_touch=True)
    window = Window(context.new_page(), server)
    page = window.open(model)
    field = page.locator("main textarea").first
    if model in ("shapes", "waves"):
        window.press("A wave")
    else:
        field.fill(SENTENCE)
    page.locator(".holding summary").click()
    page.wait_for_timeout(500)
    window.press("Hold it in this session")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.evaluate(WIDE)
    assert not page.evaluate(NAMELESS)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
    context.close()
    assert not window.wrong
