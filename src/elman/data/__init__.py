"""From files to tokens and batches. Knows no model.

A long text is read by lanes side by side, each by its own row of a state, which is carried from window to window:

>>> from elman.data import Lanes
>>> from elman.data.tokenizers import train_tokenizer
>>> tokenizer = train_tokenizer("char", ["a rose is a rose"])
>>> window = Lanes(tokenizer.encode_array("a rose is a rose"), lanes=3).window(0, 5)
>>> [tokenizer.decode(row) for row in window.inputs]
['a ros', 'e is ', 'a ros']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.data import tokenizers
    from elman.data.batches import PairBatch, PairPart, TokenBatches, encode_texts
    from elman.data.lanes import Lanes, LaneWindow, TokenStream, evaluation_windows
    from elman.data.memory_tasks import adding, copying, temporal_order, temporal_xor

__all__ = [
    "LaneWindow",
    "Lanes",
    "PairBatch",
    "PairPart",
    "TokenBatches",
    "TokenStream",
    "adding",
    "copying",
    "encode_texts",
    "evaluation_windows",
    "temporal_order",
    "temporal_xor",
    "tokenizers",
]
__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(("LaneWindow", "Lanes", "TokenStream", "evaluation_windows"), ".lanes"),
        **dict.fromkeys(("PairBatch", "PairPart", "TokenBatches", "encode_texts"), ".batches"),
        **dict.fromkeys(("adding", "copying", "temporal_order", "temporal_xor"), ".memory_tasks"),
        "tokenizers": "",
    },
)
