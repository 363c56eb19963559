"""A task is one folder and one line: one that is defined here alone is used by every command as it is.

It forecasts the next number of a series from all before it, with a recurrent layer of `elman.nn`: one number a line in
a file that ends in `.series`; its loss is a squared error, and it has no tokens, no tokenizer and no vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from tests.resuming import assert_interruptions_change_nothing
from torch import Tensor, nn
from torch.nn import functional as F

import elman
from elman.cli import completion
from elman.cli import run as command
from elman.errors import UserError
from elman.inspection import Look, Part
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.nn import GRU, Elman
from elman.reading import read_json
from elman.report import Chapter, line_chart
from elman.report import Line as Curve
from elman.settings import UNITS, Section
from elman.state import State
from elman.tasks import TASKS, Task
from elman.tasks.configuration import Settings, build
from elman.tasks.exchange import (
    NONE,
    Answer,
    Choice,
    Evaluation,
    Inputs,
    Progress,
    Say,
    Sources,
    Trained,
    ValidationScores,
)
from elman.tasks.listening import Listener, Memory, Work
from elman.tasks.sizing import fill
from elman.train.objective import Loss, Place
from elman.train.settings import Optimization

SIZES = {"gru": 16, "elman": 24}  # that suit a budget of seconds
BLOCK = 8  # values


class SeriesSettings(Section):
    """Which series, and how much of its end is held out."""

    source: str = ""
    valid: str | None = None
    held_out: float = Field(0.25, gt=0, lt=1)
    fingerprint: str = ""


class ForecastTraining(Optimization):
    """A batch is a stretch of steps in every lane."""

    lanes: int = Field(4, ge=1)
    stretch: int = Field(8, ge=1)


class ForecasterSettings(Section):
    """The size of its layer."""

    hidden_size: int = Field(16, ge=1, le=UNITS)


class Horizon(Section):
    """What is asked of a forecaster."""

    horizon: int = Field(1, ge=1, le=1000, description="Steps to look ahead.")


@dataclass(frozen=True)
class Scale:
    """Numbers of people as a model has them, and back."""

    mean: float
    deviation: float

    def to_json(self) -> dict[str, Any]:
        return vars(self)


@dataclass(frozen=True)
class Series:
    """What is learnt from, and what is validated on."""

    train: Tensor
    valid: Tensor
    scale: Scale
    fingerprint: str


class Forecaster(nn.Module):
    """Each next value (B, T) from those up to it."""

    def __init__(self, model: str, hidden_size: int) -> None:
        super().__init__()
        self.config = {"model": model, "hidden_size": hidden_size}
        self.layer = {"gru": GRU, "elman": Elman}[model](1, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, values: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        hidden, h = self.layer(values[..., None], None if state is None else state[None])
        return self.output(hidden)[..., 0], h[0]


@dataclass
class NextValue:
    """The objective: the squared error of the next value, in lanes."""

    series: Series
    train: ForecastTraining
    metric: str = field(default="loss", init=False)
    adaptive: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.steps = (len(self.series.train) - 1) // self.train.lanes
        self.training_size, self.validation_size = self.steps * self.train.lanes, len(self.series.valid) - 1

    def batches(self, epoch: int) -> int:
        return -(-self.steps // self.train.stretch)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        begin = place.batch * self.train.stretch
        steps = torch.arange(begin, min(begin + self.train.stretch, self.steps))
        at = torch.arange(self.train.lanes)[:, None] * self.steps + steps  # (B, T)
        forecast, after = model(self.series.train[at], state)
        return Loss(F.mse_loss(forecast, self.series.train[at + 1]), at.numel(), after.detach())

    def validate(self, model: nn.Module) -> dict[str, float]:
        errors = squared_errors(model, self.series.valid)
        return {"loss": float(errors.mean())}

    def cost(self, metrics: dict[str, float]) -> float:
        return metrics["loss"]

    def describe(self, metrics: dict[str, float]) -> str:
        return f"{metrics['loss']:.3f} squared error a value"

    def initial_state(self, model: nn.Module) -> State:
        return torch.zeros(self.train.lanes, model.config["hidden_size"])  # type: ignore[index]


@torch.no_grad()
def squared_errors(model: nn.Module, values: Tensor) -> Tensor:
    forecast, _ = model(values[None, :-1])
    return (forecast[0] - values[1:]).double() ** 2


@torch.no_grad()
def forecast(model: nn.Module, values: Tensor, horizon: int) -> list[float]:
    """What comes after a series, each value from the model's own last."""
    ahead, state = model(values[None])
    found = [ahead[:, -1:]]
    for _ in range(horizon - 1):
        ahead, state = model(found[-1], state)
        found.append(ahead)
    return [float(value) for value in found]


def read_series(path: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return np.array([float(line) for line in Path(path).read_text().split()])
    except ValueError as error:
        raise UserError(path, expected="a number a line", got=str(error)) from None


class SeriesListener(Listener):
    """Series of many sessions, which are told a value at a time."""

    def __init__(self, run: Trained) -> None:
        self.model, self.scale = run.model, run.scale

    def begin(self) -> Memory:
        return Memory((), {})

    @property
    def like(self) -> State:
        return torch.zeros(1, self.model.config["hidden_size"])

    def check(self, kind: str, asked: Mapping[str, Any]) -> list[float]:
        values = asked.get("values", asked.get("units"))
        if not values or not all(isinstance(value, float | int) for value in values):
            raise UserError("values", expected="numbers", got=repr(values))
        return values  # type: ignore[no-any-return]

    @torch.no_grad()
    def round(self, works: Sequence[Work]) -> None:
        for work in works:
            state, position, notes = work.memory.state, work.memory.position + len(work.request), work.memory.notes
            values = torch.tensor(work.request, dtype=torch.float32)
            ahead, after = self.model(
                (values - self.scale.mean)[None] / self.scale.deviation, state if isinstance(state, Tensor) else None
            )
            work.units, work.memory = work.request, Memory(after, notes, position)
            work.answer = {
                "position": position,
                "forecast": self.scale.mean + self.scale.deviation * float(ahead[0, -1]),
            }


class Forecasting(Task):
    """The next number of a series."""

    name = "continuation"
    title = "a forecaster"
    synonyms = "extrapolation go_on"
    reads = "A series: a number a line in a .series."
    target = "value"
    unit = "squared error"
    sample = ("this", "series")
    data = SeriesSettings
    models: ClassVar[Mapping[str, type[Section]]] = {"gru": ForecasterSettings, "elman": ForecasterSettings}
    kind = "gru"
    train = ForecastTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": Horizon, "predict": Horizon}
    codec_names = ("scale",)
    parts = ("forecasts", "clipping")
    usage = "    elman predict {run} FILE\n"
    batch = ("lanes", "stretch")
    scores: ClassVar[Mapping[str, str]] = {"root_mean_square": "RMS"}

    def recognises(self, data: Sources, valid: Sources) -> str | None:
        return "it ends in .series" if len(data) == 1 and str(data[0]).endswith(".series") else None

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        return {"source": data[0], "valid": valid[0] if valid else None}

    def check(self, settings: Settings) -> None:
        for path in filter(None, (settings.data.source, settings.data.valid)):
            if not Path(path).is_file():
                raise UserError(f"{path}: no such series", exit_code=2)

    def corpus(
        self, settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
    ) -> Series:
        data = settings.data
        values = read_series(data.source)
        fingerprint = hashlib.sha256(values.tobytes()).hexdigest()
        if data.fingerprint not in ("", fingerprint):
            raise UserError(f"{data.source} is another series now")
        held_out = read_series(data.valid) if data.valid else values[-math.ceil(len(values) * data.held_out) :]
        kept = values if data.valid else values[: -len(held_out)]
        scale = codecs.get("scale") or Scale(float(kept.mean()), float(kept.std()))
        parts = [torch.tensor((part - scale.mean) / scale.deviation, dtype=torch.float32) for part in (kept, held_out)]
        return Series(*parts, scale, fingerprint)

    def describe(self, corpus: Series) -> str:
        return f"{len(corpus.train)} and {len(corpus.valid)} values"

    def choose(self, settings: Settings, corpus: Series) -> Choice:
        model = fill(settings.model, settings.model, hidden_size=SIZES[settings.kind])
        train = fill(settings.train, settings.train, learning_rate=0.02)
        chosen = build(settings.model_copy(update={"model": model, "train": train}).model_dump())
        return Choice(chosen, f"chosen: {model.hidden_size} units\nbecause: series are small")

    def model_config(self, settings: Settings, corpus: Series) -> dict[str, Any]:
        return {"model": settings.kind, **settings.model.model_dump()}

    def build(self, config: Mapping[str, Any]) -> Forecaster:
        return Forecaster(**config)

    def objective(self, settings: Settings, corpus: Series) -> NextValue:
        return NextValue(corpus, settings.train)

    def read_codecs(self, folder: Path, model: nn.Module) -> Mapping[str, Any]:
        return {"scale": read_json(folder / "scale.json", Scale)}

    def evaluate(self, run: Trained, data: Sources, options: Horizon, say: Say, progress: Progress) -> Evaluation:
        values = self._scaled(run, read_series(data[0]))
        starts = range(1, len(values) - options.horizon + 1)
        errors = [
            forecast(run.model, values[:n], options.horizon)[-1] - values[n + options.horizon - 1] for n in starts
        ]
        loss = float(np.mean(np.square(errors)))
        return Evaluation({"loss": loss, "horizon": options.horizon}, [("loss", f"{loss:.4f} squared error a value")])

    def predict(self, run: Trained, inputs: Inputs, options: Horizon, say: Say) -> Iterator[Answer]:
        scale = run.scale
        for number, line in enumerate((line for block in inputs.arriving for line in block), start=1):
            try:
                values = self._scaled(run, np.array([float(word) for word in line.text.split()]))
            except ValueError as error:
                yield Answer(number, None, [""], {"error": str(error)}, str(error))
                continue
            found = [scale.mean + scale.deviation * value for value in forecast(run.model, values, options.horizon)]
            yield Answer(number, found, [" ".join(f"{value:.3f}" for value in found)], {"forecast": found})

    def listener(self, run: Trained, options: Mapping[str, Any] = NONE) -> SeriesListener:
        return SeriesListener(run)

    def _scaled(self, run: Trained, values: Any) -> Tensor:
        return torch.tensor((values - run.scale.mean) / run.scale.deviation, dtype=torch.float32)

    @property
    def looks(self) -> Mapping[str, Look]:
        clipping = Look(lambda observed: look_at_journal(observed), has_no_journal)
        return {"forecasts": Look(look_at_forecasts), "clipping": clipping}

    def observe(self, run: Trained, data: Sources) -> Observation:
        place = data[0] if data else run.settings.data.source  # type: ignore[union-attr]
        return Observation(run.path, run.model, self._scaled(run, read_series(place)), Path(place).name)

    def measure(self, model: nn.Module, corpus: Series) -> ValidationScores:
        errors = squared_errors(model, corpus.valid).numpy()
        edges = np.arange(0, len(errors), BLOCK)
        losses, counts = (np.add.reduceat(each, edges) for each in (errors, np.ones(len(errors))))
        return ValidationScores(losses, counts, {"root_mean_square": float(errors.mean()) ** 0.5})

    def counts(self, corpus: Series) -> dict[str, int]:
        return {"training_values": len(corpus.train), "validation_values": len(corpus.valid)}

    def training_targets(self, corpus: Series) -> int:
        return len(corpus.train) - 1


@dataclass(frozen=True)
class Observation:
    """A forecaster and a series."""

    path: Path
    model: Any
    values: Tensor
    name: str

    @property
    def facts(self) -> list[tuple[str, str]]:
        return [("series", self.name)]

    @property
    def about(self) -> dict[str, Any]:
        return {"series": self.name}


def look_at_forecasts(observed: Observation) -> Part:
    errors = squared_errors(observed.model, observed.values).numpy()
    figure = line_chart(
        [Curve("squared error", np.arange(len(errors)), errors)],
        title="Errors",
        x="step",
        y="error",
        reading="Less is more.",
    )
    return Part(Chapter("Forecasts", "How far they are off.", [figure]), {"errors": errors}, ["looked at forecasts"])


@pytest.fixture(autouse=True)
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(TASKS, "continuation", Forecasting())


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "waves.series"
    path.write_text("".join(f"{20 + 5 * math.sin(step / 3):.4f}\n" for step in range(240)))
    return path


@pytest.fixture
def trained(series: Path, tmp_path: Path) -> Path:
    """A run of a good forecaster."""
    folder = tmp_path / "run"
    assert command(["train", str(series), "-o", str(folder), "--steps", "150"]) == 0
    return folder


def test_what_was_recognised_is_said(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every reason, unless somebody names the task."""
    train = ["train", str(series), "-o", str(tmp_path / "run"), "--steps", "1", "--overwrite"]
    said = "recognised as continuation: it ends in .series; it could be language-modelling too "
    assert command(train) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"{said}(--task language-modelling): {series} holds text\n")
    assert command([*train, "--task", "continuation"]) == 0
    assert "recognised as" not in capsys.readouterr().err
    compare = ["compare", str(series), "-o", str(tmp_path / "c"), "--steps", "1", "--parameters", "1534"]
    assert command(compare) == 0
    assert capsys.readouterr().err.startswith(said)
    elman.fit(series, budget="1 steps")
    assert capsys.readouterr().err.startswith(said)
    assert command([*train, "--horizon", "3"]) == 2  # its data have no such setting
    assert "no setting called 'horizon'" in capsys.readouterr().err


def test_it_trains_and_predicts(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recognised by the ending of its file, with its own first kind of model, and well enough to follow a wave."""
    config = json.loads((trained / "model" / "config.json").read_text())
    assert (config["task"], config["model"]) == ("continuation", {"model": "gru", "hidden_size": 16})
    wave = [20 + 5 * math.sin(step / 3) for step in range(63)]
    lines = tmp_path / "lines.txt"
    lines.write_text(" ".join(map(str, wave[:60])) + "\nwater\n")
    assert command(["predict", str(trained), str(lines), "--horizon", "3", "--json"]) == 1  # a line has no answer
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers[0]["forecast"] == pytest.approx(wave[60:], abs=1.5)
    assert "water" in answers[1]["error"]
    run = elman.load(trained)
    assert run.scale.mean == pytest.approx(20, abs=0.5)
    assert not hasattr(run, "tokenizer")


def test_interruptions_change_nothing(series: Path, tmp_path: Path) -> None:
    tree = {
        "task": "continuation",
        "budget": {"amount": 9, "unit": "steps"},
        "data": {"source": str(series)},
        "train": {"stretch": 16, "validate_every": 4, "checkpoint_every": 3},
    }
    assert_interruptions_change_nothing(tree, tmp_path)


def test_it_goes_on_and_is_replaced(trained: Path, series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(series), "-o", str(trained), "--json"]
    assert command([*arguments, "--steps", "155", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 155
    assert command([*arguments, "--steps", "2", "--overwrite", "--model", "elman"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "elman"
    assert command([*arguments, "--steps", "2", "--overwrite", "--tokenizer", "char"]) == 2
    assert "no setting called 'tokenizer'" in capsys.readouterr().err


def test_it_evaluates_with_its_own_option(trained: Path, series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for horizon in (1, 9):
        assert command(["evaluate", str(trained), str(series), "--horizon", str(horizon), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["horizon"] == horizon
        losses.append(report["loss"])
    assert losses[0] < min(0.2, losses[1])
    for option, of in (("--lanes", "a language model"), ("--beam", "a translation model")):
        assert command(["evaluate", str(trained), str(series), option, "4"]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"{option[2:]} is an option of `elman evaluate` for {of}: got {trained}, a forecaster" in line
    assert command(["evaluate", str(trained), str(series), "--horizon", "0"]) == 2
    assert command(["generate", str(trained), "1 2 3"]) == 2
    assert f"use it with `elman evaluate {trained}` and `elman predict {trained}`" in capsys.readouterr().err


def test_it_is_served(trained: Path, tmp_path: Path) -> None:
    """Sessions of the new task are forked, taken back, saved and restored as any others."""
    wave = [20 + 5 * math.sin(step / 3) for step in range(90)]
    run = elman.load(trained)
    scaled = run.task._scaled(run, np.array(wave))
    ahead = [forecast(run.model, scaled[:steps], 1)[0] for steps in (60, 75, 90)]
    expected = [run.scale.mean + run.scale.deviation * value for value in ahead]
    with elman.serve.Sessions(run, folder=tmp_path / "sessions") as sessions:
        session = sessions.create(values=wave[:60])
        assert session.feed(values=wave[60:75])["forecast"] == pytest.approx(expected[1], abs=1e-3)
        assert session.feed(values=wave[75:])["position"] == 90
        fork = session.fork(at=59)
        assert fork.feed(values=wave[59:60])["forecast"] == pytest.approx(expected[0], abs=1e-3)
        with pytest.raises(UserError, match="expected numbers"):
            session.feed(values=["water"])
        with pytest.raises(UserError, match="writes nothing"):
            session.generate(tokens=3)
    with elman.serve.Sessions(run, folder=tmp_path / "sessions") as sessions:
        assert sessions.restore() == 2
        again = sessions.get(session.id)
        assert again.units == wave
        again.rollback(89)
        assert again.feed(values=wave[89:])["forecast"] == pytest.approx(expected[2], abs=1e-3)


def test_a_task_without_a_listener_says_so(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forecasting, "listener", Task.listener)
    with pytest.raises(UserError, match=r"continuation is not served; serve a run of another task: language-modelling"):
        elman.serve.Sessions(trained)


def test_it_is_inspected(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["inspect", str(trained), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert len(numbers["forecasts"]["errors"]) == 239
    assert len(numbers["clipping"]["before"]) == 150
    assert numbers["series"] == "waves.series"
    assert command(["inspect", str(trained), "--parts", "forecasts"]) == 0
    assert "looked at forecasts" in capsys.readouterr().out
    assert command(["inspect", str(trained), "--parts", "attention"]) == 2


def test_its_models_are_compared(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", str(series), "-o", str(tmp_path / "c"), "--steps", "20", "--parameters", "1534"]
    assert command([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert "values/s" in captured.err
    report = json.loads(captured.out)
    assert {one["model"] for one in report["models"]} == {"elman", "gru"}  # all that the task has
    for one in report["models"]:
        assert one["interval_over"] == "series"
        assert abs(one["parameters"] - 1534) <= 30
        assert one["root_mean_square"] == pytest.approx(one["loss"] ** 0.5, rel=1e-3)
        assert not {"horizon", "left", "bits_per_character"} & one.keys()
    assert command([*arguments, "--resume", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    for heading in ("squared error a value", "RMS", "values", "training values/s"):
        assert heading in out
    page = (tmp_path / "c" / "report.html").read_text()
    for text in (out, page):
        assert "token" not in text
        assert "nats" not in text


def test_completion_and_help_know_it(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import typer
    from typer.main import get_command

    from elman.cli import app

    assert "continuation" in completion.tasks()
    assert "forecasts" in completion.parts()
    context = typer.Context(get_command(app))
    context.params = {"data": [str(series)]}
    assert "stretch=" in completion.assignment(context, "stre")
    context.params = {"task": "continuation"}
    assert "held_out=" in completion.assignment(context, "h")
    assert command(["evaluate", "--help"]) == 0
    assert "--horizon" in capsys.readouterr().out


def test_its_names_are_suggested(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", str(series), "-o", str(tmp_path / "x"), "--task", "extrapolation"]) == 2
    assert "did you mean 'continuation'" in capsys.readouterr().err
    assert command(["train", str(series), "-o", str(tmp_path / "x"), "--model", "lstm"]) == 2
    assert "no kind called 'lstm'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
