"""What Prometheus reads at /metrics: requests and their latencies, sessions, tokens, batches, the queue, evictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

if TYPE_CHECKING:
    from elman.serve.sessions import Sessions

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
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
    "tokens_read": "Units that models have read.",
    "tokens_written": "Units that models have written.",
    "evictions": "Sessions that went to the disk because the RAM was full.",
    "restored": "Sessions that came back from the disk.",
    "ended_idle": "Sessions that ended because nobody used them.",
}


class ServerMetrics(Collector):
    """The numbers of one server."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.registry = CollectorRegistry()
        self.registry.register(self)

        def histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"elman_{name}", text, labels, buckets=buckets, registry=self.registry)

        self.requests = Counter(
            "elman_requests", "Requests, answered or refused.", ("route", "method", "status"), registry=self.registry
        )
        self.latency = histogram("request_seconds", "From a request to the end of its answer.", ("route",), SECONDS)
        self.first = histogram("first_event_seconds", "From a request to the first that is written.", (), SECONDS)
        self.rows = histogram("batch_rows", "Sessions that a round of a model moves.", ("model",), ROWS)
        self.rounds = histogram("round_seconds", "How long a round of a model takes.", ("model",), ROUNDS)
        sessions.on_round = self.round

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """A request is over. Its route is one of ours, so that no client can make up new labels."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.requests.labels(route, method, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def round(self, model: str, rows: int, tokens: int, seconds: float) -> None:
        """A model's thread has moved its works."""
        self.rows.labels(model).observe(rows)
        self.rounds.labels(model).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The numbers that the sessions keep."""
        stats: Mapping[str, Any] = self.sessions.stats()
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"elman_{name}", text, value=stats[name])
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"elman_{name}", text, value=stats[name])

    def text(self) -> bytes:
        """All numbers in the text format."""
        return generate_latest(self.registry)
