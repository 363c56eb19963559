"""The subject of the microscope in language modelling: a model, the same model before its training, and a text."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elman.data.cache import Cache
from elman.data.corpus import MOST_UNKNOWN, encode_file, prepare
from elman.data.tokenfile import TokenFile
from elman.data.tokenizers import Tokenizer
from elman.errors import UserError
from elman.inspection.subject import LEAST_STEPS, Subject
from elman.inspection.untrained import untrained
from elman.models import build
from elman.tasks.configuration import Settings, named
from elman.tasks.exchange import Trained
from elman.wording import percent

MOST_TOKENS = 1 << 20  # of a text that are looked at


def open_subject(run: Trained, data: str | None) -> Subject:
    """A run's model with a text: `data`, or else the text that the run was validated on.

    Raises:
        UserError: there is no such text, or the text does not fit the run.
    """
    settings = run.settings
    train = None if settings is None else settings.train
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        if data is not None:
            file, text, source = encode_file(data, run.tokenizer, Path(cache)), data, data
        else:
            file, text, source = _validation(run, settings, Path(cache))
        tokens = np.array(np.asarray(file)[:MOST_TOKENS], np.int64)
    name = named(source, run.path)
    text = text.replace(source, name)
    _check_fit(tokens, run.tokenizer, text)
    fresh_name, fresh = untrained(partial(build, run.model.config), train)
    facts = [
        ("text", text.replace(name, Path(name).name)),
        ("tokens looked at", f"{len(tokens):,}, {run.model.vocab_size:,} different"),
    ]
    about = {"text": text, "untrained": fresh_name}
    return Subject(run.path, run.model, fresh, fresh_name, facts, about, run.tokenizer, train, tokens)


def _validation(run: Trained, settings: Settings | None, cache: Path) -> tuple[TokenFile, str, str]:
    """The tokens that the run was validated on, from its cache or made again; their name; and their source."""
    if settings is None:
        remedy = "give a text: elman inspect RUN DATA"
        raise UserError(f"{run.path} does not say which text it was trained on", remedy=remedy)
    data = settings.data
    source = data.valid or data.source
    text = data.valid or f"the validation part of {source}"
    kept = Cache(run.path / "cache").open_tokens("valid", data.fingerprint, run.tokenizer)
    if kept is not None:
        return kept, text, source
    try:
        corpus = prepare(data.source, cache, valid=data.valid, tokenizer=run.tokenizer, expect=data.fingerprint or None)
    except UserError as error:
        raise UserError(
            f"the text of the run is gone ({error})", remedy="give another one: elman inspect RUN DATA", exit_code=1
        ) from error
    return corpus.valid, text, source


def _check_fit(tokens: npt.NDArray[np.int64], tokenizer: Tokenizer, text: str) -> None:
    unknown = 0.0 if tokenizer.unk is None or not len(tokens) else float((tokens == tokenizer.unk).mean())
    if unknown > MOST_UNKNOWN:
        raise UserError(
            f"{text} does not fit the run",
            expected="text in the tokens that the run was trained on",
            got=f"{percent(unknown)} unknown tokens",
            remedy="give a text of the same kind",
        )
    if len(tokens) < LEAST_STEPS + 1:
        raise UserError(
            f"{text} is too short to look at", expected=f"at least {LEAST_STEPS + 1} tokens", got=len(tokens)
        )
