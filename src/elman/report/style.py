"""How a report looks: in the light and in the dark, on a desk and on a phone."""

from collections.abc import Sequence

from elman.report import palette
from elman.report.spans import STYLE as SPANS
from elman.report.texts import SHADES

# `shade` is how much of its colour the strongest shade behind a text has, so that the text can be read.
LIGHT = {
    "page": "#fbfaf7", "card": "#ffffff", "ink": "#22252a", "soft": "#5c626b", "rule": "#e3e1da", "grid": "#ecebe6",
    "shade": "0.75",
}  # fmt: skip
DARK = {
    "page": "#14171b", "card": "#1b1f25", "ink": "#e6e4de", "soft": "#a2a8b0", "rule": "#2d333b", "grid": "#282d35",
    "shade": "0.55",
}  # fmt: skip


def _variables(values: dict[str, str], colours: Sequence[str]) -> str:
    numbered = {f"c{number}": colour for number, colour in enumerate(colours, start=1)}
    return "".join(f"--{name}:{value};" for name, value in (values | numbered).items())


_SHADES = "".join(
    f".strip .p{level}{{background:rgb(214 96 32/calc(var(--shade)*{level / SHADES:g}))}}"
    f".strip .n{level}{{background:rgb(46 116 196/calc(var(--shade)*{level / SHADES:g}))}}"
    for level in range(1, SHADES + 1)
)

STYLE = (
    f":root{{{_variables(LIGHT, palette.LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_variables(DARK, palette.DARK)}}}}}"
    + f":root[data-theme=light]{{{_variables(LIGHT, palette.LIGHT)}}}"  # what a page was switched to
    + f":root[data-theme=dark]{{{_variables(DARK, palette.DARK)}}}"
    + ".c0{--c:var(--soft)}"
    + "".join(f".c{n}{{--c:var(--c{n})}}" for n in range(1, palette.COLOURS + 1))
    + "".join(f".line.d{n}{{stroke-dasharray:{dashes}}}" for n, dashes in enumerate(palette.DASHES))
    + _SHADES
    + SPANS
    + """
:root{--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
html[data-theme=light]{color-scheme:light}html[data-theme=dark]{color-scheme:dark}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 var(--sans)}
main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.01em;margin:0 0 8px;overflow-wrap:anywhere}
h2{font-size:22px;line-height:1.25;font-weight:640;margin:0 0 6px}
h3{font-size:15px;font-weight:620;margin:0}
p{margin:0 0 12px;max-width:74ch}
header p,section>p{color:var(--soft)}
dl{margin:20px 0;padding:16px 0;border:solid var(--rule);border-width:1px 0;
display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:10px 24px}
dt{font-size:13px;color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 18px}
a{color:var(--c1);text-underline-offset:3px}
section{margin-top:56px}
.findings{margin:0 0 16px;padding:0;list-style:none}
.findings li{padding:3px 0 3px 14px;border-left:3px solid var(--c1);margin:5px 0}
.figures{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:20px;margin-top:20px}
figure{margin:0;padding:16px 18px 14px;background:var(--card);border:1px solid var(--rule);
border-radius:10px;min-width:0}
figure.wide,figure.alone{grid-column:1/-1}
figure.alone .drawing>svg{max-width:640px;margin:auto}
h4{font-size:13.5px;font-weight:600;margin:10px 0 4px}
figcaption{margin-bottom:8px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft);margin-top:4px}
svg{display:block;width:100%;height:auto;overflow:visible}
.key{display:inline-block;width:30px;height:12px;margin-right:6px;vertical-align:middle}.key.dot{width:12px}
.drawing:has(>svg[style]),.scroll{overflow-x:auto}
image{image-rendering:pixelated}
.tick,.label,.note{font:12.5px var(--sans);fill:var(--soft)}
.dense{font:9.5px var(--sans);fill:var(--soft)}.power{font-size:9.5px}
.label{fill:var(--ink)}.note{stroke:var(--card);stroke-width:3px;paint-order:stroke}
.grid{stroke:var(--grid);fill:none}.axis,.box{stroke:var(--soft);fill:none;stroke-width:1}
.box{stroke:var(--rule)}
.mark{stroke:var(--soft);stroke-dasharray:2 4;fill:none}
.line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}
.band{fill:var(--c);opacity:.14}
.bar{fill:var(--c);opacity:.85}
.interval{stroke:var(--c);stroke-width:1.5;fill:none}.interval.c0{stroke:var(--ink)}
.trail{fill:none;stroke:var(--c);stroke-width:1;opacity:.45}
.point{fill:var(--c);opacity:.7}.drawing .point.c0{opacity:.28}.point:hover{opacity:1}
.hit{fill:transparent}.hit:hover{fill:var(--ink)}
.strip{font:15px/1.75 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere;max-height:420px;overflow:auto}
.strip i{font-style:normal;padding:2px 0}
.passages{display:grid;align-items:baseline;grid-template-columns:max-content 1fr;gap:1px 16px;
margin:0;padding:10px 0;border-width:1px 0 0}
.right{color:var(--c3)}.wrong{color:var(--c2)}
.passages:first-child{border:0}.passages dd{white-space:pre-wrap}
.reading{font-size:14px;color:var(--soft);margin:8px 0 6px;max-width:110ch}
details{font-size:13px}
summary{cursor:pointer;color:var(--c1);width:max-content}
.numbers{overflow:auto;max-height:340px;margin-top:8px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
th{text-align:left;font-weight:500}thead th{position:sticky;top:0;background:var(--card);color:var(--soft)}
td{text-align:right}th,td{padding:2px 10px 2px 0;border-bottom:1px solid var(--grid)}
footer{margin-top:56px;font-size:13px;color:var(--soft)}
@media(max-width:760px){
main{padding:24px 14px 48px}h1{font-size:24px}section{margin-top:40px}
.figures{grid-template-columns:minmax(0,1fr);gap:14px}figure{padding:12px 12px 10px}
figure.wide .drawing:has(svg){overflow-x:auto}figure.wide .drawing>svg{min-width:760px}
.drawing>svg{min-width:440px}.drawing:has(>svg){overflow-x:auto}
.still:has(svg)::after{content:"The drawing scrolls sideways.";font-size:13px;color:var(--soft)}
}
@media print{figure{break-inside:avoid}details{display:none}}
"""
)
