"""Runs: what a training leaves behind in its folder, and how to load its model.

config.yaml      the resolved settings          metrics.jsonl   what happened, decided by seed and data
env.json         what it ran on                 timing.jsonl    what the clock said
cache/           the corpus as tokens           checkpoints/    to resume from
model/           config.json, model.safetensors, tokenizer.json (translation: one for each
                 side), README.md: all that is needed to use it
report.html      what `elman inspect` saw
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch

from elman import __version__, atomic, reading
from elman.data.tokenizers import PAIR_TOKENIZERS, Tokenizer, load_tokenizer
from elman.errors import UserError
from elman.models import EncoderDecoder, LanguageModel, build, build_encoder_decoder
from elman.models.weights import check_shapes, load_weights, read_shapes

FORMAT = 1
TOKENIZERS = {  # of each task, by the names of their files
    "language-modelling": ("tokenizer",),
    "translation": PAIR_TOKENIZERS,
}
REWRITE = "restore it, or go on with the run: `elman train ... --resume` writes its model/ again"


@dataclass(frozen=True)
class ModelConfig:
    """What a model's `config.json` holds."""

    task: str
    model: dict[str, Any]
    format: int = FORMAT
    elman: str = __version__  # that wrote it


@dataclass(frozen=True)
class Run:
    """A trained language model with what is needed to use it."""

    path: Path
    model: LanguageModel
    tokenizer: Tokenizer
    config: dict[str, Any]
    task: ClassVar[str] = "language-modelling"


@dataclass(frozen=True)
class TranslationRun:
    """A trained encoder-decoder with what is needed to use it."""

    path: Path
    model: EncoderDecoder
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    config: dict[str, Any]
    task: ClassVar[str] = "translation"


def load(run: str | Path, *, device: torch.device | str = "cpu") -> Run | TranslationRun:
    """The best model of a run, in eval mode, with its tokenizers.

    Args:
        run: a run folder, or the `model/` folder in one.
        device: where the model goes.

    Raises:
        UserError: no such run, nothing trained in it yet, or files that are damaged or do not fit each other.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{run}: no such run", remedy="train one with `elman train DATA -o RUN`")
    if (folder / "model").is_dir() or (folder / "config.yaml").exists():
        folder = folder / "model"
    config = _read_config(folder, run)
    task = config["task"]
    if task not in TOKENIZERS:
        raise UserError(f"{run}", expected=" or ".join(TOKENIZERS), got=f"the task {task!r}")
    tokenizers = [load_tokenizer(folder / f"{name}.json") for name in TOKENIZERS[task]]
    model = _build(config, folder)
    sizes = [model.vocab_size] if isinstance(model, LanguageModel) else [model.source_vocab_size, model.vocab_size]
    for name, tokenizer, size in zip(TOKENIZERS[task], tokenizers, sizes, strict=True):
        if tokenizer.vocab_size != size:
            got = tokenizer.vocab_size
            raise UserError(f"{run}: {name}.json is another model's", expected=f"{size} tokens", got=got)
    load_weights(model, folder / "model.safetensors", remedy=REWRITE)
    model = model.to(device).eval()
    if isinstance(model, LanguageModel):
        return Run(Path(run), model, tokenizers[0], config)
    return TranslationRun(Path(run), model, tokenizers[0], tokenizers[1], config)


def load_language_model(run: str | Path) -> Run:
    """`load`, where only a language model will do. Raises `UserError` for another task's."""
    loaded = load(run)
    if not isinstance(loaded, Run):
        remedy = "see `elman predict` and `elman evaluate`"
        raise UserError(f"{run}", expected="a language model", got="an encoder-decoder", remedy=remedy, exit_code=2)
    return loaded


def _read_config(folder: Path, run: str | Path) -> dict[str, Any]:
    try:
        return asdict(reading.read_json(folder / "config.json", ModelConfig, remedy=REWRITE))
    except reading.Missing:
        raise UserError(
            f"{run} holds no model: it has no config.json",
            remedy=f"give a folder that `elman train` made; {REWRITE}",
        ) from None


def _build(config: dict[str, Any], folder: Path) -> LanguageModel | EncoderDecoder:
    """The model of a configuration, if it is that of the weights beside it: first without memory, then in earnest.

    Raises:
        UserError: the configuration is damaged, or that of another model.
    """
    make = build if config["task"] == Run.task else build_encoder_decoder
    place, weights = folder / "config.json", folder / "model.safetensors"
    shapes = read_shapes(weights, remedy=REWRITE)
    layers = [value for name, value in config["model"].items() if name.endswith("layers")]
    if any(isinstance(value, int) and value > len(shapes) for value in layers):
        raise UserError(f"{weights} holds another model's weights", expected=f"{max(layers)} layers")
    try:
        with torch.device("meta"):
            empty = make(config["model"])
    except UserError as error:
        raise UserError(f"{place}: {error}", remedy=REWRITE) from None
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"{place} is damaged ({str(error).splitlines()[0]})", remedy=REWRITE) from None
    check_shapes(empty, shapes, weights)
    return make(config["model"])


def write_model_folder(
    folder: Path, task: str, model: torch.nn.Module, tokenizers: Mapping[str, Tokenizer], card: str
) -> None:
    """Write everything of `model/` but the weights, which the training writes."""
    assert tuple(tokenizers) == TOKENIZERS[task]
    config = ModelConfig(task, cast(dict[str, Any], model.config))
    atomic.write_text(folder / "config.json", json.dumps(asdict(config), indent=1) + "\n")
    for name, tokenizer in tokenizers.items():
        atomic.write_text(folder / f"{name}.json", json.dumps(tokenizer.to_json(), ensure_ascii=False) + "\n")
    atomic.write_text(folder / "README.md", card)
