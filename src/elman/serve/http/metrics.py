"""What Prometheus reads at /metrics: requests and their latencies, sessions, tokens, batches, the queue, evictions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

if TYPE_CHECKING:
    from elman.serve.counts import Histogram as CountedHistogram
    from elman.serve.sessions import Sessions

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
METHODS = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")

# Of `Sessions.stats()`, by the name that each has there.
GAUGES = {
    "sessions": "Open sessions, those on the disk among them.",
    "resident": "Sessions whose memory is in RAM.",
    "parked": "Sessions whose memory is on the disk.",
    "bytes": "Bytes of all memories in RAM.",
    "running": "Works that move at every round.",
    "queue": "Works that wait for a place.",
}
COUNTERS = {
    "evictions": "Sessions that went to the disk because the RAM was full.",
    "restored": "Sessions that came back from the disk.",
    "ended_idle": "Sessions that ended because nobody used them.",
}
# Of a model's `ServingCounts`.
OF_A_MODEL = {
    "read": ("tokens_read", "Tokens or values that the model has read."),
    "written": ("tokens_written", "Tokens that the model has written."),
    "works": ("works", "Feeds and generations that have ended."),
    "failed": ("works_failed", "Feeds and generations that ended by an error."),
}
DISTRIBUTIONS = {
    "rows": ("batch_rows", "Sessions that a round of the model moves."),
    "rounds": ("round_seconds", "How long a round of the model takes."),
    "seconds": ("work_seconds", "From asking for a feed or a generation to its end."),
}


class ServerMetrics(Collector):
    """The numbers of one server."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.registry = registry = CollectorRegistry()
        registry.register(self)
        self.requests = Counter(
            "elman_requests", "Requests, answered or refused.", ("route", "method", "status"), registry=registry
        )
        self.latency = Histogram(
            "elman_request_seconds", "From a request to the end of its answer.", ("route",), buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.first = Histogram(
            "elman_first_event_seconds", "From a work to the first that it writes.", buckets=SECONDS, registry=registry
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """A request is over. Its route is one of ours, so that no client can make up new labels."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.requests.labels(route, method, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The numbers that the sessions and the models keep."""
        stats, models = self.sessions.stats(), self.sessions.models
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"elman_{name}", text, value=stats[name])
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"elman_{name}", text, value=stats[name])
        for count, (name, text) in OF_A_MODEL.items():
            counter = CounterMetricFamily(f"elman_{name}", text, labels=["model"])
            for model, served in models.items():
                counter.add_metric([model], getattr(served.counts, count))
            yield counter
        for count, (name, text) in DISTRIBUTIONS.items():
            histogram = HistogramMetricFamily(f"elman_{name}", text, labels=["model"])
            for model, served in models.items():
                found: CountedHistogram = getattr(served.counts, count)
                histogram.add_metric([model], _buckets(found), found.sum)
            yield histogram

    def text(self) -> bytes:
        """All numbers in the text format."""
        return generate_latest(self.registry)


def _buckets(found: CountedHistogram) -> list[tuple[str, float]]:
    """How many values there are up to each bound, as Prometheus counts them."""
    bounds = [*(str(float(bound)) for bound in found.bounds), "+Inf"]
    return list(zip(bounds, map(float, itertools.accumulate(found.counts)), strict=True))
