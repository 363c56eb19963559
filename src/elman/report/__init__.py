"""Reports: one self-contained HTML file of chapters, each figure with its numbers and how to read it.

Drawn as inline SVG, light and dark, for a desk and for a phone; where scripts run, components take the place of the
drawings, and one can point, zoom and choose. Nothing is fetched from anywhere. This part knows nothing of models:
whoever has arrays can draw them.

    report = Report("A title", chapters=[Chapter("One thing", "What it is.", [line_chart([...], ...)])])
    html = render(report)

>>> import numpy as np
>>> from elman.report import Chapter, Line, Report, line_chart, render
>>> lags = np.arange(1, 101)
>>> figure = line_chart(
...     [Line("trained", lags, 0.96**lags), Line("untrained", lags, 0.85**lags)], title="What is left of the gradient",
...     x="steps back", y="share", reading="The higher a line, the further back its model learns from.", log_y=True,
... )
>>> page = render(Report("Memory", chapters=[Chapter("Gradients", "How far they reach.", [figure])]))
>>> page.startswith("<!doctype html>"), "http://" in page  # one file that fetches nothing
(True, False)
"""

from elman.report.alignment import alignment
from elman.report.bars import bar_chart
from elman.report.choices import choice
from elman.report.columns import aligned
from elman.report.fans import fan_chart
from elman.report.figure import Figure, Table, number
from elman.report.heatmap import heatmap
from elman.report.lines import Line, line_chart
from elman.report.linked import reading
from elman.report.marks import Mark
from elman.report.order import likeness
from elman.report.page import Chapter, Report, render
from elman.report.points import Points, point_chart
from elman.report.spans import span_text
from elman.report.texts import passages, text_strip

__all__ = [
    "Chapter",
    "Figure",
    "Line",
    "Mark",
    "Points",
    "Report",
    "Table",
    "aligned",
    "alignment",
    "bar_chart",
    "choice",
    "fan_chart",
    "heatmap",
    "likeness",
    "line_chart",
    "number",
    "passages",
    "point_chart",
    "reading",
    "render",
    "span_text",
    "text_strip",
]
