"""A report in a browser: whole without scripts, and with them one points, and what belongs together answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from chromium import CHROMIUM, IN_BROWSER
from elman.report import (
    Chapter,
    Figure,
    Line,
    Mark,
    Points,
    Report,
    alignment,
    bar_chart,
    choice,
    fan_chart,
    heatmap,
    likeness,
    line_chart,
    passages,
    point_chart,
    reading,
    render,
    text_strip,
)
from elman.report.axes import Scale
from elman.report.figure import number
from elman.report.names import SPECIAL, shorten, visible

sync = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'elman[dev]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install 'elman[dev]'")
pytestmark = IN_BROWSER
TEXT = "The cat sat (on a mat),\nand the dog ran away."
PIECES, UNITS = list(TEXT), 6
SCALES = np.array([5, 1, 4, 2, 6, 3])
WALK = np.cumsum(np.random.default_rng(0).normal(size=(4, UNITS, len(TEXT))), 2) / 5
LEARNT = 8 * np.exp(-np.arange(50) / 2) + 2
WORDS = ["the", "cat", "sat", "on", "a", "mat", "Donaudampfschifffahrtsgesellschaft", "."]


def memory(name: str, seed: int) -> Figure:
    states = np.roll(WALK, seed, 2)
    gates = {gate: 1 / (1 + np.exp(-walk)) for gate, walk in zip("ifo", states[1:], strict=True)}
    orders = {"time scale": np.argsort(SCALES), "likeness": likeness(states[0])}
    return reading(
        PIECES,
        {"cell state c": states[0], "hidden state h": np.tanh(states[0])},
        [f"u{unit}" for unit in range(UNITS)],
        title=name,
        reading="Point at a character, a unit or a time.",
        gates=gates,
        colours={"surprise": np.abs(states[0, 0])},
        orders=orders,
        link=f"memory {seed}" if seed else "memory",
    )


NAMES = [
    "Donaudampfschifffahrtsgesellschaft",
    "a b\n",
    "言葉" * 9,
    "한국어" * 7,
    "ｆｕｌｌ ｗｉｄｔｈ",
    "🙂" * 11,
    "ab、" * 6,
    "é" * 21,
]

LOOKS = np.tril(np.ones((8, 8))) / np.arange(1, 9)[:, None]
NORMS = np.where(np.eye(8)[::-1], np.inf, 5.0 * LOOKS)


def heads(title: str) -> Figure:
    """A map for each head of two layers."""
    sides = {"x": "read", "y": "looks", "rows": WORDS, "columns": WORDS, "reading": "How to read it."}
    names = {f"{layer}.{head}": f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3)}
    return choice({key: heatmap(LOOKS, title=name, **sides) for key, name in names.items()}, title=title, columns=3)


def figures() -> dict[str, list[Figure]]:
    x, steps = np.arange(1, 40), np.arange(50) * 1000
    rows = [f"u{unit}" for unit in range(UNITS)]
    symbols = [piece.replace(" ", "␣").replace("\n", "↵") for piece in PIECES]
    words = {"reading": "How to read it, in a sentence that is as long as such sentences are."}
    fan = {level: np.arange(12) * 0.1 + level for level in (0.1, 0.3, 0.5, 0.7, 0.9)}
    long = "two: with a name that is wider than a phone's page can be"
    return {
        "Memory": [
            choice({"one": memory("The first text", 0), long: memory("The second text", 9)}, title="Texts"),
            text_strip(PIECES, WALK[0, 1], title="One unit", link="memory", **words),
            heatmap(
                WALK[0], title="A map", x="token read", y="unit", rows=rows, columns=symbols, link="memory", **words
            ),
            bar_chart(
                ["depth of brackets", "whether a long word begins", "an end"],
                np.array([0.8, 0.5, -0.1]),
                title="Units that track something",
                x="correlation",
                notes=["unit 12, chance 0.05"] * 3,
                limit=1.0,
                **words,
            ),
            point_chart(
                [Points("all", x, x % 7, colour=0), Points("a walk", x[:8], x[:8] % 5, texts=PIECES[:8], path=True)],
                title="A path in a plane",
                x="first component, 30 % of the variance",
                y="second component",
                link="memory",
                **words,
            ),
        ],
        "Curves": [
            line_chart(
                [Line("lstm", steps, LEARNT), Line("gru", steps, LEARNT + 0.5)],
                title="Learning",
                x="characters read",
                y="loss, bits per character",
                skip_first=0.2,
                **words,
            ),
            line_chart(
                [Line("trained", x, 0.9**x, 0.8**x, 0.95**x), Line("untrained", x, 1e-3**x)],
                title="Reach",
                x="lag",
                y="gradient",
                log_y=True,
                marks=[Mark(16, "2 layers"), Mark(18, "horizon"), Mark(38, "nothing")],
                **words,
            ),
            line_chart(
                [Line("nats", np.arange(len(TEXT)), WALK[0, 0])],
                title="Letters",
                x="letter",
                y="nats",
                names=[*PIECES[:-1], "<eod>"],
                **words,
            ),
            line_chart([Line("a", np.arange(8), LOOKS[-1])], title="Words", x="word", y="nats", names=WORDS, **words),
            choice(
                {
                    f"series {one}": line_chart([Line("lstm", x, x)], title=f"Of {one}", x="x", y="y", **words)
                    for one in "ab"
                },
                title="Series",
            ),
            line_chart(
                [Line("every other", steps, np.where(steps % 2000, np.nan, LEARNT), dots=True)],
                title="Dots",
                x="step",
                y="loss",
                **words,
            ),
            fan_chart(np.sin(x / 3), fan, title="A forecast", truth=np.arange(12) * 0.1, **words),
            bar_chart(
                ["lstm", "gru"],
                np.array([0.147, 1.7]),
                low=np.array([-0.0133, 1.6]),
                high=np.array([0.448, 1.8]),
                title="Loss over seeds",
                x="bits",
                marks=[Mark(1.2, "chance 1.2"), Mark(0.3, "best possible")],
                **words,
            ),
        ],
        "Attention": [
            choice({text: heads(f"Heads of {text}") for text in ("a text", "another text")}, title="Heads of texts"),
            alignment(
                LOOKS,
                WORDS,
                WORDS,
                title="An alignment",
                texts=[("source", TEXT), ("written", TEXT)],
                right=True,
                **words,
            ),
            alignment(np.eye(len(NAMES)), NAMES, NAMES, title="Long names", **words),
            alignment(NORMS, WORDS, WORDS, title="Norms", limit=None, share=False, **words),
            passages([[("source", TEXT), ("reference", "A cat.")]], title="Passages", **words),
        ],
    }


def drawings_of(figure: Figure) -> int:
    return sum(drawings_of(part) for _, part in figure.parts) or 1


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    chapters = [Chapter(title, "What it is.", figures, ["a finding"]) for title, figures in figures().items()]
    path.write_text(render(Report("A report", "Of a model.", [("data", "a text")], chapters, "Made today.")), "utf-8")
    return f"file://{path}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@contextmanager
def opened(browser: Any, address: str, width: int = 1300, theme: str = "light", scripts: bool = True) -> Iterator[Any]:
    """The report in a window that has no network; nothing may go wrong in it."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        java_script_enabled=scripts,
        has_touch=width < 500,
        offline=True,
    )
    page, wrong = context.new_page(), []
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: wrong.append(f"{error}"))
    page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
    page.on(
        "request", lambda request: None if request.url.startswith((address, "data:")) else wrong.append(request.url)
    )
    page.goto(address)
    page.wait_for_timeout(250)
    try:
        yield page
    finally:
        context.close()
    assert not wrong


# All words that can be seen, as boxes: those of one figure lie within it, and no two cover each other.
MISPLACED = """() => {
  const wrong = [];
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const figure of document.querySelectorAll("figure")) {
    const outer = figure.getBoundingClientRect();
    const boxes = [];
    const walk = document.createTreeWalker(figure, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const owner = walk.currentNode.parentElement;
      if (!walk.currentNode.data.trim() || !owner.checkVisibility() || owner.closest(".strip, .unseen, script, title, option")) continue;
      const range = document.createRange();
      range.selectNodeContents(walk.currentNode);
      let { left, right, top, bottom } = range.getBoundingClientRect();
      for (let at = owner; at !== figure; at = at.parentElement) {
        if (!/auto|scroll|hidden/.test(getComputedStyle(at).overflowX) || at.closest("svg")) continue;
        const clip = at.getBoundingClientRect();
        [left, right, top, bottom] = [Math.max(left, clip.left), Math.min(right, clip.right), Math.max(top, clip.top), Math.min(bottom, clip.bottom)];
      }
      if (right - left < 1 || bottom - top < 1) continue;
      const words = walk.currentNode.data.slice(0, 40);
      if (left < outer.left - 1 || right > outer.right + 1) wrong.push(`${words} leaves its card`);
      boxes.push({ left, right, top, bottom, words });
    }
    boxes.forEach((a, index) => boxes.slice(index + 1).forEach((b) => {
      const [across, down] = [Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
      if (across > 2 && down > 5) wrong.push(`${a.words} covers ${b.words}`);
    }));
  }
  return wrong;
}"""  # noqa: E501
EMPTY = """() => [...document.querySelectorAll("figure")].filter((figure) => {
  const [row, card] = [figure.parentElement.getBoundingClientRect(), figure.getBoundingClientRect()];
  const beside = [...figure.parentElement.children].some((other) => other !== figure && Math.abs(other.offsetTop - figure.offsetTop) < 2);
  return card.width < row.width - 2 && !beside;
}).map((figure) => figure.querySelector("h3").textContent)"""  # noqa: E501
# Cards of a row that end at other heights, and bars that leave more than a margin of their card free.
UNEVEN = """() => [...document.querySelectorAll(".figures")].flatMap((grid) => [...grid.children].filter((card, index) => {
  const next = grid.children[index + 1];
  return next && next.offsetTop === card.offsetTop && next.offsetHeight !== card.offsetHeight;
}).map((card) => card.querySelector("h3").textContent)).concat([...document.querySelectorAll(".bar-rows")].filter((rows) =>
  rows.closest("figure").lastElementChild.getBoundingClientRect().bottom < rows.closest("figure").getBoundingClientRect().bottom - 30
).map((rows) => rows.getAttribute("aria-label")))"""  # noqa: E501
# What a part that is wider than its place says of it.
SILENT = """() => [...document.querySelectorAll(".live *")].filter((one) => one.checkVisibility() && /auto|scroll/.test(getComputedStyle(one).overflowX)
  && one.scrollWidth > one.clientWidth + 1).filter((one) => ![...one.closest(".live").querySelectorAll(".scrolls")].some((hint) => hint.checkVisibility()))
  .map((one) => one.outerHTML.slice(0, 120))"""  # noqa: E501


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_all_words_can_be_read_and_heard(browser: Any, address: str, width: int, theme: str) -> None:
    with opened(browser, address, width, theme) as page:
        assert page.locator(".chart[data-chart]:not(.mounted):not([data-chart=choice])").count() == 0
        assert page.evaluate(MISPLACED) == []
        assert page.evaluate(EMPTY) == []
        assert page.evaluate(UNEVEN) == []
        assert page.evaluate(SILENT) == []
        if (width, theme) not in ((390, "light"), (1300, "dark")):  # axe takes seconds
            return
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [1300, 390])
def test_without_scripts_all_drawings_are_there(browser: Any, address: str, width: int) -> None:
    with opened(browser, address, width, scripts=False) as page:
        drawings = page.locator(".still .drawing")
        assert drawings.count() == sum(drawings_of(figure) for each in figures().values() for figure in each)
        assert page.locator(".live").count() == 0
        assert all(box["height"] > 40 for box in [drawing.bounding_box() for drawing in drawings.all()])
        assert page.get_by_text("The drawing scrolls sideways.").count() == 0  # it is not in the text
    with opened(browser, address, width) as page:  # the same, where the geometry can be asked for
        page.evaluate("document.querySelectorAll('.mounted').forEach((one) => one.classList.remove('mounted'))")
        page.evaluate("document.querySelectorAll('.live').forEach((one) => one.remove())")
        page.evaluate("document.querySelectorAll('.part').forEach((one) => (one.hidden = false))")
        assert page.evaluate(MISPLACED) == []


# How many pixels of a canvas are blue.
BLUE = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let blue = 0;
  for (let at = 0; at < data.length; at += 4) blue += data[at + 3] > 200 && data[at + 2] > data[at] + 80;
  return blue;
}"""


def figure_of(page: Any, title: str) -> Any:
    return (
        page.locator("figure, section.part")
        .filter(has=page.locator(f"h3:text-is('{title}'), h4:text-is('{title}')"))
        .last
    )


def test_text_memory_and_gates_show_what_one_points_at(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure = figure_of(page, "The first text")
        told, maps = figure.locator(".reading-text .told"), figure.locator(".heat-told")
        figure.locator(".pieces i").nth(4).hover()
        value = f"{WALK[0, 0, 4]:+.2f}"
        sync.expect(told).to_contain_text(f"After “c” (5), unit u0: cell state c {value}")
        sync.expect(maps.first).to_have_text(re.compile(r"^unit u0 after “c” \(5\): "))
        strip = figure_of(page, "One unit")  # another figure of the link
        value = f"{WALK[0, 1, 4]:+.3g}"
        sync.expect(strip.locator(".told")).to_have_text(f"“c” (5): {value}")

        box = figure.locator(".heat-scroller").first.bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 30)
        said = re.match(r"unit (u\d) after “.” \((\d+)\): ", maps.first.inner_text())
        unit, step = said[1], int(said[2])
        assert unit != "u0"
        pointed = figure.locator(".pieces i.pointed")
        assert pointed.evaluate("one => [...one.parentNode.children].indexOf(one)") == step - 1
        assert maps.nth(1).inner_text().startswith(f"unit {unit} after ")
        sync.expect(strip.locator("i.pointed")).to_have_count(1)
        before = figure.locator(".text-strip canvas").evaluate("one => one.toDataURL()")
        page.mouse.down()
        page.mouse.up()
        sync.expect(figure.locator(".heat-head h3").last).to_have_text(f"gates of unit {unit}, from shut to open")
        sync.expect(figure.get_by_label("Unit", exact=True)).to_have_value(unit)
        page.wait_for_timeout(100)
        assert figure.locator(".text-strip canvas").evaluate("one => one.toDataURL()") != before
        gate = 1 / (1 + np.exp(-WALK[1, int(unit[1]), step - 1]))
        assert f", i {gate:.2g}" in told.inner_text()


def test_what_was_chosen_over_one_text_is_chosen_over_the_next(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        first, second = figure_of(page, "The first text"), figure_of(page, "The second text")
        first.get_by_label("Unit", exact=True).fill("u4")
        first.get_by_label("Unit", exact=True).press("Enter")
        first.get_by_label("Order of units").select_option("time scale")
        first.get_by_label("Colour of the text").select_option("surprise")
        first.locator(".pieces i").nth(4).hover()
        page.get_by_role("radio", name="two:").click()
        sync.expect(second.get_by_label("Unit", exact=True)).to_have_value("u4")
        sync.expect(second.get_by_label("Order of units")).to_have_value("time scale")
        sync.expect(second.get_by_label("Colour of the text")).to_have_value("surprise")
        sync.expect(second.locator(".heat-head h3").last).to_have_text("gates of unit u4, from shut to open")
        sync.expect(second.locator("i.pointed")).to_have_count(0)  # a place is the text's own
        box = second.locator(".heat-scroller").first.bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 4)
        sync.expect(second.locator(".heat-told").first).to_contain_text(f"unit u{np.argmin(SCALES)} ")


def test_a_series_that_is_switched_off_is_off_in_all_of_a_choice(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure = figure_of(page, "Of a")
        figure.get_by_role("button", name="lstm").click()
        page.get_by_role("radio", name="series b").click()
        other = figure_of(page, "Of b")
        sync.expect(other.get_by_role("button", name="lstm")).to_have_attribute("aria-pressed", "false")
        assert other.locator("canvas").first.evaluate(BLUE) == 0
        alone = figure_of(page, "Learning")  # has no part in it
        sync.expect(alone.get_by_role("button", name="lstm")).to_have_attribute("aria-pressed", "true")


def test_units_by_time_scale(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure = figure_of(page, "The first text")
        box = figure.locator(".heat-scroller").first.bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 4)
        told = figure.locator(".heat-told").first
        sync.expect(told).to_contain_text("unit u0 ")
        figure.get_by_label("Order of units").select_option("time scale")
        page.mouse.move(box["x"] + 301, box["y"] + 4)
        sync.expect(told).to_contain_text(f"unit u{np.argmin(SCALES)} ")


def test_the_text_is_read_by_keys(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure = figure_of(page, "The first text")
        text = figure.get_by_role("application", name="The text of: The first text")
        text.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        sync.expect(figure.locator(".reading-text .told")).to_contain_text("After “e” (3), unit u0")
        heat = figure.locator(".heat-scroller").first
        heat.focus()
        for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Enter"):
            page.keyboard.press(key)
        sync.expect(figure.get_by_label("Unit", exact=True)).to_have_value("u2")


def test_one_of_several_is_chosen(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        buttons = page.get_by_role("radiogroup", name="Heads of a text").get_by_role("radio")
        assert buttons.count() == 6
        buttons.nth(0).focus()
        page.keyboard.press("ArrowDown")  # the grid has three columns: from head 1.1 to 2.1
        sync.expect(buttons.nth(3)).to_have_attribute("aria-checked", "true")
        shown = page.locator("h4:visible", has_text="head")
        sync.expect(shown).to_have_text(["Heads of a text", "layer 2, head 1"], ignore_case=True)
        page.get_by_role("radio", name="another text").click()  # which shows the same head
        sync.expect(shown).to_have_text(["Heads of another text", "layer 2, head 1"], ignore_case=True)
        page.get_by_role("radio", name="two:").click()
        sync.expect(figure_of(page, "The second text").locator(".heat canvas").first).to_be_visible()


def test_lines_tell_their_values_and_are_switched_off(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure = figure_of(page, "Learning")
        over = figure.locator(".u-over")
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 10 / 49, box["y"] + 50)
        sync.expect(figure.locator(".legend-place")).to_have_text("at 10,000")
        sync.expect(figure.locator(".legend-value")).to_have_text([f"{LEARNT[10]:.3g}", f"{LEARNT[10] + 0.5:.3g}"])
        canvas = figure.locator("canvas").first
        assert canvas.evaluate(BLUE) > 50
        figure.get_by_role("button", name="lstm").click()
        page.wait_for_timeout(100)
        assert canvas.evaluate(BLUE) == 0


def test_a_cell_of_an_alignment_tells_its_number(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        for title, words in (("An alignment", "sat → the: 33 %"), ("Norms", "sat → the: 1.67")):
            figure = figure_of(page, title)
            figure.locator(".matrix tbody tr").nth(2).locator("td").first.hover()
            sync.expect(figure.locator(".told")).to_have_text(words)
            figure.locator(".corner").hover()
            sync.expect(figure.locator(".told")).to_have_text("")
        figure.locator(".matrix tbody tr").last.locator("td").first.hover()
        sync.expect(figure.locator(".told")).to_have_text(". → the: –")  # it is not finite


def test_points_without_neighbours_are_drawn(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        assert figure_of(page, "Dots").locator("canvas").first.evaluate(BLUE) > 25 * 9  # a dot has more than 3 x 3


def test_a_group_that_is_switched_off_answers_nothing(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure, pieces = figure_of(page, "A path in a plane"), figure_of(page, "One unit").locator(".pieces i")
        ring, told = figure.locator(".ring"), figure.locator(".told")
        pieces.nth(4).hover()
        sync.expect(ring).to_be_visible()
        sync.expect(told).to_contain_text("a walk, c: ")
        figure.get_by_role("button", name="a walk").focus()
        page.keyboard.press("Enter")  # the pointer stays where it is
        sync.expect(ring).to_be_hidden()
        sync.expect(told).to_have_text("")
        pieces.nth(5).hover()
        sync.expect(figure_of(page, "One unit").locator(".told")).to_contain_text("“a” (6)")
        sync.expect(ring).to_be_hidden()
        sync.expect(told).to_have_text("")


def test_names_are_shortened_as_in_the_drawing(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        shown = figure_of(page, "Long names").locator(".matrix tbody th")
        sync.expect(shown).to_have_text([shorten(visible(name)) for name in NAMES])


def test_numbers_are_those_of_the_drawings(browser: Any, address: str) -> None:
    values = [
        0.0,
        3.0,
        -3.0,
        72_345.0,
        1234.56,
        -1234.56,
        99.96,
        100.4,
        0.0123456,
        -0.63,
        1.2e-4,
        9e-5,
        1e-9,
        2.5e6,
        1e30,
    ]
    axis = Scale(-99_000, 2.5e6, 0, 1)
    with opened(browser, address) as page:
        said = page.evaluate(
            "(values) => import('elman/numbers.js').then(({ short }) => values.map((one) => short(one)))", values
        )
        assert said == [number(value) for value in values]
        assert said[3:6] == ["72,345", "1,235", "-1,235"]
        ticks = [-99_000, -5000, 0, 0.25, 1500, 72_000, 2.5e6]
        said = page.evaluate(
            "(values) => import('elman/ticks.js').then(({ tickName }) => values.map((one) => tickName(one)))", ticks
        )
        assert said == [axis.name(tick) for tick in ticks] == ["-99k", "-5,000", "0", "0.25", "1,500", "72k", "2.5M"]


def test_special_symbols_turn_no_other_names(browser: Any, address: str) -> None:
    """The names of a canvas stand as those of a drawing do."""
    ask = "(names) => import('elman/heat_names.js').then(({ roomOf, under }) => [roomOf([], names, { least: 0, width: 9 }).turned, names.map((name) => under(name, false))])"  # noqa: E501
    with opened(browser, address) as page:
        turned, written = page.evaluate(ask, ["a", *SPECIAL, "b"])
        assert not turned
        assert written == ["a", *SPECIAL.values(), "b"]
        assert page.evaluate(ask, ["a", "<eod>", "the"])[0]


def test_a_stretch_is_zoomed_into(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        figure = figure_of(page, "Learning")
        over, place = figure.locator(".u-over"), figure.locator(".legend-place")
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        x, y, wide = box["x"], box["y"] + 60, box["width"]
        page.mouse.move(x + wide * 20 / 49, y)
        page.mouse.down()
        page.mouse.move(x + wide * 30 / 49, y, steps=3)
        page.mouse.up()
        page.mouse.move(x + 2, y)
        sync.expect(place).to_have_text("at 20,000")
        page.mouse.dblclick(x + 5, y)
        page.mouse.move(x + 3, y)
        sync.expect(place).to_have_text("at 0")


def test_a_finger_asks_for_values(browser: Any, address: str) -> None:
    with opened(browser, address, width=390) as page:
        figure = figure_of(page, "Reach")
        figure.locator(".u-over").scroll_into_view_if_needed()
        box = figure.locator(".u-over").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 100)
        sync.expect(figure.locator(".legend-place")).to_have_text("at 20")
        sync.expect(figure.locator(".legend-value").nth(1)).to_have_text("1e-60")
        bars = figure_of(page, "Loss over seeds")
        room, row = bars.locator(".bar-rows").bounding_box(), bars.locator(".bar-rows li").first
        assert row.locator(".bar-area").bounding_box()["width"] > 0.6 * room["width"]
        ends = row.locator(".bar-ends")
        sync.expect(ends).to_be_hidden()
        row.tap()
        sync.expect(ends).to_be_visible()
        sync.expect(ends).to_have_text("(-0.0133 to 0.448)")
        assert page.evaluate(MISPLACED.replace(".strip,", ".strip, .bar-value,")) == []
        letters = figure_of(page, "Letters")
        sync.expect(letters.locator(".scrolls")).to_have_text("⟷ scrolls")
