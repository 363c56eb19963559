"""A model of another framework as a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman.data.labels import Kind, LabelCodec
from elman.data.scaler import ChannelScaler
from elman.data.tokenizers.vocabulary import number_names, numbered
from elman.errors import UserError
from elman.models.configuration import IMPORTED
from elman.models.layered import LayeredModel
from elman.models.layered_scores import is_sigmoid
from elman.tasks.exchange import Adopted, Codec, Particulars


def recognises(network: LayeredModel) -> str | None:
    """An output for a whole sequence, unless that is numbers after one channel."""
    config = network.config
    forecasts = config["output_kind"] == "numbers" and config["input"].get("channels") == 1
    if config["per_step"] or forecasts:
        return None
    return f"it has {config['outputs']:,} output{'s'[: config['outputs'] - 1]} for a whole sequence"


def adopt(network: LayeredModel, said: Particulars) -> Adopted:
    """The layers with their labels, and a tokenizer or a scale. Raises `UserError` where something does not fit."""
    config, notes = network.config, list[str]()
    if config["per_step"]:
        raise UserError("the model", expected="outputs for a whole sequence", got="outputs at every step")
    kind = _kind(config, said.labels, notes)
    size = 1 if kind == "number" else max(config["outputs"], 2) if kind == "class" else config["outputs"]
    names = () if kind == "number" else tuple(said.labels or number_names(size))
    if kind != "number" and (len(names) != size or len(set(names)) < size):
        raise UserError("labels", expected=f"{size} different names", got=len(set(names)))
    if kind == "number" and said.labels is not None:
        raise UserError("labels", expected="2 names, or none", got=len(said.labels))
    if kind != "number" and said.labels is None:
        notes.append(
            f"no names of the labels are given (--labels): they are {', '.join(names[:3])}{', …' * (size > 3)}"
        )
    codecs: dict[str, Codec] = {"labels": LabelCodec(kind, names, (0,) * len(names))}
    tokens, channels = config["input"].get("vocab_size"), config["input"].get("channels")
    if tokens is not None:
        codecs["tokenizer"] = said.tokenizer or numbered(tokens)
        if said.tokenizer is None:
            notes.append("no tokenizer is given (--tokenizer): a text is numbers of tokens, with blanks between them")
    else:
        codecs["scaler"] = ChannelScaler((0.0,) * channels, (1.0,) * channels)
        notes.append("values are read as they are given: scale them as in the model's training")
    made = {
        "model": IMPORTED,
        "outputs": size,
        "kind_of_labels": kind,
        "vocab_size": tokens,
        "ngrams": False,
        "channels": channels,
        "missing": False,
        "network": config,
    }
    return Adopted(made, codecs, notes)


def _kind(config: dict[str, Any], labels: Sequence[str] | None, notes: list[str]) -> Kind:
    K = config["outputs"]
    if config["output_kind"] == "probabilities":
        return "several" if is_sigmoid(config) and K > 1 else "class"
    if K == 1:
        if labels is not None:
            notes.append("its one output is taken for the logit of the second label")
            return "class"
        notes.append("its one output is taken for a number; with --labels FILE of two labels it is a logit")
        return "number"
    if config["output_kind"] == "numbers":
        notes.append(f"its {K} outputs are taken for logits of classes")
    return "class"
