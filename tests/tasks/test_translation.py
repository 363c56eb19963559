"""The objective of encoder-decoders, against naive computations; and a killed training that goes on bit by bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from elman.data.batches import TokenBatches
from elman.data.lanes import NOT_COUNTED
from elman.data.pair_corpus import ParallelCorpus, prepare
from elman.models import EncoderDecoder, build_encoder_decoder
from elman.tasks import TASKS
from elman.tasks.configuration import build
from elman.tasks.translation.objective import TargetTokens, evaluate, own_choices
from elman.train.objective import Place
from resuming import assert_interruptions_change_nothing

MODELS: dict[str, dict[str, Any]] = {
    "no attention": {"model": "gru", "attention": "none"},
    "general": {"model": "lstm"},
    "input feeding": {"model": "gru", "attention": "dot", "input_feeding": True},
    "transformer": {"model": "transformer", "num_heads": 2, "encoder_layers": 1, "decoder_layers": 1},
}
PAIRS = [(f"{n} {n + 1}", f"{n * n}") for n in range(60)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "squares.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    return path


@pytest.fixture
def corpus(pairs: Path, tmp_path: Path) -> ParallelCorpus:
    return prepare(pairs, tmp_path / "cache", joint=False)


def model(name: str, corpus: ParallelCorpus) -> EncoderDecoder:
    torch.manual_seed(0)
    sizes = {"source_vocab_size": corpus.source_tokenizer.vocab_size, "vocab_size": corpus.target_tokenizer.vocab_size}
    return build_encoder_decoder({**MODELS[name], **sizes, "hidden_size": 8}).double()


def eods(corpus: ParallelCorpus) -> tuple[int, int]:
    assert corpus.source_tokenizer.eod is not None
    assert corpus.target_tokenizer.eod is not None
    return corpus.source_tokenizer.eod, corpus.target_tokenizer.eod


def objective(corpus: ParallelCorpus, **options: Any) -> TargetTokens:
    return TargetTokens(TokenBatches(corpus.train, 64), corpus.valid, **options)


def naive_logits(network: EncoderDecoder, source: list[int], read: list[int]) -> Tensor:
    """One pair by itself, one token after the other: (T, V)."""
    state = network.encode(torch.tensor([source]))
    logits = []
    for token in read:
        step, state = network(torch.tensor([[token]]), state)
        logits.append(step[0, 0])
    return torch.stack(logits)


def naive_loss(
    network: EncoderDecoder, pairs: list[tuple[list[int], list[int]]], ends: tuple[int, int], e: float
) -> Tensor:
    """The mean over all target tokens of the cross entropy against (1 − e) [the true one] + e / V."""
    terms = []
    for source, target in pairs:
        logits = naive_logits(network, [*source, ends[0]], [ends[1], *target])
        for log_p, token in zip(logits.log_softmax(-1), [*target, ends[1]], strict=True):
            terms.append(-(1 - e) * log_p[token] - e * log_p.mean())
    return torch.stack(terms).mean()


def ids_of(corpus: ParallelCorpus, rows: Any) -> list[tuple[list[int], list[int]]]:
    part = corpus.train.epoch(0)
    return [tuple(side.tolist() for side in part.pair(row)) for row in rows]  # type: ignore[misc]


def gradients(network: EncoderDecoder, loss: Tensor) -> list[Tensor]:
    network.zero_grad()
    loss.backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in network.parameters()]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_that_of_each_pair_by_itself(corpus: ParallelCorpus, name: str, smoothing: float) -> None:
    network, task = model(name, corpus), objective(corpus, label_smoothing=smoothing)
    for batch in range(2):
        loss = task.loss(network, Place(0, batch, 0.5), None)
        pairs = ids_of(corpus, task.train.plan(0)[batch])
        expected = naive_loss(network, pairs, eods(corpus), smoothing)
        assert loss.targets == sum(len(target) + 1 for _, target in pairs)
        assert loss.state is None
        assert loss.mean.item() == pytest.approx(expected.item(), rel=1e-9)
        torch.testing.assert_close(gradients(network, loss.mean), gradients(network, expected), rtol=1e-6, atol=1e-9)


def test_an_epoch_shows_every_target_once(corpus: ParallelCorpus) -> None:
    task, network = objective(corpus), model("no attention", corpus)
    seen = sum(task.loss(network, Place(3, batch, 0.0), None).targets for batch in range(task.batches(3)))
    assert seen == task.training_size == sum(len(target) + 1 for _, target in ids_of(corpus, range(len(corpus.train))))
    assert task.validation_size == sum(len(target) + 1 for _, target in corpus.valid.texts())


@pytest.mark.parametrize("name", MODELS)
def test_own_choices_are_the_most_probable_tokens(corpus: ParallelCorpus, name: str) -> None:
    network, task, ends = model(name, corpus), objective(corpus), eods(corpus)
    batch = task.train.batch(0, 0)
    begin = network.encode(batch.source, batch.source_lengths)
    assert torch.equal(own_choices(network, batch.inputs, begin, 0.0), batch.inputs)
    chosen = own_choices(network, batch.inputs, begin, 1.0)
    assert torch.equal(chosen[:, 0], batch.inputs[:, 0]), "a target begins as ever"
    for row, (source, target) in enumerate(ids_of(corpus, task.train.plan(0)[0])):
        logits = naive_logits(network, [*source, ends[0]], [ends[1], *target])
        assert chosen[row, 1 : len(target) + 1].tolist() == logits[:-1].argmax(-1).tolist()
    torch.manual_seed(0)
    half = own_choices(network, batch.inputs, begin, 0.5)
    assert ((half == chosen) | (half == batch.inputs)).all()


@pytest.mark.parametrize(
    ("p", "progress", "own"), [(1.0, 1.0, True), (1.0, 2.0, True), (0.0, 1.0, False), (1.0, 0.0, False)]
)
def test_scheduled_sampling_rises_over_the_budget(corpus: ParallelCorpus, p: float, progress: float, own: bool) -> None:
    network, task = model("general", corpus), objective(corpus, scheduled_sampling=p)
    batch = task.train.batch(0, 0)
    begin = network.encode(batch.source, batch.source_lengths)
    inputs = own_choices(network, batch.inputs, begin, 1.0) if own else batch.inputs
    logits, _ = network(inputs, begin)
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.targets.flatten(), ignore_index=NOT_COUNTED
    )
    loss = task.loss(network, Place(0, 0, progress), None)
    assert loss.mean.item() == pytest.approx(expected.item(), rel=1e-9)
    assert not torch.equal(own_choices(network, batch.inputs, begin, 1.0), batch.inputs), "or there is no difference"


@pytest.mark.parametrize("name", MODELS)
def test_scheduled_sampling_takes_no_gradient_away_in_low_precision(corpus: ParallelCorpus, name: str) -> None:
    """Autocast remembers the weights it has cast, and those of a pass without gradients would have none."""
    network = model(name, corpus).float()
    plain, sampled = objective(corpus), objective(corpus, scheduled_sampling=1e-9)  # so seldom: never
    found = []
    for task in (plain, sampled):
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.loss(network, Place(0, 0, 1.0), None)
        found.append(gradients(network, loss.mean))
    torch.testing.assert_close(found[0], found[1])


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_evaluation_is_a_naive_loop(corpus: ParallelCorpus, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = model(name, corpus).eval()
    monkeypatch.setattr("elman.tasks.translation.objective.EVALUATION_TOKENS", 5)  # several batches
    part, ends = corpus.valid, eods(corpus)
    assert len(part) > 1
    total, right, tokens = 0.0, 0, 0
    for n in range(len(part)):
        source, target = (side.tolist() for side in part.pair(n))
        logits = naive_logits(network, [*source, ends[0]], [ends[1], *target])
        wanted = torch.tensor([*target, ends[1]])
        total -= logits.log_softmax(-1)[torch.arange(len(wanted)), wanted].sum().item()
        right += int((logits.argmax(-1) == wanted).sum())
        tokens += len(wanted)
    metrics = evaluate(network, part)
    assert metrics == {
        "loss": pytest.approx(total / tokens, rel=1e-9),
        "perplexity": pytest.approx(math.exp(total / tokens), rel=1e-9),
        "accuracy": pytest.approx(100 * right / tokens),
        "tokens": tokens,
    }


def test_validation_has_the_scores_of_what_is_written(corpus: ParallelCorpus) -> None:
    network = model("general", corpus).eval()
    settings = build(
        {"task": "translation", "budget": {"amount": 1, "unit": "steps"}, "train": {"validation_sentences": 2}}
    )
    metrics = TASKS["translation"].objective(settings, corpus).validate(network)
    assert metrics.keys() >= {"loss", "perplexity", "accuracy", "tokens", "exact_match", "bleu", "chrf"}
    assert all(math.isfinite(value) for value in metrics.values())
    silent = settings.model_copy(update={"train": settings.train.model_copy(update={"validation_sentences": 0})})
    assert "exact_match" not in TASKS["translation"].objective(silent, corpus).validate(network)


@pytest.mark.parametrize("metric", ["loss", "bleu", "chrf", "exact_match", "accuracy"])
def test_the_better_the_less_it_costs(corpus: ParallelCorpus, metric: str) -> None:
    task = objective(corpus, metric=metric)
    scores = {"loss": 2.0, "accuracy": 50.0, "bleu": 20.0, "chrf": 30.0, "exact_match": 10.0}
    better = scores | {metric: 1.5 if metric == "loss" else 60.0}
    assert task.cost(better) < task.cost(scores)
    assert abs(task.cost(scores)) == scores[metric]


def test_the_words_of_the_task(corpus: ParallelCorpus) -> None:
    task = objective(corpus)
    metrics = {"loss": 2.0, "perplexity": 7.39, "accuracy": 50.0, "tokens": 7}
    assert task.describe(metrics) == "2.0000 nats a token, 50.00 % right"
    assert task.describe(metrics | {"bleu": 1.0, "exact_match": 3.0}).endswith("BLEU 1.00, 3.00 % exact")
    assert "BLEU" not in task.describe(metrics | {"bleu": 0.0, "exact_match": 3.0}), "no reference has four words"
    assert replace(task).initial_state(model("general", corpus)) is None


STEPS = 11
RESUMING: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "lstm, dropout": ("file", "lstm", {"embedding_size": 5, "dropout": 0.3}, {}),
    "gru, scheduled sampling": ("file", "gru", {"attention": "none"}, {"scheduled_sampling": 0.8, "average": 0.9}),
    "input feeding": ("file", "lstm", {"input_feeding": True}, {"precision": "bfloat16", "scheduled_sampling": 0.5}),
    "transformer": (
        "file",
        "transformer",
        {"num_heads": 2, "encoder_layers": 1, "decoder_layers": 1},
        {"accumulate": 2},
    ),
    "endless": ("dates", "gru", {}, {"epoch_pairs": 20, "batch_tokens": 200, "metric": "exact_match"}),
}


@pytest.mark.parametrize(("data", "kind", "sizes", "train"), RESUMING.values(), ids=RESUMING)
def test_resumed_is_undisturbed(
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    kind: str,
    sizes: dict[str, Any],
    train: dict[str, Any],
) -> None:
    """Stopped and killed in the middle of epochs, the fresh ones of an endless source among them."""
    monkeypatch.setattr("elman.data.pair_corpus.LEARN_FROM", 2000)
    monkeypatch.setattr("elman.data.pair_corpus.HELD_OUT_PAIRS", 50)
    settings = {
        "task": "translation",
        "kind": kind,
        "budget": {"amount": STEPS, "unit": "steps"},
        "data": {"source": str(pairs) if data == "file" else data},
        "model": {"hidden_size": 8, **sizes},
        "train": {"batch_tokens": 100, "validate_every": 3, "checkpoint_every": 2, "validation_sentences": 3} | train,
    }
    assert_interruptions_change_nothing(settings, tmp_path)
