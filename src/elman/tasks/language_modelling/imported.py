"""A model of another framework as a language model."""

from __future__ import annotations

from elman.data.tokenizers.vocabulary import numbered
from elman.errors import UserError
from elman.models.configuration import IMPORTED
from elman.models.layered import LayeredModel
from elman.tasks.exchange import Adopted, Particulars

NUMBERS = "no tokenizer is given (--tokenizer): a text is numbers of tokens, with blanks between them"


def recognises(network: LayeredModel) -> str | None:
    """An output for each token, at every step."""
    size = network.config["input"].get("vocab_size")
    fits = network.causal and network.config["per_step"] and network.config["outputs"] == size
    return f"it reads forward and has, at every step, an output for each of its {size:,} tokens" if fits else None


def adopt(network: LayeredModel, said: Particulars) -> Adopted:
    """The layers with a tokenizer. Raises `UserError` where they are no language model, or the tokenizer another's."""
    if recognises(network) is None:
        expected = "layers that read tokens forward, and have an output for each token at every step"
        raise UserError("the model", expected=expected, got=_words(network))
    if said.labels is not None:
        raise UserError("labels", expected="none of a language model", got=len(said.labels), remedy="give --tokenizer")
    size = network.config["outputs"]
    tokenizer = said.tokenizer or numbered(size)
    notes = [] if said.tokenizer else [NUMBERS]
    return Adopted({"model": IMPORTED, "vocab_size": size, "network": network.config}, {"tokenizer": tokenizer}, notes)


def _words(network: LayeredModel) -> str:
    config = network.config
    when = "at every step" if config["per_step"] else "for a whole sequence"
    reads = "tokens" if network.reads_tokens else "values"
    backward = "" if network.causal else ", in both directions"
    return f"{config['outputs']} outputs {when} of {reads}{backward}"
