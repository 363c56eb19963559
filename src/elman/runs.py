"""Run folders: what a training leaves behind, and how to take it up again or load its model.

config.yaml      the resolved settings          metrics.jsonl   what happened, decided by seed and data
env.json         what it ran on                 timing.jsonl    what the clock said
cache/           the corpus as tokens           checkpoints/    to resume from
model/           config.json, model.safetensors, tokenizer.json (translation: one for each
                 side), README.md: all that is needed to use it
report.html      what `elman inspect` saw
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch

from elman import __version__, atomic, locking, reading
from elman.data.tokenizers import Tokenizer, load_tokenizer
from elman.data.vocabularies import NAMES
from elman.errors import UserError
from elman.models import EncoderDecoder, LanguageModel, build, build_encoder_decoder
from elman.models.weights import check_shapes, load_weights, read_shapes

FORMAT = 1
TOKENIZERS = {  # of each task, by the names of their files
    "language-modelling": ("tokenizer",),
    "translation": NAMES,
}
OURS = {"config.yaml", "env.json", "metrics.jsonl", "timing.jsonl", "cache", "model", "checkpoints", ".lock"}
OURS |= {"report.html", "load.jsonl"}
REWRITE = "restore it, or go on with the run: `elman train ... --resume` writes its model/ again"
PREPARED = {".lock", "cache", "env.json", "model"}  # what a run that was killed before its first step leaves


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


def check_place(folder: Path, *, overwrite: bool) -> None:
    """See whether a new run may be made in a folder; nothing is written.

    Raises:
        UserError: there is something in it and `overwrite` is false, or what is in it is no run.
    """
    with atomic.told(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}", expected="a folder for the run", got="a file", exit_code=2)
        present = _names(folder)
        killed = ".lock" in present and present <= PREPARED  # without the lock it is somebody's
        if not present or (killed and not (folder / "model" / "model.safetensors").exists()):
            return
    if not overwrite:
        begun = "config.yaml" in present
        remedy = (
            "go on with it (--resume), replace it (--overwrite)" if begun else "replace what is there (--overwrite)"
        )
        raise UserError(f"{folder} already exists", remedy=f"{remedy} or choose another place (-o)", exit_code=2)
    if "config.yaml" not in present and not present <= OURS:
        raise UserError(f"{folder} is no run: it is not overwritten", remedy="choose another place (-o)", exit_code=2)


def clear(folder: Path) -> None:
    """Remove a run, but neither its lock, nor its cache (which checks itself), nor what is not ours."""
    # config.yaml first: what a kill leaves of the rest is not taken for a run that can go on.
    others = OURS - {".lock", "cache", "config.yaml"}
    atomic.remove([folder / "config.yaml", *(folder / name for name in sorted(others))])


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep a run folder to one process, making it where it is not there.

    The lock goes with the process, however it ends. Where there is no run (no config.yaml) in the end, what was
    made goes, and what was there before stays.

    Raises:
        UserError: another process is training in it.
    """
    with atomic.told(folder):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        before = _names(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / ".lock").exists():
            reading.check_file(folder / ".lock", remedy="remove it")
        file = (folder / ".lock").open("a")
    with file:
        with atomic.told(folder):
            alone = locking.lock(file)
        if not alone:
            remedy = "wait for it, or choose another place (-o)"
            raise UserError(f"another process is training in {folder}", remedy=remedy)
        try:
            yield
        finally:
            if not (folder / "config.yaml").exists():
                with contextlib.suppress(OSError, UserError):
                    atomic.remove(folder / name for name in OURS - before)
                    for path in made:
                        path.rmdir()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
