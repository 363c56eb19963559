"""The story of an import: a model of another framework becomes a run. Read it from top to bottom."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Literal

import safetensors.torch
from torch import nn

from elman import __version__, atomic, model_folders, run_folders, runs
from elman.data.tokenizers.foreign import read_tokenizer
from elman.errors import UserError
from elman.interop.imported import Imported, ImportOptions
from elman.models.layered import LayeredModel
from elman.models.weights import check_shapes
from elman.reading import check_file, place_of
from elman.runs import Run
from elman.settings import POSITIONS
from elman.tasks import TASKS, Task
from elman.tasks.configuration import called, find_task
from elman.tasks.exchange import Adopted, Particulars, Say

READERS = {  # of each kind of file: the place of its reader, and what it is for people
    "keras": "elman.interop.keras_files.read_keras",
    "onnx": "elman.interop.onnx_files.read_onnx",
    "torch": "elman.interop.torch_files.read_torch",
}
KINDS = "a .keras file, an .h5 file of Keras, an ONNX graph, or a state dict of torch (.safetensors, .pt)"
HDF5, ONNX = b"\x89HDF\r\n\x1a\n", b"\x08"  # how files begin; a graph begins with its version
MOST_LABELS = 1 << 24  # bytes of a file of labels


def import_model(
    file: str | Path,
    out: str | Path | None = None,
    *,
    task: str = "auto",
    tokenizer: str | Path | None = None,
    labels: str | Path | Sequence[str] | None = None,
    layers: str | Path | None = None,
    window: int | None = None,
    leading: Literal["state", "zero"] = "state",
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> Run:
    """Make a run of a model of another framework: Keras, ONNX or torch.

    `run.model(inputs)[0]` is the framework's own output, its softmax included. The run can be evaluated, inspected,
    trained further (`elman.fit(data, start=run)`) and exported.

    Args:
        file: a `.keras` file, an `.h5` file of Keras, an ONNX graph, or a state dict of torch in `.safetensors`, or in
            `.pt` as far as `torch.load(weights_only=True)` reads it.
        out: the run's folder; without one the run lives in a temporary folder that goes with the `Run`.
        task: the name of the task; with "auto" the layers decide.
        tokenizer: a file that makes numbers of texts as the model's training did: elman's tokenizer.json, one of
            Hugging Face's tokenizers, a token a line, or the word_index of Keras as JSON. Without one, texts are
            numbers of tokens with blanks between them.
        labels: the names of the outputs in order, or a file with one a line.
        layers: a YAML or JSON file that describes the layers of a state dict; see `elman import --help`.
        window: how many steps of a series a forecaster reads.
        leading: of Keras, the outputs at masked steps before a row's first real one: the state's ("state", on JAX) or
            zeros ("zero", on torch and TensorFlow).
        overwrite: replace the run in `out`.
        say: told which task the layers decide for, and what was guessed, folded, or is not in the file.

    Raises:
        UserError: the file, or another one, is not usable, a layer is not known, or the folder is taken. Nothing is
            written then.

    >>> import elman, safetensors.torch, torch
    >>> embedding, rnn, linear = torch.nn.Embedding(9, 4), torch.nn.LSTM(4, 8), torch.nn.Linear(8, 9)
    >>> theirs = torch.nn.ModuleDict({"embedding": embedding, "rnn": rnn, "linear": linear})
    >>> safetensors.torch.save_file(theirs.state_dict(), "theirs.safetensors")
    >>> run = elman.import_model("theirs.safetensors", task="language-modelling")
    >>> tokens = torch.tensor([[3, 1, 4]])
    >>> outputs = linear(rnn(embedding(tokens[0]))[0])
    >>> torch.allclose(run.model(tokens)[0][0], outputs, atol=1e-6)
    True
    """
    path = Path(file)
    names = _read_labels(labels)
    if window is not None and not 1 <= window <= POSITIONS:
        raise UserError("window", expected=f"from 1 to {POSITIONS:,} steps", got=window, exit_code=2)
    named = None if task == "auto" else find_task(called(task))
    if out is not None:
        run_folders.check_place(Path(out), overwrite=overwrite)
    options = ImportOptions(
        task=None if named is None else named.name,
        whole=None if named is None else named.whole,
        labels=None if names is None else len(names),
        layers=None if layers is None else str(layers),
        leading=leading,
    )
    read = _read(path, options)
    network = _network(path, read)
    chosen = named or _recognised(network, say)
    size = network.config["input"].get("vocab_size")
    if tokenizer is not None and size is None:
        raise UserError("tokenizer", expected="none, for the model reads values", got=f"{tokenizer}")
    words = None if tokenizer is None else read_tokenizer(Path(tokenizer), size, say)
    adopted = chosen.adopt(network, Particulars(words, names, window or read.steps))
    model = chosen.build(adopted.config)
    model.get_submodule("network").load_state_dict(network.state_dict())
    for note in (*read.notes, *adopted.notes):
        say(note)
    with runs.place_of(out) as folder:
        with _whole(folder, overwrite) as made:
            _write(made, folder.name, path, read, chosen, adopted, model)
        run = runs.load(folder)
    if out is None:
        run.remove_with_me()
    return run


def _read(path: Path, options: ImportOptions) -> Imported:
    """The layers of a file, by the reader of its kind."""
    module, _, name = READERS[kind_of(path)].rpartition(".")
    read: Imported = getattr(import_module(module), name)(path, options)
    return read


def kind_of(path: Path) -> str:
    """The kind of a file, "keras", "onnx" or "torch", by its content. Raises `UserError` for any other file."""
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(HDF5):
            return "keras"
        if head.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
            if "config.json" in members:
                return "keras"
            if any(name.endswith("/data.pkl") or name == "data.pkl" for name in members):
                return "torch"
        elif head[8:9] == b"{" or path.suffix in (".safetensors", ".pt", ".pth", ".bin"):
            return "torch"
        elif head.startswith(ONNX) or path.suffix == ".onnx":
            return "onnx"
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} is damaged ({error})") from None
    raise UserError(f"{path}", expected=KINDS, got="a file that is none of them", exit_code=2)


def _network(path: Path, read: Imported) -> LayeredModel:
    """The layers with their weights."""
    network = LayeredModel(read.config)
    check_shapes(network, {name: tuple(tensor.shape) for name, tensor in read.tensors.items()}, path)
    network.load_state_dict(read.tensors)
    return network.eval()


def _recognised(network: LayeredModel, say: Say) -> Task:
    """The task that the layers decide for."""
    reasons = [(task, task.recognises_network(network)) for task in TASKS.values()]
    found = [(task, reason) for task, reason in reasons if reason is not None]
    if not found:
        config = network.config
        what = f"{config['outputs']} {config['output_kind']} {'at every step' if config['per_step'] else 'of a whole'}"
        able = [task.name for task in TASKS.values() if type(task).adopt is not Task.adopt]
        raise UserError(f"no task has a model of {what}", remedy=f"name the task: --task {', '.join(able)}")
    (task, reason), *others = found
    more = [f"it could be {other.name} too (--task {other.name}): {why}" for other, why in others]
    say("; ".join([f"recognised as {task.name}: {reason}", *more]))
    return task


def _read_labels(labels: str | Path | Sequence[str] | None) -> list[str] | None:
    """The names of the outputs. Raises `UserError` where a file cannot be read, or a name is empty."""
    if labels is None or not isinstance(labels, str | Path):
        return None if labels is None else [str(name) for name in labels]
    path = Path(labels)
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file", exit_code=2)
        if path.stat().st_size > MOST_LABELS:
            raise UserError(f"{path}", expected=f"at most {MOST_LABELS:,} bytes of labels", got=path.stat().st_size)
        names = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {place_of(error)}") from None
    if not names or not all(name.strip() for name in names):
        raise UserError(f"{path}", expected="a label a line", got="an empty line")
    return names


@contextmanager
def _whole(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder that becomes the run's when the block ends well; else nothing is left of it."""
    with atomic.told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield made
        if run_folders.is_locked(folder):
            raise UserError(f"another process is training in {folder}", remedy="choose another place (-o)")
        run_folders.clear(folder)
        with atomic.told(folder):
            folder.mkdir(exist_ok=True)
            (made / "model").replace(folder / "model")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(made: Path, name: str, path: Path, read: Imported, task: Task, adopted: Adopted, model: nn.Module) -> None:
    framework = read.config.get("framework") or kind_of(path)
    notes = "".join(f"- {note}\n" for note in (*read.notes, *adopted.notes))
    about = f"""A model of {framework} ({task.name}), imported from `{path.name}` by elman {__version__}.

{task.usage.format(run=name)}
{notes}"""
    folder = made / "model"
    folder.mkdir()
    model_folders.write_files(folder, name, task.name, adopted.config, adopted.codecs, about)
    with atomic.told(folder):
        safetensors.torch.save_model(model, str(folder / "model.safetensors"))
