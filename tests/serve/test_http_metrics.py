from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from elman.serve import Sessions
from http_client import client_of


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Values by name and labels, these in the order of their names."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found[sample.name, *(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_what_prometheus_reads(sessions: Sessions) -> None:
    with client_of(sessions) as client:
        before = samples(client)
        ids = [client.post("/v1/sessions", json={"text": "the "}).json()["id"] for _ in range(3)]
        client.post(f"/v1/sessions/{ids[0]}/generate", json={"tokens": 20, "stream": True})
        client.get("/v1/sessions/unknown")
        client.get("/v1/made/up/by/a/client")
        client.request("BREW", "/v1/models")
        now = samples(client)

    def grown(*key: str) -> float:
        return now[key] - before.get(key, 0)

    assert grown("elman_sessions") == 3
    assert now["elman_bytes",] > 0
    assert grown("elman_tokens_read_total", "run") == 12
    assert grown("elman_tokens_written_total", "run") == 20
    assert grown("elman_works_total", "run") == 4
    assert grown("elman_works_failed_total", "run") == 0
    assert grown("elman_batch_rows_count", "run") > 0
    assert grown("elman_batch_rows_bucket", "1.0", "run") == grown("elman_batch_rows_bucket", "+Inf", "run")
    assert grown("elman_round_seconds_count", "run") == grown("elman_batch_rows_count", "run")
    assert grown("elman_work_seconds_count", "run") == 4
    assert grown("elman_first_event_seconds_count") == 1
    assert now["elman_evictions_total",] >= 0
    assert now["elman_queue",] == 0
    assert grown("elman_requests_total", "POST", "/v1/sessions", "201") == 3
    assert grown("elman_requests_total", "GET", "/v1/sessions/{id}", "404") == 1
    assert grown("elman_requests_total", "GET", "other", "404") == 1
    assert any(key[0] == "elman_requests_total" and "other" in key[1:] and "405" in key for key in now)
    assert not any("BREW" in key or "made" in str(key) for key in now)
    assert grown("elman_request_seconds_count", "/v1/sessions/{id}/generate") == 1
