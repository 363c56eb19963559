"""The two graphs of an encoder-decoder: one makes a memory of a source, the other writes with the memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.lanes import NOT_COUNTED
from elman.export.onnx import recurrent_encoder_decoder, transformer_encoder_decoder, trials
from elman.export.onnx.drawing import Call, Compared, Drawing
from elman.export.options import ExportOptions
from elman.models.encoder_decoder import EncoderDecoder
from elman.tasks.exchange import Trained

KINDS = {
    "RecurrentEncoderDecoder": recurrent_encoder_decoder,
    "TransformerEncoderDecoder": transformer_encoder_decoder,
}


def draw(run: Trained, options: ExportOptions) -> Drawing:
    """An encoder and a decoder."""
    model, kind = run.model, KINDS[type(run.model).__name__]
    graphs = {name: getattr(kind, name)(model, options.lengths) for name in ("encoder", "decoder")}
    answer = {
        "source_eod": run.source_tokenizer.eod,
        "eod": run.target_tokenizer.eod,
        "unknown": run.target_tokenizer.unk,
        "longest": model.longest,
    }
    return Drawing(graphs, causal=True, answer=answer, trial=partial(trial, model, kind, options.lengths))


def trial(model: EncoderDecoder, kind: ModuleType, ragged: bool, observed: Any, call: Call) -> Iterator[Compared]:
    """Validation pairs, or random ones: some by themselves with their loss, and several together; targets in pieces."""
    if observed is not None:
        for row in range(min(len(observed.part), trials.WHOLE)):
            yield from _pair(model, kind, ragged, observed.batch([row]), call)
    for rows in trials.groups(trials.WHOLE if observed is None else len(observed.part)):
        batch = _random(model, len(rows)) if observed is None else observed.batch(rows)
        yield from _pair(model, kind, ragged, batch, call, with_loss=False)


@torch.no_grad()
def _pair(
    model: EncoderDecoder,
    kind: ModuleType,
    ragged: bool,
    batch: tuple[Tensor, ...],
    call: Call,
    *,
    with_loss: bool = True,
) -> Iterator[Compared]:
    source, lengths, inputs, targets = batch
    ends, S = trials.shortest(lengths, ragged=ragged)
    memory = model.encode(source[:, :S], ends)
    found = call("encoder", {"source": source[:, :S].numpy(), **trials.lengths_of(ends)})
    state = [leaf.numpy() for leaf in kind.kept(model, memory, ragged)]
    given = [at for at in range(len(state)) if f"next_state_{at}" in found]
    yield Compared([state[at] for at in given], [found[f"next_state_{at}"] for at in given])
    # What the encoder does not give is zeros at first.
    state = [found.get(f"next_state_{at}", np.zeros_like(leaf)) for at, leaf in enumerate(state)]
    for piece, wanted in zip(inputs.split(trials.TOGETHER, 1), targets.split(trials.TOGETHER, 1), strict=True):
        found = call("decoder", {"tokens": piece.numpy(), **trials.named(state)})
        theirs = [found.get(f"next_state_{at}", leaf) for at, leaf in enumerate(state)]
        logits, memory = model(piece, memory)
        loss = _nats(logits, wanted), _nats(torch.from_numpy(found["logits"]), wanted), int((wanted >= 0).sum())
        # The next piece begins with the run's own state: a decoder that reads its last output amplifies rounding.
        state = [leaf.numpy() for leaf in kind.kept(model, memory, ragged)]
        yield Compared([logits.numpy(), *state], [found["logits"], *theirs], loss if with_loss else None)


def _nats(logits: Tensor, targets: Tensor) -> float:
    flat, wanted = logits.flatten(0, 1).double(), targets.flatten()
    return float(F.cross_entropy(flat, wanted, ignore_index=NOT_COUNTED, reduction="sum"))


def _random(model: EncoderDecoder, rows: int) -> tuple[Tensor, ...]:
    """Sources, their lengths, target tokens, and those that follow."""
    made, longest = trials.generator(), model.longest or trials.STEPS
    S = T = min(trials.STEPS, longest)
    source = torch.randint(model.source_vocab_size, (rows, S), generator=made)
    inputs = torch.randint(model.vocab_size, (rows, T), generator=made)
    return source, S - torch.arange(rows) % S, inputs, inputs.roll(-1, 1)
