"""Scores of translations: sacrebleu's BLEU and chrF, exact matches, token accuracy."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import UserError, missing_extra
from elman.metrics.sums import ratio

if TYPE_CHECKING:
    from elman.arrays import Floats

# sacrebleu's classes; `force` silences a warning of separate full stops, which a word tokenizer writes.
METRICS: dict[str, tuple[str, dict[str, Any]]] = {"bleu": ("BLEU", {"force": True}), "chrf": ("CHRF", {})}


def score(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """All scores of translations against one reference each.

    Keys: `exact_match` and, where sacrebleu is installed, `bleu` and `chrf`, all from 0 to 100, with sacrebleu's
    signatures `bleu_signature` and `chrf_signature`.

    >>> score(["a b", "c"], ["a b", "d"])["exact_match"]
    50.0
    """
    report: dict[str, Any] = {"exact_match": exact_match(hypotheses, references)}
    if is_installed():
        for name, metric in (("bleu", bleu), ("chrf", chrf)):
            report[name], report[f"{name}_signature"] = metric(hypotheses, references)
    return report


def statistics(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Floats]:
    """Of every score of `score`, what each translation adds (N, P) to the sums that the score is made of.

    Of exact matches it is 100 or 0, and 1. Of BLEU and chrF, sacrebleu's counts: the lengths of both texts, the n-grams
    that they share and those of the translation; for each n the n-grams of both texts and those that they share.

    >>> statistics(["a b", "c"], ["a b", "d"])["exact_match"].tolist()
    [[100.0, 1.0], [0.0, 1.0]]
    """
    _check(hypotheses, references)
    right = np.array([[100.0 * (said == meant), 1.0] for said, meant in zip(hypotheses, references, strict=True)])
    found = {"exact_match": right}
    for name in METRICS if is_installed() else ():
        counts = _metric(name)._extract_corpus_statistics(list(hypotheses), [list(references)])
        found[name] = np.array(counts, np.float64)
    return found


def score_of_sums(name: str, sums: Floats) -> Floats:
    """The values (R,) of a score, of sums (R, P) over the `statistics` of translations; as sacrebleu aggregates them.

    >>> counts = statistics(["the cat sat on the mat"], ["the cat sat on a mat"])["chrf"]
    >>> score_of_sums("chrf", counts).round(1).tolist()
    [72.1]
    """
    if name not in METRICS:
        return ratio(sums)
    metric = _metric(name)
    return np.array([metric._compute_score_from_stats(row).score for row in sums.tolist()])


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """BLEU of a corpus, from 0 to 100, and its signature.

    BLEU is the geometric mean of the precisions of 1- to 4-grams, times a penalty for short translations. Papineni et
    al. 2002, "BLEU: a method for automatic evaluation of machine translation"; Post 2018, "A call for clarity in
    reporting BLEU scores". Errors: `UserError` without sacrebleu, or without references.

    >>> score, signature = bleu(["the cat sat on the mat"], ["the cat sat on a mat"])
    >>> round(score, 1), signature.split("|")[0]
    (53.7, 'nrefs:1')
    """
    return _corpus_score("bleu", hypotheses, references)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """chrF2 of a corpus, from 0 to 100, and its signature: the F-score of character n-grams, recall counting twice.

    Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation". Errors: as for `bleu`.

    >>> round(chrf(["the cat sat on the mat"], ["the cat sat on a mat"])[0], 1)
    72.1
    """
    return _corpus_score("chrf", hypotheses, references)


def has_phrases(texts: Iterable[str]) -> bool:
    """Whether a text has four words: where no reference has, BLEU is 0 however good the translations are."""
    return any(len(text.split()) >= 4 for text in texts)


def check_installed(metric: str) -> None:
    """See that a metric can be counted. Errors: `UserError` for BLEU and chrF without sacrebleu."""
    if metric in METRICS:
        _metric(metric)


def exact_match(hypotheses: Sequence[Any], references: Sequence[Any]) -> float:
    """The percentage of hypotheses (texts or sequences of tokens) that equal their references.

    >>> exact_match(["ja", "nein"], ["ja", "doch"])
    50.0
    """
    _check(hypotheses, references)
    return 100 * sum(map(operator.eq, hypotheses, references)) / len(references)


def token_accuracy(hypotheses: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> float:
    """The percentage of the references' tokens that a hypothesis has in the same place.

    >>> token_accuracy([[1, 2, 3], [5]], [[1, 9, 3], [5, 6]])
    60.0
    """
    _check(hypotheses, references)
    right = sum(x == y for pair in zip(hypotheses, references, strict=True) for x, y in zip(*pair, strict=False))
    return 100 * right / max(1, sum(map(len, references)))


def is_installed() -> bool:
    """Whether the package is there that counts BLEU and chrF."""
    return find_spec("sacrebleu") is not None


def _metric(name: str) -> Any:
    try:
        from sacrebleu import metrics
    except ImportError:
        raise missing_extra("sacrebleu", "translate", "BLEU and chrF") from None
    kind, settings = METRICS[name]
    return getattr(metrics, kind)(**settings)


def _corpus_score(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    _check(hypotheses, references)
    metric = _metric(name)
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return float(value), str(metric.get_signature())


def _check(hypotheses: Sequence[Any], references: Sequence[Any]) -> None:
    if not references or len(hypotheses) != len(references):
        got = f"{len(hypotheses)} for {len(references)} references"
        raise UserError("translations to score", expected="one for each of one or more references", got=got)
