"""Decoding: from a model's distributions to text.

Within `torch.inference_mode()`, with a model in eval mode:

    logits, state = prefill(model, tokens)                          read a prompt,
    logits, state = step(model, sample(logits), state)              then one token after another,
    steps = model.steps(state); logits = steps(sample(logits))      or so, faster, where the state is given away

>>> import torch
>>> import elman
>>> from elman.decode import prefill, sample, step
>>> run, written = elman.load("runs/demo"), []
>>> with torch.inference_mode():
...     logits, state = prefill(run.model, run.tokenizer.encode("the c")[None])
...     for _ in range(8):
...         token = sample(logits, temperature=0)
...         written.append(token.item())
...         logits, state = step(run.model, token, state)
>>> run.tokenizer.decode(written)
'at sat o'
"""

from elman.decode.ancestral import greedy_search, sample_targets
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints
from elman.decode.generation import generate, prefill, step
from elman.decode.hypotheses import Hypothesis
from elman.decode.sampling import min_p, sample, top_k, top_p

__all__ = [
    "Constraints",
    "Hypothesis",
    "beam_search",
    "generate",
    "greedy_search",
    "min_p",
    "prefill",
    "sample",
    "sample_targets",
    "step",
    "top_k",
    "top_p",
]
