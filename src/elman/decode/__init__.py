"""Decoding: from a model's distributions to text.

Within `torch.inference_mode()`, with a model in eval mode:

    logits, state = prefill(model, tokens)                          read a prompt,
    logits, state = step(model, sample(logits), state)              then one token after another,
    steps = model.steps(state); logits = steps(sample(logits))      or so, faster, where the state is given away
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
