"""Metrics of a model's predictions. They know text and tokens, and no model.

>>> from elman.metrics import accuracy, macro_f1, perplexity
>>> perplexity(1.0)
2.718281828459045
>>> accuracy(["cat", "dog", "dog", "dog"], ["cat", "dog", "dog", "cat"])
75.0
>>> round(macro_f1(["cat", "dog", "dog", "dog"], ["cat", "dog", "dog", "cat"]), 1)  # of cats 66.7, of dogs 80
73.3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.metrics.calibration import fit_temperature, fit_thresholds
    from elman.metrics.classification import (
        accuracy,
        calibration_error,
        confusion,
        macro_f1,
        number_scores,
        several_scores,
    )
    from elman.metrics.forecasts import ForecastScores
    from elman.metrics.likelihood import perplexity
    from elman.metrics.spans import span_scores, tag_accuracy
    from elman.metrics.translation import bleu, chrf, exact_match, token_accuracy

__all__ = [
    "ForecastScores",
    "accuracy",
    "bleu",
    "calibration_error",
    "chrf",
    "confusion",
    "exact_match",
    "fit_temperature",
    "fit_thresholds",
    "macro_f1",
    "number_scores",
    "perplexity",
    "several_scores",
    "span_scores",
    "tag_accuracy",
    "token_accuracy",
]
OF_LABELS = ("accuracy", "calibration_error", "confusion", "macro_f1", "number_scores", "several_scores")
__getattr__ = lazily(
    __name__,
    {
        "ForecastScores": ".forecasts",
        **dict.fromkeys(OF_LABELS, ".classification"),
        **dict.fromkeys(("bleu", "chrf", "exact_match", "token_accuracy"), ".translation"),
        **dict.fromkeys(("fit_temperature", "fit_thresholds"), ".calibration"),
        "perplexity": ".likelihood",
        **dict.fromkeys(("span_scores", "tag_accuracy"), ".spans"),
    },
)
