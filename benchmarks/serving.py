"""A load test of `elman serve`: every answer is that of a session alone, though the server is killed in the middle.

    python benchmarks/serving.py [RUN] [--clients 100] [--sessions 1000] [--minutes 10] [--memory 5MB]
                                 [--seconds 5] [--turns 3] [--json]

Correctness: so many clients hold so many sessions open over loopback and take turns with them: a text is fed, a text
is written, and the tokens, the text and the position are compared with those of the same session alone in this
process. A client leaves in the middle of one writing in fifty, and goes back to where it was. After a third of the
minutes the server is ended by SIGTERM, after two thirds by SIGKILL, and started again; sessions must go on, but for
those that SIGKILL took. Sessions take more than --memory, so that they move to the disk and back.

Speed: tokens a second that all clients together write through HTTP and, in turns, that `elman.serve.Sessions` writes in
one process; and how long one token takes, asked for by all clients at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import queue
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import elman
from elman.serve import Sessions
from elman.serve.limits import parse_size
from serving_client import AWAY, Connection, Refusal, ServerProcess

TURNS = 4  # of a session, before another one begins
LEAVES = 0.02  # of the writings, in whose middle the client leaves
WRITTEN = 400  # tokens of a request where speed is measured
PATIENCE = 120.0  # seconds for a server to come back, and for an answer
UP = 10.0  # seconds of a server's life at least, where starting takes long
WORDS = ["def", "return", "import", "self", "for", "in", "if", "not", "class", "the", "of", "to", "it", "(", "):", "="]


class Turn(NamedTuple):
    """What a session is asked, and what it answers alone."""

    text: str
    asked: dict[str, Any]
    ids: list[int]
    written: str
    position: int


def ask_alone(sessions: Sessions, number: int) -> list[Turn]:
    """The turns of a session, and its answers where nobody else is served."""
    random_ = random.Random(number)
    session, turns = sessions.create(), list[Turn]()
    for turn in range(TURNS):
        text = " ".join(random_.choices(WORDS, k=random_.randint(2, 12))) + f" {number}\n"
        asked = {"tokens": random_.randint(8, 64), "seed": TURNS * number + turn, "temperature": 0.9}
        sessions.submit(session.id, "feed", {"text": text}).result()
        answer = sessions.submit(session.id, "generate", asked).result()
        turns.append(Turn(text, asked, answer["ids"], answer["text"], answer["position"]))
    session.close()
    return turns


@dataclass
class Life:
    """A session of a client, and how far it is."""

    turns: list[Turn]
    id: str = ""
    done: int = 0  # turns
    kills: int = 0  # by SIGKILL, when it was last known to be there

    @property
    def before(self) -> int:
        """The position before the next turn."""
        return self.turns[self.done - 1].position if self.done else 0


@dataclass
class Load:
    """The clients, the server that they load, and what they found."""

    server: ServerProcess
    lives: list[list[Life]]  # by client
    ends: float
    memory: int
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    resident: int = 0
    kills: int = 0  # by SIGKILL, so far

    async def run(self) -> None:
        """All clients, to the end."""
        watch = asyncio.ensure_future(self.watch())
        async with asyncio.TaskGroup() as clients:
            for number, lives in enumerate(self.lives):
                clients.create_task(self.client(number, lives))
        watch.cancel()

    async def client(self, number: int, lives: list[Life]) -> None:
        """Turns with one session after the other."""
        connection, random_ = Connection(self.server.port), random.Random(-number)
        while time.monotonic() < self.ends:
            life = random_.choice(lives)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.turn(connection, life, leaves=random_.random() < LEAVES)
            except (*AWAY, TimeoutError, Refusal) as error:
                refused = isinstance(error, Refusal) and error.status != 503  # 503: the server stops
                if refused or isinstance(error, TimeoutError):
                    self.fail(f"{type(error).__name__} {error}")
                connection.leave()
                await self.find_again(connection, life)

    async def turn(self, connection: Connection, life: Life, leaves: bool) -> None:
        """Feed and write, and compare; a client that leaves goes back to before the turn."""
        if life.kills < self.kills:
            await self.find_again(connection, life)
        if not life.id:
            life.id = (await connection.ask("POST", "/v1/sessions", {}))["id"]
            life.kills = self.kills
            self.counts["opened"] += 1
        turn, place = life.turns[life.done], f"/v1/sessions/{life.id}"
        await connection.ask("POST", f"{place}/feed", {"text": turn.text, "top": 0, "surprise": False})
        ids, text, answer = list[int](), "", dict[str, Any]()
        async for event in connection.events(f"{place}/generate", {**turn.asked, "stream": True}):
            if leaves:
                connection.leave()
                self.counts["left"] += 1
                await self.find_again(connection, life)
                return
            ids, text, answer = ids + event.get("ids", []), text + event.get("text", ""), event.get("answer", answer)
        if answer.get("finished") == "cancelled":  # the server stopped, and says so
            raise ConnectionResetError
        found = ids, text, answer.get("ids"), answer.get("text"), answer.get("position")
        self.counts["answers"] += 1
        if found != (turn.ids, turn.written, turn.ids, turn.written, turn.position):
            self.counts["mixed up"] += 1
            self.failures.append(f"mixed up: {found} instead of {turn}")
        life.done += 1
        if life.done == TURNS:
            life.id, life.done = "", 0  # whether or not the server still hears that it is closed
            await connection.ask("DELETE", place)

    async def find_again(self, connection: Connection, life: Life) -> None:
        """Wait for the server, and take a session back to before the turn that was broken off."""
        begun = time.monotonic()
        while life.id and time.monotonic() < begun + PATIENCE:
            try:
                facts = await connection.ask("GET", f"/v1/sessions/{life.id}")
                if not facts["busy"]:
                    while life.before > facts["position"]:  # a session may be older after SIGKILL
                        life.done -= 1
                    kills = self.kills
                    await connection.ask("POST", f"/v1/sessions/{life.id}/rollback", {"to": life.before})
                    life.kills = kills
                    return
            except AWAY:
                connection.leave()
            except Refusal as error:
                if error.status == 404:
                    if self.kills > life.kills:
                        self.counts["taken by SIGKILL"] += 1
                    else:
                        self.fail(f"a session is gone: {error}")
                    life.id, life.done = "", 0
                elif error.status not in (409, 503):  # it is not done yet; the server stops
                    self.fail(f"{error}")
                    return
            await asyncio.sleep(0.05)
        if life.id:
            self.fail("the server did not come back")

    def fail(self, why: str) -> None:
        """Count a request that was not answered as it should be."""
        self.counts["failed"] += 1
        self.failures.append(why)

    async def watch(self) -> None:
        """Look at the bytes of the sessions, twice a second."""
        connection = Connection(self.server.port)
        while True:
            try:
                numbers = await connection.ask("GET", "/metrics")
                found = float(numbers.partition("\nelman_bytes ")[2].split()[0])
                self.counts["looks"] += 1
                self.counts["memory over the limit"] += found > self.memory
                self.resident = max(self.resident, self.server.resident)
            except (*AWAY, Refusal, FileNotFoundError):
                connection.leave()
            await asyncio.sleep(0.5)


async def load(run: Path, place: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The load test."""
    with Sessions(run) as sessions:
        begun = time.monotonic()
        every = [ask_alone(sessions, number) for number in range(given.sessions)]
    print(f"{given.sessions} sessions alone: {time.monotonic() - begun:.1f} s", file=sys.stderr)
    server = ServerProcess(run, "--folder", str(place / "sessions"), "--memory", given.memory)
    await server.start()
    seconds = 60 * given.minutes
    lives = [[Life(turns) for turns in every[number :: given.clients]] for number in range(given.clients)]
    found = Load(server, lives, time.monotonic() + seconds, parse_size(given.memory))
    codes = []

    async def restart() -> None:
        begun = time.monotonic()
        for share, by in ((1 / 3, signal.SIGTERM), (2 / 3, signal.SIGKILL)):
            await asyncio.sleep(max(UP, begun + share * seconds - time.monotonic()))
            found.kills += by == signal.SIGKILL
            codes.append(await server.stop(by))
            await server.start()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(found.run())
            group.create_task(restart())
        numbers = await Connection(server.port).ask("GET", "/metrics")
        moved = float(numbers.partition("\nelman_evictions_total ")[2].split()[0])
    finally:
        codes.append(await server.stop())
    report = {name: found.counts[name] for name in ("answers", "mixed up", "failed", "memory over the limit")}
    further = {name: found.counts[name] for name in ("opened", "left", "taken by SIGKILL", "looks")}
    last = {"moved to the disk since the last start": moved, "greatest resident": found.resident, "exit codes": codes}
    return {**report, **further, **last, "failures": found.failures[:9]}


def engine_rate(sessions: Sessions, clients: int, seconds: float) -> float:
    """Tokens a second that sessions write in this process."""
    ready, count = queue.SimpleQueue[str](), Counter[str]()
    open_ = [sessions.create(text="def ") for _ in range(clients)]
    jobs: dict[str, Any] = {}

    def write(id: str, seed: int) -> None:
        def on_events(events: list[dict[str, Any]]) -> None:
            count["tokens"] += sum(len(event["ids"]) for event in events)
            if id not in jobs or jobs[id].done:
                ready.put(id)

        jobs.pop(id, None)
        jobs[id] = sessions.submit(id, "generate", {"tokens": WRITTEN, "seed": seed}, on_events)

    for number, session in enumerate(open_):
        write(session.id, number)
    begun = time.perf_counter()
    while (left := begun + seconds - time.perf_counter()) > 0:
        try:
            id = ready.get(timeout=left)
        except queue.Empty:
            break
        if jobs[id].done:
            write(id, count["tokens"])
    rate = count["tokens"] / (time.perf_counter() - begun)
    for session in open_:
        session.close()
    return rate


async def http_rate(port: int, clients: int, seconds: float) -> float:
    """Tokens a second that as many clients are told as events."""
    count, ends = Counter[str](), time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = Connection(port)
        place = f"/v1/sessions/{(await connection.ask('POST', '/v1/sessions', {'text': 'def '}))['id']}"
        while time.perf_counter() < ends:
            asked = {"tokens": WRITTEN, "seed": number, "stream": True}
            async for event in connection.events(f"{place}/generate", asked):
                count["tokens"] += len(event.get("ids", ()))
                if time.perf_counter() > ends:
                    break
        connection.leave()

    begun = time.perf_counter()
    await asyncio.gather(*map(client, range(clients)))
    return count["tokens"] / (time.perf_counter() - begun)


async def step_seconds(port: int, clients: int, seconds: float) -> list[float]:
    """How long one token takes, asked for by all clients at once."""
    found, ends = list[float](), time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = Connection(port)
        place = f"/v1/sessions/{(await connection.ask('POST', '/v1/sessions', {'text': 'def '}))['id']}"
        while (begun := time.perf_counter()) < ends:
            await connection.ask("POST", f"{place}/generate", {"tokens": 1, "seed": number})
            found.append(time.perf_counter() - begun)

    await asyncio.gather(*map(client, range(clients)))
    return sorted(found[clients:])  # without everybody's first


async def speed(run: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The rates in turns, and the times of steps."""
    server = ServerProcess(run)
    await server.start()
    http, engine, steps = list[float](), list[float](), list[float]()
    try:
        with Sessions(run) as sessions:
            gc.collect()
            gc.freeze()  # pauses of this process are none of the server's
            for _ in range(given.turns):
                engine.append(await asyncio.to_thread(engine_rate, sessions, given.clients, given.seconds))
                http.append(await http_rate(server.port, given.clients, given.seconds))
            steps = await step_seconds(server.port, given.clients, given.seconds)
    finally:
        await server.stop()
    p50, p90, p99, p999 = (steps[int(share * (len(steps) - 1))] for share in (0.5, 0.9, 0.99, 0.999))
    shares = [a / b for a, b in zip(http, engine, strict=True)]
    rates = {"http": statistics.median(http), "engine": statistics.median(engine), "share": statistics.median(shares)}
    return {**rates, "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "p99 over p50": p99 / p50, "steps": len(steps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="of a language model; without it one is trained for 3 steps")
    for name, value in (("clients", 100), ("sessions", 1000), ("turns", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the load test; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure of speed; 0 leaves them out")
    parser.add_argument("--memory", default="5MB", help="for the sessions of the load test")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report: dict[str, Any] = {"clients": given.clients, "sessions": given.sessions, "minutes": given.minutes}
    with tempfile.TemporaryDirectory() as folder:
        run, place = given.run, Path(folder)
        if run is None:
            run = place / "run"
            sizes = {"hidden_size": 224, "embedding_size": 64, "model": "lstm", "seed": 1}
            elman.fit("python-stdlib", budget="3 steps", out=run, progress=False, **sizes)
        if given.minutes:
            report |= asyncio.run(load(run, place, given))
        if given.seconds:
            report |= asyncio.run(speed(run, given))
    if given.json:
        print(json.dumps(report))
        return
    print("| what | found |\n|---|---|")
    for name, value in report.items():
        print(f"| {name} | {f'{value:.4g}' if isinstance(value, float) else value} |")


if __name__ == "__main__":
    main()
