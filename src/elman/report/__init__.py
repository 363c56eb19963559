"""Reports: one self-contained HTML file of chapters, each figure with its numbers and how to read it.

Drawn as inline SVG, light and dark, for a desk and for a phone; nothing is fetched from anywhere. This part knows
nothing of models: whoever has arrays can draw them.

    report = Report("A title", chapters=[Chapter("One thing", "What it is.", [line_chart([...], ...)])])
    html = render(report)
"""

from elman.report.bars import bar_chart
from elman.report.charts import Line, Mark, Points, line_chart, point_chart
from elman.report.columns import aligned
from elman.report.figure import Figure, Table, number
from elman.report.heatmap import heatmap
from elman.report.page import Chapter, Report, render
from elman.report.spans import Span, span_text
from elman.report.texts import passages, text_strip

__all__ = [
    "Chapter",
    "Figure",
    "Line",
    "Mark",
    "Points",
    "Report",
    "Span",
    "Table",
    "aligned",
    "bar_chart",
    "heatmap",
    "line_chart",
    "number",
    "passages",
    "point_chart",
    "render",
    "span_text",
    "text_strip",
]
