"""Beam search against every target there is, greedy search against a loop."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.decode.ancestral import greedy_search
from elman.decode.beam import _Search, beam_search, k_best
from elman.decode.constraints import Constraints, default_max_length
from elman.decode.hypotheses import Hypothesis
from elman.errors import UserError
from elman.models import EncoderDecoder, build_encoder_decoder
from encoder_decoders import Attentive, Table

SOURCES = [[1, 2, 3], [2, 3], [0, 1, 1, 0, 3]]


def batch(sources: list[list[int]]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(source) for source in sources])
    padded = [source + [3] * (int(lengths.max()) - len(source)) for source in sources]
    return torch.tensor(padded), lengths


def attentive(vocab_size: int = 7, *, attention: bool = True, seed: int = 0) -> EncoderDecoder:
    torch.manual_seed(seed)
    model = Attentive(vocab_size, vocab_size, attention=attention).double().eval()
    with torch.no_grad():
        model.logits.weight *= 6
    return model


@torch.no_grad()
def every_target(
    model: EncoderDecoder, source: list[int], longest: int, alpha: float = 0.0, beta: float = 0.0
) -> list[tuple[float, float, tuple[int, ...]]]:
    """Score, log-probability and tokens of every target up to a length, the best first, each by one full forward."""
    end = model.vocab_size - 1
    found = []
    for length in range(longest + 1):
        for tokens in itertools.product(range(end), repeat=length):
            state = model.encode(torch.tensor([source]))
            read = torch.tensor([[end, *tokens]])
            log_p = model(read, state)[0][0].log_softmax(-1)
            total = sum(log_p[t, token].item() for t, token in enumerate([*tokens, end]))
            score = total / ((5 + length + 1) / 6) ** alpha
            if beta:
                weights = model.align(read, state)
                assert weights is not None
                score += beta * sum(math.log(min(x, 1.0)) for x in weights[0].sum(0).tolist())
            found.append((score, total, tokens))
    return sorted(found, key=lambda x: -x[0])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("beta", [0.0, 0.4])
@pytest.mark.parametrize("model", [Table(4), Table(3, seed=5), attentive(4)], ids=["table", "small table", "network"])
def test_a_beam_wide_enough_finds_the_n_best(model: EncoderDecoder, alpha: float, beta: float) -> None:
    longest, n = 4, 12
    source, lengths = batch(SOURCES if model.vocab_size == 4 else [[1, 2], [0]])
    wide = beam_search(
        model,
        source,
        lengths,
        end=model.vocab_size - 1,
        beam=400,
        n_best=n,
        length_alpha=alpha,
        coverage_beta=beta,
        constraints=Constraints(max_length=longest),
    )
    for row, found in enumerate(wide):
        expected = every_target(model, source[row, : lengths[row]].tolist(), longest, alpha, beta)[:n]
        assert [y.tokens for y in found] == [tokens for _, _, tokens in expected]
        assert [y.score for y in found] == pytest.approx([score for score, _, _ in expected], rel=1e-9)
        assert [y.log_probability for y in found] == pytest.approx([total for _, total, _ in expected], rel=1e-9)
        assert all(sum(y.token_log_probabilities) == pytest.approx(y.log_probability) for y in found)


def test_all_targets_together_have_the_probability_1() -> None:
    longest = 3
    source, lengths = batch(SOURCES)
    constraints = Constraints(max_length=longest)
    for found in beam_search(Table(4), source, lengths, end=3, beam=100, n_best=100, constraints=constraints):
        assert len({y.tokens for y in found}) == len(found) == 1 + 3 + 9 + 27
        # The longest stand for everything that begins like them: their end was forced.
        values = [y.token_log_probabilities[: longest if len(y.tokens) == longest else None] for y in found]
        assert sum(math.exp(sum(x)) for x in values) == pytest.approx(1)


@torch.no_grad()
def naive_greedy(model: EncoderDecoder, source: list[int], longest: int) -> tuple[list[int], list[float]]:
    end = model.vocab_size - 1
    tokens: list[int] = []
    values = []
    while True:
        log_p = model(torch.tensor([[end, *tokens]]), model.encode(torch.tensor([source])))[0][0, -1].log_softmax(-1)
        token = end if len(tokens) == longest else int(log_p.argmax())
        values.append(log_p[token].item())
        if token == end:
            return tokens, values
        tokens.append(token)


def real(**config: Any) -> EncoderDecoder:
    """A model of the library whose probabilities are far from even."""
    torch.manual_seed(0)
    sizes = {"source_vocab_size": 7, "vocab_size": 7, "hidden_size": 8}
    model = build_encoder_decoder(sizes | config).double().eval()
    with torch.no_grad():
        model.output_layer.weight *= 4
    return model


TRANSFORMER: dict[str, Any] = {"model": "transformer", "num_heads": 2, "encoder_layers": 1, "decoder_layers": 2}
MODELS: dict[str, Any] = {
    "table": Table(6),
    "table with ties": Table(5, levels=3),
    "network": attentive(),
    "network without attention": attentive(attention=False),
    "lstm without attention": real(model="lstm", attention="none", num_layers=2),
    "gru, additive": real(model="gru", attention="additive"),
    "elman, dot": real(model="elman", attention="dot", bridge="copy", bidirectional=False),
    "lstm, input feeding": real(model="lstm", input_feeding=True, num_layers=2),
    "transformer": real(**TRANSFORMER),
    "transformer, post-norm": real(**TRANSFORMER, norm="post", positions="learned"),
}


@pytest.mark.parametrize("name", MODELS)
def test_greedy_search_is_a_loop_and_a_beam_of_one(name: str) -> None:
    model = MODELS[name]
    end = model.vocab_size - 1
    source, lengths = batch(SOURCES)
    greedy = greedy_search(model, source, lengths, end=end)
    for row, longest in enumerate(default_max_length(lengths).tolist()):
        tokens, values = naive_greedy(model, source[row, : lengths[row]].tolist(), longest)
        assert greedy[row].tokens == tuple(tokens)
        assert greedy[row].token_log_probabilities == pytest.approx(values, rel=1e-9)
        assert greedy[row].score == greedy[row].log_probability == pytest.approx(sum(values))
    assert beam_search(model, source, lengths, end=end, beam=1) == [[y] for y in greedy]


def close(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[y.tokens for y in ys] for ys in found] == [[y.tokens for y in ys] for ys in expected]
    scores = [[y.score for ys in side for y in ys] for side in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-9)


@pytest.mark.parametrize("search", [greedy_search, beam_search])
@pytest.mark.parametrize("name", ["gru, additive", "transformer"])
def test_what_was_given_stays_as_it_was(name: str, search: Any) -> None:
    """Sentences that are done leave, and others take their places."""
    model, (source, lengths) = MODELS[name], batch([[1, 2, 3, 4], [2], [0, 1, 1, 0, 3], [3, 3]])
    before = source.clone(), lengths.clone()
    search(model, source, lengths, end=6, constraints=Constraints(max_length=[3, 1, 7, 2]))
    assert torch.equal(source, before[0])
    assert torch.equal(lengths, before[1])


sources = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=7), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    sources,
    st.integers(1, 6),
    st.sampled_from([0.0, 0.7]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([Constraints(), Constraints(max_length=9, min_length=3, banned=[1], block_ngrams=2)]),
)
def test_a_batch_is_its_sentences_one_by_one(
    name: str, sources: list[list[int]], beam: int, alpha: float, beta: float, constraints: Constraints
) -> None:
    model = MODELS[name]
    beta = 0.0 if "without attention" in name else beta
    options: dict[str, Any] = {"end": model.vocab_size - 1, "beam": beam, "n_best": beam, "constraints": constraints}
    options |= {"length_alpha": alpha, "coverage_beta": beta}
    together = beam_search(model, *batch(sources), **options)
    close(together, [beam_search(model, torch.tensor([source]), **options)[0] for source in sources])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 30), st.sampled_from([0.0, 0.6, 2.0, 4.0]), st.sampled_from([0.0, 0.3]))
def test_stopping_early_changes_nothing(seed: int, n: int, alpha: float, beta: float) -> None:
    """A search for the beam's n best stops earlier than one for all K; what it has is the same."""
    model = Table(4, seed=seed)
    options: dict[str, Any] = {"end": 3, "beam": 30, "length_alpha": alpha, "coverage_beta": beta}
    source, lengths = batch(SOURCES)
    all_of_them = beam_search(model, source, lengths, n_best=30, **options)
    for few in {1, n}:
        found = beam_search(model, source, lengths, n_best=few, **options)
        assert found == [of_one[:few] for of_one in all_of_them]


def test_a_search_stops_as_soon_as_its_result_stands() -> None:
    class Counted(Table):
        read_steps = 0

        def read(self, *args: Any, **kwargs: Any) -> Any:
            self.read_steps += 1
            return super().read(*args, **kwargs)

    model = Counted(4)
    constraints = Constraints(max_length=200)
    [[best]] = beam_search(model, torch.tensor([[1, 2, 3]]), end=3, beam=50, constraints=constraints)
    assert len(best.tokens) < model.read_steps < 30


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4), st.integers(1, 6))
def test_k_best_is_a_stable_sort(rows: list[list[int]], k: int) -> None:
    x = torch.tensor(rows).double().log()
    values, places = k_best(x, k)
    expected = x.sort(dim=1, descending=True, stable=True)
    assert torch.equal(values, expected.values[:, :k])
    possible = values > -torch.inf
    assert torch.equal(places[possible], expected.indices[:, :k][possible])


def test_no_weights_are_asked_for_without_a_coverage_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "read_aligned", None)
    assert beam_search(Table(5), torch.tensor([[1, 2]]), end=4)


ATTENTIVE = [name for name in MODELS if "without attention" not in name]


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("name", [name for name in MODELS if hasattr(MODELS[name], "decoder")])
def test_every_step_is_decoded_once(name: str, beta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, passes = [], []
    step = _Search.extend
    monkeypatch.setattr(_Search, "extend", lambda search: (steps.append(1), step(search)))
    model = MODELS[name]
    layer = model.decoder if isinstance(model, Attentive) else model.decoder[0]
    counting = layer.register_forward_hook(lambda *call: passes.append(1))
    try:
        beta = beta if name in ATTENTIVE else 0.0
        constraints = Constraints(min_length=4, max_length=9)
        end = model.vocab_size - 1
        beam_search(model, *batch(SOURCES), end=end, beam=3, coverage_beta=beta, constraints=constraints)
    finally:
        counting.remove()
    assert len(passes) == len(steps) > 3


@pytest.mark.parametrize("name", ATTENTIVE)
def test_what_is_attended_to_changes_nothing_of_what_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that reads a step once more for its attention finds the same, to the last bit."""
    model = MODELS[name]
    options: dict[str, Any] = {"end": model.vocab_size - 1, "beam": 4, "n_best": 4, "coverage_beta": 0.3}
    options["constraints"] = Constraints(min_length=4, max_length=9)
    found = beam_search(model, *batch(SOURCES), **options)
    at_once = model.read_aligned

    def in_two_passes(tokens: Tensor, state: Any, **options: Any) -> Any:
        if options:  # a recurrent model's `read` calls it with lengths
            return at_once(tokens, state, **options)
        hidden, after = model.read(tokens, state)
        return hidden, at_once(tokens, state)[1], after

    with monkeypatch.context() as patched:
        patched.setattr(model, "read_aligned", in_two_passes)
        assert beam_search(model, *batch(SOURCES), **options) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam: expected at least 1, got 0"),
        ({"beam": 3, "n_best": 4}, "n_best: expected 1 to 3, the beam's width, got 4"),
        ({"n_best": 0}, "n_best"),
        ({"length_alpha": -0.1}, "length_alpha: expected a number, 0 or more, got -0.1"),
        ({"length_alpha": math.nan}, "length_alpha"),
        ({"coverage_beta": math.inf}, "coverage_beta"),
        ({"coverage_beta": 0.1}, "coverage_beta: expected 0 for a model without attention, got 0.1"),
    ],
)
def test_what_cannot_be_searched_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        beam_search(attentive(attention=False), torch.tensor([[1, 2]]), end=6, **options)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_a_model_whose_training_broke_says_so(search: Any) -> None:
    model = attentive()
    torch.nn.init.constant_(model.logits.bias, torch.nan)  # type: ignore[arg-type, union-attr]
    with pytest.raises(UserError, match="not numbers"):
        search(model, torch.tensor([[1, 2]]), end=6)


def test_a_sparse_space_gives_what_there_is() -> None:
    found = beam_search(Table(2), torch.tensor([[1]]), end=1, beam=5, n_best=5, constraints=Constraints(max_length=2))
    assert [y.tokens for y in found[0]] == [(), (0,), (0, 0)] or len(found[0]) == 3


@torch.no_grad()
def naive_beam(model: EncoderDecoder, source: list[int], K: int, alpha: float, longest: int) -> list[Any]:
    """The same search, one hypothesis at a time, until K have ended: score and tokens, the best first."""
    end = model.vocab_size - 1
    living: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for t in range(longest + 1):
        extensions = []
        for parent, (total, tokens) in enumerate(living):
            state = model.encode(torch.tensor([source]))
            log_p = model(torch.tensor([[end, *tokens]]), state)[0][0, -1].log_softmax(-1).tolist()
            for token, value in enumerate(log_p):
                if t < longest or token == end:
                    extensions.append((-(total + value), parent, token, tokens))
        extensions.sort()
        for minus, _, token, tokens in extensions[:K]:
            if token == end:
                ended.append((-minus / ((5 + t + 1) / 6) ** alpha, tokens))
        living = [(-minus, (*tokens, token)) for minus, _, token, tokens in extensions if token != end][:K]
        if len(ended) >= K:
            break
    return sorted(ended, key=lambda x: -x[0])[:K]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("K", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_narrow_beam_is_a_loop_over_hypotheses(name: str, K: int, alpha: float) -> None:
    model = MODELS[name]
    source, lengths = batch(SOURCES)
    options: dict[str, Any] = {"end": model.vocab_size - 1, "length_alpha": alpha, "beam": K, "n_best": K}
    found = beam_search(model, source, lengths, constraints=Constraints(max_length=12), **options)
    for row in range(len(SOURCES)):
        expected = naive_beam(model, SOURCES[row], K, alpha, 12)
        assert [y.tokens for y in found[row]] == [tokens for _, tokens in expected]
        assert [y.score for y in found[row]] == pytest.approx([score for score, _ in expected], rel=1e-9)
