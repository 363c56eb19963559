"""One step of a training, on an objective without data or model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from elman.distributed import Ranks
from elman.errors import UserError
from elman.state import State
from elman.tasks.language_modelling.settings import TextTraining
from elman.train.events import Event, Finished, Step, Validated
from elman.train.journal import read
from elman.train.loop import fit, steps
from elman.train.objective import Loss, Place
from elman.train.schedule import Budget
from elman.train.training import Training


@dataclass
class Track:
    """Follow a target: loss (w - target)^2 of each batch, with a counter for a memory; some batches are bad."""

    count: int = 5
    training_size: int = 9
    validation_size: int = 0
    metric: str = "loss"
    adaptive: None = None
    bad: dict[int, float] = field(default_factory=dict)  # reads so far -> what the loss is multiplied by
    validations: list[float] = field(default_factory=list)  # the losses to report; else the true one
    sizes: tuple[int, ...] = (2, 2, 2, 2, 1)  # targets of each batch
    reads: int = 0
    seen: list[tuple[int, float | None]] = field(default_factory=list)

    def batches(self, epoch: int) -> int:
        return self.count

    def cost(self, metrics: dict[str, float]) -> float:
        return metrics["loss"]

    def describe(self, metrics: dict[str, float]) -> str:
        return f"{metrics['loss']:.4f}"

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        batch = place.batch
        assert state is None or isinstance(state, Tensor)
        self.seen.append((batch, None if state is None else state.item()))
        h = torch.zeros(1) if state is None else state
        factor = self.bad.get(self.reads, 1.0)
        self.reads += 1
        mean = ((model.get_parameter("w") - batch) ** 2).mean() * factor
        return Loss(mean, self.sizes[batch], (h + 1) * factor)

    def validate(self, model: nn.Module) -> dict[str, float]:
        if self.validations:
            return {"loss": self.validations.pop(0)}
        return {"loss": (model.get_parameter("w") ** 2).mean().item()}

    def initial_state(self, model: nn.Module) -> State:
        return torch.zeros(1)


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[10.0, -10.0]]))


def training(task: Track | None = None, steps: float = 10, **settings: Any) -> Training:
    settings = {"schedule": "constant", "warmup": 0.0, "clip": "none", "optimizer": "sgd", "weight_decay": 0} | settings
    return Training(Weight(), task or Track(), TextTraining(**settings), Budget(steps, "steps"))


def test_the_memory_is_carried_within_an_epoch_and_fresh_in_the_next() -> None:
    made = training()
    for _ in range(7):
        made.step()
    assert isinstance(made.objective, Track)
    assert made.objective.seen == [(0, None), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (0, None), (1, 1.0)]
    assert made.epochs == 1 + 2 / 5


def test_accumulated_gradients_are_those_of_all_targets_together() -> None:
    made = training(accumulate=5, learning_rate=0.25)
    before = made.parameters[0].detach().clone()
    step = made.step()
    mean = sum(size * (before - batch) for batch, size in enumerate(Track().sizes)) / 9
    torch.testing.assert_close(made.parameters[0].detach(), before - 0.25 * mean)  # d/dw of a mean of two squares
    losses = [((before - batch) ** 2).mean().item() for batch in range(5)]
    assert step.loss == pytest.approx(sum(n * x for n, x in zip(Track().sizes, losses, strict=True)) / 9)
    assert step.targets == 9


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_bad_step_is_counted_and_leaves_no_trace(bad: float, optimizer: str) -> None:
    made = training(Track(bad={2: bad}), optimizer=optimizer, average=0.9, clip="adaptive", momentum=0.5)
    made.step()
    made.step()
    before = made.to_checkpoint()
    before.tensors = {name: tensor.clone() for name, tensor in before.tensors.items()}
    step = made.step()
    assert step.skipped
    assert (made.counters.skipped, made.counters.step) == (1, 3)
    assert made.carried is None, "the memory read with it may be bad too"
    after = made.to_checkpoint()
    for name, tensor in after.tensors.items():
        assert torch.equal(tensor, before.tensors[name]), name
    assert after.values.norms == before.values.norms
    assert not made.step().skipped
    assert made.counters.bad_in_a_row == 0
    assert all(tensor.isfinite().all() for tensor in made.to_checkpoint().tensors.values())


def test_a_finite_gradient_of_a_loss_that_is_not_is_skipped_too() -> None:
    class Constant(Track):
        def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
            good = super().loss(model, place, state)
            return good._replace(mean=good.mean + math.inf)

    made = training(Constant(), clip="adaptive")
    step = made.step()
    assert step.gradient.finite
    assert step.skipped
    assert step.gradient.norm_before == step.gradient.norm_after > 0
    assert not made.clipper.norms, "what was not taken is no example of a norm"
    assert all(parameter.grad is None for parameter in made.parameters)


def test_the_clipper_knows_the_steps_that_were_taken() -> None:
    class Now(Track):
        """Every other loss is not finite, and its gradient is 100 times as large as it was."""

        def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
            good = super().loss(model, place, state)
            return good._replace(mean=good.mean * 100 + math.inf) if self.reads % 2 else good

    made = training(Now(), clip="adaptive", clip_percentile=100, learning_rate=1e-3)
    steps = [made.step() for _ in range(6)]
    assert [step.skipped for step in steps] == [True, False] * 3
    assert list(made.clipper.norms) == [step.gradient.norm_before for step in steps if not step.skipped]


def test_a_training_on_the_cpu_leaves_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_rng_state", None)
    monkeypatch.setattr("torch.cuda.set_rng_state", None)
    made = training()
    made.step()
    checkpoint = made.to_checkpoint()
    assert "random.cuda" not in checkpoint.tensors
    checkpoint.tensors["random.cuda"] = torch.zeros(16, dtype=torch.uint8)  # of a training that was on a GPU
    made.restore(checkpoint)


def test_too_many_bad_steps_in_a_row_end_it() -> None:
    made = training(Track(bad=dict.fromkeys((0, 1, 3, 4, 5), math.nan)), max_bad_steps=3)
    for _ in range(5):
        made.step()
    with pytest.raises(UserError, match=r"not finite in 3 steps in a row, up to step 6; .*lower learning rate"):
        made.step()


def test_the_rate_follows_the_budget() -> None:
    made = training(learning_rate=2.0, schedule="linear", warmup=0.5, steps=4)
    assert [made.step().learning_rate for _ in range(4)] == [0.002, 1.0, 2.0, 1.0]


def test_steps_need_no_folder_and_are_those_that_fit_writes_down(tmp_path: Path) -> None:
    alone = list(steps(training(steps=7)))
    assert [event for event in fit(training(steps=7), tmp_path) if isinstance(event, Step)] == alone
    assert len(alone) == 7
    made = training(steps=7)
    assert len(list(steps(made, stop=lambda: made.counters.step == 3))) == 3
    assert made.progress < 1


def events(made: Training, folder: Path) -> list[Event]:
    return list(fit(made, folder))


def test_the_loop_tells_and_writes_the_same(tmp_path: Path) -> None:
    told = events(training(Track(bad={3: math.nan}), steps=6, validate_every=3, clip="norm"), tmp_path)
    assert [type(event).__name__ for event in told] == [
        *["Step"] * 3,
        "Validated",
        *["Step"] * 3,
        "Validated",
        "Finished",
    ]
    records = list(read(tmp_path / "metrics.jsonl"))
    steps = [event for event in told if isinstance(event, Step)]
    assert [r["step"] for r in records if "loss" in r] == [1, 2, 3, 4, 5, 6]
    assert [r["skipped"] for r in records if "loss" in r] == [s.skipped for s in steps]
    assert [r["loss"] for r in records if "loss" in r][3] is None
    assert records[0]["clipped_norm"] == 1.0
    validations = [event for event in told if isinstance(event, Validated)]
    assert [r["validation"] for r in records if "validation" in r] == [v.metrics for v in validations]
    assert (tmp_path / "model" / "model.safetensors").exists()


def shipped(folder: Path) -> torch.Tensor:
    return safetensors.torch.load_file(folder / "model" / "model.safetensors")["w"]


def test_patience(tmp_path: Path) -> None:
    made = training(Track(validations=[3, 2, 2.5, 2, 1]), steps=50, validate_every=2, patience=2)
    *_, last = events(made, tmp_path)
    assert isinstance(last, Finished)
    assert (last.reason, last.step, last.best) == ("patience", 8, 2)


def test_ntasgd_begins_to_average_when_it_stops_improving(tmp_path: Path) -> None:
    made = training(
        Track(validations=[3, 2, 1, 2.5, 2, 2]), steps=6, validate_every=1, optimizer="ntasgd", nonmonotone=1
    )
    updates = []
    for event in fit(made, tmp_path):
        if isinstance(event, Step):
            updates.append(made.average.updates if made.average else None)
    assert updates == [None, None, None, None, 1, 2]


def test_the_average_is_what_is_shipped(tmp_path: Path) -> None:
    made = training(steps=4, average=0.9, learning_rate=0.3, validate_every=4)
    events(made, tmp_path)
    assert made.average is not None
    assert torch.equal(shipped(tmp_path), made.average.average[0])
    assert not torch.equal(shipped(tmp_path), made.parameters[0])


def test_stopped_before_any_validation_there_is_a_model_all_the_same(tmp_path: Path) -> None:
    made = training(steps=50, validate_every=50)
    *_, last = fit(made, tmp_path, stop=lambda: made.counters.step == 3)
    assert isinstance(last, Finished)
    assert (last.reason, last.step) == ("stopped", 3)
    assert torch.equal(shipped(tmp_path), made.parameters[0])
    again = training(steps=50, validate_every=50)
    list(fit(again, tmp_path, stop=lambda: again.counters.step == 5))
    assert again.resumed_step == 3
    assert torch.equal(shipped(tmp_path), again.parameters[0])


def test_the_best_weights_are_not_given_up_for_the_last(tmp_path: Path) -> None:
    made = training(Track(validations=[3, 5, 5, 5]), steps=2, validate_every=1)
    list(fit(made, tmp_path))
    best = shipped(tmp_path)
    assert not torch.equal(best, made.parameters[0])
    again = training(Track(validations=[5, 5, 5]), steps=4, validate_every=1)
    list(fit(again, tmp_path))
    assert torch.equal(shipped(tmp_path), best)


def test_of_weights_that_score_alike_the_later_ones_are_kept(tmp_path: Path) -> None:
    made = training(Track(validations=[2, 1, 1]), steps=3, validate_every=1)
    assert [event.improved for event in fit(made, tmp_path) if isinstance(event, Validated)] == [True, True, True]
    assert torch.equal(shipped(tmp_path), made.parameters[0])
    assert made.counters.since_best == 1  # nothing was gained, as far as patience goes


def test_a_validation_that_is_not_finite_is_never_the_best(tmp_path: Path) -> None:
    made = training(Track(validations=[math.nan, 5.0, math.nan]), steps=3, validate_every=1)
    assert [event.improved for event in fit(made, tmp_path) if isinstance(event, Validated)] == [False, True, False]
    assert made.counters.best == 5.0


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    list(fit(training(), tmp_path))
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no whole checkpoint is left"):
        list(fit(training(), tmp_path))
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics


@pytest.mark.parametrize(("validation_size", "validations"), [(0, 10), (18, 5), (10**9, 1)])
def test_a_large_validation_set_is_read_less_often(tmp_path: Path, validation_size: int, validations: int) -> None:
    """A hundred steps of nine fifths of a target each learn from 180; at most half as many are read to validate."""
    events = list(fit(training(Track(validation_size=validation_size), steps=100), tmp_path))
    assert len([event for event in events if isinstance(event, Validated)]) == validations


class Divided(Track):
    def divide(self, ranks: Ranks) -> None:
        self.ranks = ranks


def test_a_measurement_that_needs_whole_weights_is_refused_where_they_are_sharded() -> None:
    objective = Divided()
    objective.adaptive = object()  # type: ignore[assignment]
    settings = TextTraining(sharded=True)
    with pytest.raises(UserError, match="k2: expected a number with sharded, got auto, which needs whole weights"):
        Training(nn.Linear(1, 1), objective, settings, Budget(1, "steps"), ranks=Ranks(1, 2))  # type: ignore[arg-type]
    assert objective.ranks.together
