"""When a training validates and saves, and how much of a time budget it keeps for its end."""

from __future__ import annotations

import math

from elman.train.training import Training

VALIDATIONS = 10  # in a budget, where validate_every is 0
VALIDATION_SHARE = 0.05  # of a time budget, at most
VALIDATED_SHARE = 0.5  # of the targets read to learn, as many are read to validate, in a budget of steps or epochs
CHECKPOINT_SECONDS = 30.0
FORWARD_SHARE = 1 / 3  # of a step's time, to read as many targets without learning: backward takes twice as long


class Rhythm:
    """When to validate and when to save.

    Validations fall on fixed steps, so that a resumed training validates at the same steps as an uninterrupted one.
    Only under a budget of seconds, which no two runs spend alike, do they go by the clock. Checkpoints change nothing
    in a training, so they may go by the clock.

    A budget of seconds is for the whole training: its steps, and the learning-rate schedule, end in time for the last
    validation and the last checkpoint.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        settings, budget, objective = training.settings, training.budget, training.objective
        steps = {
            "steps": budget.amount,
            "epochs": budget.amount * objective.batches(0) / settings.accumulate,
            "seconds": 0,
        }[budget.unit]
        # A validation set that is large beside the training set is read less often.
        learnt = steps * settings.accumulate * objective.training_size / objective.batches(0)
        affordable = int(VALIDATED_SHARE * learnt / max(1, objective.validation_size))
        self.every = settings.validate_every or math.ceil(steps / max(1, min(VALIDATIONS, affordable)))
        self.begun = training.progress
        self.warm: tuple[float, int] | None = None  # seconds and targets after this session's first step
        self.next = self.begun + 1 / VALIDATIONS
        self.first = not self.every
        self.last_save = training.seconds
        self.planned = training.counters.reserved  # by an earlier session
        self.validating: float | None = None  # seconds of the last validation
        self.saving = 0.0  # seconds of the last checkpoint

    def validation_due(self) -> bool:
        """Whether to validate now; call `validated` afterwards."""
        if self.every:
            return self.training.counters.step % self.every == 0
        progress = self.training.progress
        if self.first and self.next <= progress:
            seconds = self._estimate()
            if seconds is None:
                return False
            self.first = False
            self.next = max(self.next, self.begun + seconds / self.training.budget.amount / VALIDATION_SHARE)
        return self.next <= progress < 1

    def validated(self, seconds: float) -> None:
        """Plan the next validation: the slower the last one was, the later the next one is due."""
        self.validating = seconds
        if not self.every:
            share = seconds / self.training.budget.amount
            self.next = self.training.progress + max(1 / VALIDATIONS, share / VALIDATION_SHARE)

    def reserve(self) -> float:
        """Seconds of a time budget to keep for the end; call this after every step.

        They suffice for a validation as long as the last one, as an earlier session planned, or as the steps suggest.
        """
        if self.training.budget.unit != "seconds":
            return 0.0
        if self.warm is None:
            self.warm = self.training.seconds, self.training.counters.targets
        if self.validating is not None:
            return self.validating + self.saving
        return self.planned or (self._estimate() or 0.0) + self.saving

    def _estimate(self) -> float | None:
        """Seconds of a validation, estimated from this session's steps without its slow first one; None: too early."""
        if self.warm is None or self.training.counters.targets == self.warm[1]:
            return None
        spent, read = self.training.seconds - self.warm[0], self.training.counters.targets - self.warm[1]
        return FORWARD_SHARE * spent * self.training.objective.validation_size / read

    def checkpoint_due(self) -> bool:
        """Whether to save now; call `saved` afterwards."""
        counters, every = self.training.counters, self.training.settings.checkpoint_every
        if every and counters.step % every == 0:
            return True
        return counters.validated_at == counters.step or self.training.seconds - self.last_save > CHECKPOINT_SECONDS

    def saved(self, seconds: float) -> None:
        """Note the seconds that a checkpoint took, and count the time to the next one from now on."""
        self.saving = seconds
        self.last_save = self.training.seconds
