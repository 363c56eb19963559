"""When a training validates and writes checkpoints, and what it keeps of a time budget for the end."""

from __future__ import annotations

import math

from elman.train.training import Training

VALIDATIONS = 10  # in a budget, where validate_every does not say
VALIDATION_SHARE = 0.05  # of a time budget, at most
VALIDATED_SHARE = 0.5  # targets read to validate, of those read to learn, at most, in a budget of steps or epochs
CHECKPOINT_SECONDS = 30.0
FORWARD_SHARE = 1 / 3  # of a step's time, to read as many targets without learning: backward takes twice as long


class Rhythm:
    """When to validate and when to save, and how much of a time budget to keep for the end.

    Validations fall on fixed steps, so that a resumed training has them where the first one had them; only a
    budget of seconds, which no two runs spend alike, has them by the clock. Checkpoints change nothing in a
    training and may go by the clock.

    A budget of seconds is for all of a training: steps stop when what is left of it is needed for the last validation
    and the last checkpoint, and the learning rate has come to its end by then.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        settings, budget = training.settings, training.budget
        steps = {
            "steps": budget.amount,
            "epochs": budget.amount * training.objective.batches(0) / settings.accumulate,
            "seconds": 0,
        }[budget.unit]
        self.every = settings.validate_every or math.ceil(steps / self._validations(steps))
        self.begun = training.progress
        self.warm: tuple[float, int] | None = None  # seconds and targets after this session's first step
        self.next = self.begun + 1 / VALIDATIONS
        self.first = not self.every
        self.last_save = training.seconds
        self.planned = training.counters.reserved  # by an earlier session
        self.validating: float | None = None  # seconds of the last validation
        self.saving = 0.0  # and of the last checkpoint

    def _validations(self, steps: float) -> int:
        """How many validations so many steps should have; a large set is worth fewer."""
        objective = self.training.objective
        learnt = steps * self.training.settings.accumulate * objective.training_size / objective.batches(0)
        affordable = int(VALIDATED_SHARE * learnt / max(1, objective.validation_size))
        return max(1, min(VALIDATIONS, affordable))

    def validation_due(self) -> bool:
        """Whether to validate now; call `validated` after it."""
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
        """Where validating is slow, a time budget has fewer of them."""
        self.validating = seconds
        if not self.every:
            share = seconds / self.training.budget.amount
            self.next = self.training.progress + max(1 / VALIDATIONS, share / VALIDATION_SHARE)

    def reserve(self) -> float:
        """Seconds of a time budget to keep for the end; call it after every step.

        For a validation as long as the last one; before there is one, as long as an earlier session planned or as the
        steps tell.
        """
        if self.training.budget.unit != "seconds":
            return 0.0
        if self.warm is None:
            self.warm = self.training.seconds, self.training.counters.targets
        if self.validating is not None:
            return self.validating + self.saving
        return self.planned or (self._estimate() or 0.0) + self.saving

    def _estimate(self) -> float | None:
        """Seconds of a validation, from the steps of this session but the first, which takes longer; None: no other."""
        if self.warm is None or self.training.counters.targets == self.warm[1]:
            return None
        spent, read = self.training.seconds - self.warm[0], self.training.counters.targets - self.warm[1]
        return FORWARD_SHARE * spent * self.training.objective.validation_size / read

    def checkpoint_due(self) -> bool:
        """Whether to save now; call `saved` after it."""
        counters, every = self.training.counters, self.training.settings.checkpoint_every
        if every and counters.step % every == 0:
            return True
        return counters.validated_at == counters.step or self.training.seconds - self.last_save > CHECKPOINT_SECONDS

    def saved(self, seconds: float) -> None:
        """Start counting anew, after a checkpoint that took so many seconds."""
        self.saving = seconds
        self.last_save = self.training.seconds
