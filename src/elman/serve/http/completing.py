"""A completion: sessions that read the prompts, fork for each choice, write side by side, and end with the request."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from elman.errors import UserError
from elman.serve.http.errors import Refused
from elman.serve.http.events import Running, Works

if TYPE_CHECKING:
    from elman.serve.handle import Session

FINISHED = {"end": "stop", "stop": "stop"}  # in OpenAI's words; all else is "length"
Chunk = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What is to be completed, and how."""

    prompts: Sequence[str | Sequence[int]]
    choices: int  # for each prompt
    tokens: int  # of each choice; 0: only read
    echo: bool
    logprobs: int | None
    options: Mapping[str, Any]  # of `generate`


@dataclass
class Continuing:
    """A text that begins with a prompt."""

    index: int
    session: Session
    echoed: Chunk | None  # what comes before all that is written
    offset: int = 0  # in the text that the client gets


@dataclass(eq=False)
class Completing:
    """All choices of one request."""

    works: Works
    model: str
    wanted: Wanted
    read: int = 0  # tokens
    written: int = 0
    left: bool = False
    sessions: list[Session] = field(default_factory=list)
    running: dict[Running, None] = field(default_factory=dict)

    def stop(self) -> None:
        """The client has left: end all works."""
        self.left = True
        for running in list(self.running):
            running.job.cancel()

    @property
    def usage(self) -> dict[str, int]:
        """Tokens, in OpenAI's words."""
        total = self.read + self.written
        return {"prompt_tokens": self.read, "completion_tokens": self.written, "total_tokens": total}

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """Pieces of the choices as they are written, the last of each with its `finish_reason`. Raises `UserError`."""
        writing: list[asyncio.Future[None]] = []
        try:
            begun = [self._begin(number, prompt) for number, prompt in enumerate(self.wanted.prompts)]
            choices = [choice for several in await _all(begun) for choice in several]
            queue: asyncio.Queue[Chunk | Exception] = asyncio.Queue()
            writing = [asyncio.ensure_future(self._write(choice, queue)) for choice in choices]
            unfinished = len(choices)
            while unfinished:
                chunk = await queue.get()
                if isinstance(chunk, Exception):
                    raise chunk
                unfinished -= chunk["finish_reason"] is not None
                yield chunk
        finally:
            self.stop()
            for task in writing:
                task.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        for session in self.sessions:
            with contextlib.suppress(UserError):  # it has ended by itself
                session.close()

    async def _start(self, session: Session, kind: str, asked: Mapping[str, Any]) -> Running:
        if self.left:
            raise Refused(408, "the client has left")
        running = await self.works.start(session.id, kind, asked)
        self.running[running] = None
        return running

    def _end(self, running: Running) -> None:
        self.works.end(running)
        self.running.pop(running, None)

    async def _begin(self, number: int, prompt: str | Sequence[int]) -> list[Continuing]:
        """Read a prompt once, and fork its session for each choice."""
        session = await anyio.to_thread.run_sync(self._new)
        answer: dict[str, Any] = {"read": 0, "pieces": [], "surprise": []}
        if prompt:
            running = await self._start(
                session, "feed", {"text" if isinstance(prompt, str) else "tokens": prompt, "top": 0}
            )
            try:
                answer = await running.answer()
            finally:
                self._end(running)
        self.read += answer["read"]
        forks = [await anyio.to_thread.run_sync(self._fork, session) for _ in range(self.wanted.choices - 1)]
        first, echoed = number * self.wanted.choices, None
        if self.wanted.echo:
            text = prompt if isinstance(prompt, str) else "".join(answer["pieces"])
            surprise = [None if nats is None else -nats for nats in answer["surprise"]]
            echoed = {"text": text, "pieces": answer["pieces"], "log_probabilities": surprise}
        return [Continuing(first + at, each, echoed) for at, each in enumerate([session, *forks])]

    def _new(self) -> Session:
        session = self.works.sessions.create(self.model)
        self.sessions.append(session)
        return session

    def _fork(self, session: Session) -> Session:
        fork = session.fork()
        self.sessions.append(fork)
        return fork

    async def _write(self, choice: Continuing, queue: asyncio.Queue[Chunk | Exception]) -> None:
        """Put a choice's chunks into the queue; an error in place of the last."""
        try:
            if choice.echoed is not None:
                queue.put_nowait(self._chunk(choice, choice.echoed))
            finished = "length"
            if self.wanted.tokens:
                asked = dict(self.wanted.options, tokens=self.wanted.tokens)
                if "seed" in asked:
                    asked["seed"] += choice.index
                running = await self._start(choice.session, "generate", asked)
                try:
                    async for event in running.pieces():
                        self.written += len(event.get("ids", ()))
                        queue.put_nowait(self._chunk(choice, event))
                    finished = (await running.answer())["finished"]
                finally:
                    self._end(running)
            last = self._chunk(choice, {"text": "", "pieces": [], "log_probabilities": []})
            queue.put_nowait({**last, "finish_reason": FINISHED.get(finished, "length")})
        except Exception as error:
            queue.put_nowait(error)

    def _chunk(self, choice: Continuing, event: Mapping[str, Any]) -> Chunk:
        chunk = {"text": event["text"], "index": choice.index, "logprobs": None, "finish_reason": None}
        if self.wanted.logprobs is not None:
            tokens, offsets = self._texts(event), []
            for token in tokens:
                offsets.append(choice.offset)
                choice.offset += len(token)
            chunk["logprobs"] = {
                "tokens": tokens,
                "token_logprobs": list(event["log_probabilities"]),
                "top_logprobs": _top(tokens, event) if self.wanted.logprobs else None,
                "text_offset": offsets,
            }
        return chunk

    def _texts(self, event: Mapping[str, Any]) -> list[str]:
        """Each token as it stands in the text."""
        if "pieces" in event:
            return list(event["pieces"])
        return self.works.sessions.models[self.model].listener.text_of(event["ids"])


def _top(tokens: Sequence[str], event: Mapping[str, Any]) -> list[dict[str, float] | None]:
    """The candidates of each token; of a prompt's tokens, the token itself."""
    if "top" in event:
        return [{each["text"]: math.log(max(each["probability"], 1e-300)) for each in at} for at in event["top"]]
    pairs = zip(tokens, event["log_probabilities"], strict=True)
    return [None if nats is None else {token: nats} for token, nats in pairs]


async def _all(works: Sequence[Any]) -> list[Any]:
    """The results of works that run side by side, when all have ended. Raises the first error."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """The chunks of a choice as one."""
    whole = dict(chunks[-1], text="".join(chunk["text"] for chunk in chunks))
    if whole["logprobs"] is not None:
        parts = [chunk["logprobs"] for chunk in chunks]
        whole["logprobs"] = {
            name: None if value is None else [item for part in parts for item in part[name]]
            for name, value in whole["logprobs"].items()
        }
    return whole
