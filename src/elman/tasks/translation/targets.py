"""A target that a session has written: what a request may ask for, and what is told of each token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from elman.data.tokenizers import StreamDecoder, Tokenizer
from elman.decode.sampling import sample
from elman.decode.stops import beginning, whole_tokens
from elman.decode.uniforms import uniform_stream
from elman.errors import UserError
from elman.tasks.configuration import make_section
from elman.tasks.holding import HoldingOptions, HoldingRequest, Interventions
from elman.tasks.listening import Memory, Work

FIRST = 1  # the row of a seed's numbers that the only line of `elman predict` has
DIGITS = 4  # of an attention weight
MOST_TOLD = 20  # alternatives that are told of a token


class TargetOptions(HoldingOptions):
    """How a target is written: by default, the most probable token at each step."""

    tokens: int | None = Field(None, ge=0, le=100_000)  # at most; None: three times the source, and 30, in all
    temperature: float = Field(0.0, ge=0)  # 0 takes the most probable token
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, ge=0, le=1)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field([], max_length=4)
    log_probabilities: int | None = Field(None, ge=0, le=MOST_TOLD)  # are told, with so many other tokens each
    prefix: str = ""  # what is written next, before the model chooses
    beam: int | None = Field(None, ge=1, le=100)  # search for the best target instead, and write it at once
    length_penalty: float = Field(0.6, ge=0, le=10)
    coverage_penalty: float = Field(0.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _drawn_or_searched(self) -> TargetOptions:
        if self.beam is not None and self.temperature:
            raise UserError("beam", expected="none where the temperature is above 0", got=self.beam)
        return self


@dataclass(eq=False)
class TargetRequest(HoldingRequest):
    """A checked request to write, which is one work's own."""

    options: TargetOptions
    seed: int
    prefix: Sequence[int]
    before: Memory | None = None  # of the session, once the work has begun

    @property
    def interventions(self) -> Interventions:  # noqa: D102
        return self.options.set


def check_writing(asked: Mapping[str, Any], tokenizer: Tokenizer) -> TargetRequest:
    """The options of a request. Raises `UserError` where it is not right."""
    options = make_section(TargetOptions, asked)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    return TargetRequest(options, seed, tokenizer.encode_array(options.prefix).tolist())


@dataclass(eq=False)
class DrawnTokens:
    """Tokens that were drawn and read, and the state after them."""

    state: Any
    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    top: list[list[dict[str, Any]]] = field(default_factory=list)
    alignment: list[list[float]] = field(default_factory=list)
    end: float | None = None  # the log-probability of the target's end, if that was drawn
    error: UserError | None = None


@dataclass(eq=False)
class TargetWriter:
    """A target in writing. Text that may be the beginning of a stop string is held back."""

    work: Work
    tokenizer: Tokenizer
    limit: int  # how many tokens may be written
    forced: Sequence[int]  # what is written first
    drawn: DrawnTokens = field(init=False)  # all tokens
    ends: list[int] = field(default_factory=list)  # how long the text is after each token
    text: str = ""
    shown: int = 0  # characters of it that were told of
    told: int = 0  # tokens that were told of
    finished: str = ""  # "length", "end", "stop" or "cancelled", at last

    def __post_init__(self) -> None:
        self.request: TargetRequest = self.work.request
        self.drawn = DrawnTokens(self.work.memory.state)
        self.aligned = self.work.memory.state.alignment.shape[1] > 0  # type: ignore[union-attr]
        self.decoder = StreamDecoder(self.tokenizer)
        target = self.work.memory.notes["target"]
        self.given = len(target)  # tokens that were written before
        for token in target:
            self.decoder.push(token)

    @property
    def left(self) -> int:
        """How many tokens may still be written."""
        return self.limit - len(self.drawn.ids)

    @property
    def known(self) -> int:
        """How many tokens the target has."""
        return self.given + len(self.drawn.ids)

    def draw(self, drawn: DrawnTokens, log_p: Tensor, able: Tensor, alignment: Tensor, end: int) -> bool:
        """Draw the token after those that are known and `drawn`; whether the target goes on.

        Log-probabilities (V,), those of them that may be drawn, and the attention (S,) of the step.
        """
        try:
            token = self._choose(able, len(drawn.ids))
        except UserError as error:
            drawn.error = error
            return False
        if token == end:
            drawn.end = float(log_p[token])
            return False
        drawn.ids.append(token)
        drawn.log_p.append(float(log_p[token]))
        if told := self.request.options.log_probabilities:
            drawn.top.append(self._likely(log_p, told))
        if len(alignment):
            drawn.alignment.append([round(weight, DIGITS) for weight in alignment.tolist()])
        return True

    def _choose(self, log_p: Tensor, new: int) -> int:
        if (written := len(self.drawn.ids) + new) < len(self.forced):
            return self.forced[written]
        o, numbers = self.request.options, uniform_stream(self.request.seed, FIRST, step=self.known + new)
        filters: dict[str, Any] = {"top_k": o.top_k, "top_p": o.top_p, "min_p": o.min_p}
        number = torch.from_numpy(numbers.random(1)).to(log_p.device)
        return int(sample(log_p[None], temperature=o.temperature, uniform=number, **filters))

    def _likely(self, log_p: Tensor, count: int) -> list[dict[str, Any]]:
        values, ids = log_p.topk(min(count, len(log_p)))
        named = [(self.tokenizer.symbol(token), self.tokenizer.decode([token]), token) for token in ids.tolist()]
        pairs = zip(named, values.exp().tolist(), strict=True)
        return [{"token": token, "text": text, "id": id_, "probability": p} for (token, text, id_), p in pairs]

    def take(self, drawn: DrawnTokens) -> int:
        """The tokens of a round; the result is how many of all tokens stay, fewer where a stop string was found."""
        mine, stops = self.drawn, self.request.options.stop
        pieces = [self.decoder.push(token) for token in drawn.ids]
        self.ends += [len(self.text) + length for length in accumulate(map(len, pieces))]
        self.text += "".join(pieces)
        for name in ("ids", "log_p", "top", "alignment"):
            getattr(mine, name).extend(getattr(drawn, name))
        mine.end = drawn.end
        if drawn.end is not None:
            self.text += self.decoder.finish()
            self.finished = "end"
        elif not self.left:
            self.finished = "length"
        at = min((at for stop in stops if (at := self.text.find(stop, self.shown)) >= 0), default=-1)
        if at >= 0:
            self.text, self.finished = self.text[:at], "stop"
            return whole_tokens(self.ends, at)
        return len(mine.ids)

    def keep(self, kept: int) -> None:
        """Forget the tokens after the first `kept` ones."""
        for of_tokens in (self.drawn.ids, self.drawn.log_p, self.drawn.top, self.drawn.alignment, self.ends):
            del of_tokens[kept:]
        self.drawn.end = None

    def tell(self) -> None:
        """An event with what may be shown of the text, and the tokens that are in it; the answer at the end."""
        stops, tokens = self.request.options.stop, len(self.drawn.ids)
        length = len(self.text)
        if stops and not self.finished:
            length = max(self.shown, length - len(beginning(self.text, stops)))
            tokens = max(self.told, whole_tokens(self.ends, length))
        text, first = self.text[self.shown : length], self.told
        self.shown, self.told = length, tokens
        if text or tokens > first:
            position = self.work.memory.position - len(self.drawn.ids) + tokens
            self.work.events.append({"text": text, **self._of(first, tokens), "position": position})
        if self.finished:
            self.work.answer = self._answer()

    def cancel(self) -> None:
        """No more will be drawn: tell all that was."""
        self.finished = "cancelled"
        self.tell()

    def _of(self, first: int, last: int) -> dict[str, Any]:
        drawn, asked = self.drawn, self.request.options.log_probabilities
        told: dict[str, Any] = {"tokens": list(map(self.tokenizer.symbol, drawn.ids[first:last]))}
        told["ids"] = drawn.ids[first:last]
        if asked is not None:
            told["log_probabilities"] = drawn.log_p[first:last]
        if asked:
            told["top"] = drawn.top[first:last]
        return told | ({"alignment": drawn.alignment[first:last]} if self.aligned else {})

    def _answer(self) -> dict[str, Any]:
        return {
            "text": self.text,
            **self._of(0, len(self.drawn.ids)),
            "finished": self.finished,
            "log_probability": sum(self.drawn.log_p) + (self.drawn.end or 0.0),
            "seed": self.request.seed,
            "position": self.work.memory.position,
        }
