"""Figures and pages within the output of a notebook's cell.

An output holds its drawing as it stands, in the notebook's own colours. Where the notebook lets scripts run, a page of
its own takes the drawing's place: an iframe whose sandbox lets its scripts run and touch nothing of the notebook. The
page has the notebook's light or dark, and says how high it is.
"""

from __future__ import annotations

import json
from hashlib import sha256
from html import escape

from elman.report.figure import Figure
from elman.report.palette import LIGHT
from elman.report.style import STYLE

INK = 45  # percent of the text's colour in that of a series, which so stands out in the light and in the dark

# What a drawing takes from the notebook: the colour of its text, whatever that is. Rules within a rule are its own.
HOST = (
    ".elman-output{--ink:currentColor;--soft:color-mix(in srgb,currentColor 75%,transparent);"
    "--rule:color-mix(in srgb,currentColor 20%,transparent);--grid:color-mix(in srgb,currentColor 12%,transparent);"
    "--page:transparent;--card:transparent;"
    + "".join(
        f"--c{number}:color-mix(in srgb,{colour},currentColor {INK}%);" for number, colour in enumerate(LIGHT, start=1)
    )
    + "max-width:1120px}"
    ".elman-output .narrow{max-width:560px}.elman-output>iframe{display:block;width:100%;border:0}"
)

# In the page: it is told the theme, and tells its height.
INSIDE = """<style>main{padding:2px}.figures{margin:0}</style><script>
addEventListener("message", ({ source, data }) => {
  if (source === parent && ["light", "dark"].includes(data?.theme)) document.documentElement.dataset.theme = data.theme;
});
new ResizeObserver(() => parent.postMessage({ height: document.body.offsetHeight }, "*")).observe(document.body);
</script>"""

# In the notebook: the frame takes the drawing's place as soon as its page says that it runs.
OUTSIDE = """for (const place of document.querySelectorAll(`[data-elman="${NAME}"]`)) {
  if (place.querySelector("iframe")) continue;
  const [still] = place.children;
  const theme = () => {
    const [r, g, b] = getComputedStyle(place).color.match(/[\\d.]+/g).map(Number);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 128 ? "dark" : "light";
  };
  const frame = document.createElement("iframe");
  const tell = () => frame.contentWindow?.postMessage({ theme: theme() }, "*");
  frame.setAttribute("sandbox", "allow-scripts allow-popups");
  frame.title = TITLE;
  frame.style.height = "0";
  frame.srcdoc = PAGE.replace('<html lang="en"', `<html lang="en" data-theme="${theme()}"`);
  frame.onload = tell;
  const hear = ({ source, data }) => {
    if (!frame.isConnected) return removeEventListener("message", hear);
    if (source !== frame.contentWindow || !Number.isFinite(data?.height)) return;
    still.hidden = true;
    frame.style.height = `${Math.min(data.height + 2, MOST)}px`;
  };
  addEventListener("message", hear);
  const watch = new MutationObserver(() => (frame.isConnected ? tell() : watch.disconnect()));
  watch.observe(document.body, { attributes: true });
  place.append(frame);
}"""


def still(figure: Figure) -> str:
    """A figure as it stands, without scripts; of a choice the first of its figures."""
    while figure.parts:
        _, figure = figure.parts[0]
    legend = "".join(f"<span>{key}{escape(name)}</span>" for key, name in figure.legend)
    drawing = f'<div class="drawing{"" if figure.wide else " narrow"}">{figure.drawing}</div>'
    return (
        f"<h4>{escape(figure.title)}</h4>{figure.head}"
        + (f'<div class="legend">{legend}</div>' if legend else "")
        + f'{drawing}<p class="reading">{escape(figure.reading)}</p>'
    )


def styled(content: str, name: str = "") -> str:
    """Markup of figures within a notebook's output, in the notebook's colours."""
    named = f' data-elman="{name}"' if name else ""
    return f'<div class="elman-output"{named}><div>{content}</div></div><style>{HOST}.elman-output{{{STYLE}}}</style>'


def framed(page: str, title: str, content: str, *, most: float = 1e6) -> str:
    """`content` as it stands, and the page (a whole HTML file) that takes its place, at most so many pixels high."""
    name = sha256(page.encode()).hexdigest()[:16]
    values = {"NAME": name, "TITLE": title, "PAGE": page.replace("</body>", f"{INSIDE}</body>"), "MOST": most}
    constants = "".join(f"const {key}={_literal(value)};" for key, value in values.items())
    return f"{styled(content, name)}<script>{{{constants}{OUTSIDE}}}</script>"


def _literal(value: object) -> str:
    """A value as JavaScript that cannot end its script element."""
    return json.dumps(value).replace("<", "\\u003c")
