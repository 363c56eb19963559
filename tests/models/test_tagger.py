"""Taggers: words and their characters, tags while a sentence arrives, and a search that keeps to a scheme."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from elman.data.spans import allowed_transitions, breaks
from elman.errors import UserError
from elman.models.tagger import Tagger, build_tagger

TAGS = ["O", "B-x", "I-x", "B-y"]
SIZES = {"word_vocab_size": 7, "character_vocab_size": 5, "tags": TAGS, "hidden_size": 8, "character_size": 6}
CAUSAL = {
    "gru": {"model": "gru", "bidirectional": False},
    "lstm": {"model": "lstm", "bidirectional": False, "num_layers": 2},
    "elman": {"model": "elman", "bidirectional": False, "residual": True},
    "transformer": {"model": "transformer", "is_causal": True, "num_heads": 2},
    "window": {"model": "transformer", "is_causal": True, "num_heads": 2, "window": 3},
    "without characters": {"model": "gru", "bidirectional": False, "character_size": 0},
}
WHOLE = {
    "lstm": {"model": "lstm", "num_layers": 2},
    "transformer": {"model": "transformer", "num_heads": 2},
    "crf": {"model": "lstm", "crf": True},
}


class Sentences(NamedTuple):
    words: Tensor
    spelling: Tensor
    characters: Tensor


def make(config: dict[str, Any]) -> Tagger:
    torch.manual_seed(0)
    allowed = torch.from_numpy(allowed_transitions(TAGS, "IOB2"))
    model = build_tagger(SIZES | config | {"scheme": "IOB2"}, allowed).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some(B: int, T: int, U: int = 5) -> Sentences:
    draw = torch.Generator().manual_seed(1)
    characters = torch.randint(2, 5, (U, 4), generator=draw)
    characters[torch.arange(4) >= torch.randint(1, 5, (U, 1), generator=draw)] = 1
    return Sentences(torch.randint(7, (B, T), generator=draw), torch.randint(U, (B, T), generator=draw), characters)


@pytest.mark.parametrize("name", CAUSAL)
@given(pieces=st.lists(st.integers(0, 4), min_size=1, max_size=4), data=st.data())
@settings(max_examples=15)
def test_scores_in_pieces_are_those_of_the_whole(name: str, pieces: list[int], data: st.DataObject) -> None:
    model, T = make(CAUSAL[name]), sum(pieces)
    words, spelling, characters = some(3, T)
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, T), min_size=3, max_size=3)))
    resets = torch.tensor(data.draw(st.lists(st.booleans(), min_size=3 * T, max_size=3 * T))).bool().view(3, T)
    whole, _ = model(words, spelling, characters, lengths=lengths, resets=resets)
    state, found, begin = model.initial_state(3), [], 0
    for size in pieces:
        part = slice(begin, begin + size)
        left = (lengths - begin).clamp(0, size)
        scores, state = model(
            words[:, part], spelling[:, part], characters, state, lengths=left, resets=resets[:, part]
        )
        found.append(scores)
        begin += size
    real = torch.arange(T) < lengths[:, None]
    torch.testing.assert_close(torch.cat(found, 1)[real], whole[real], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", [*WHOLE, "causal"])
def test_a_sentence_alone_is_the_sentence_in_a_batch(name: str) -> None:
    model = make(WHOLE.get(name, CAUSAL["gru"]))
    (words, spelling, characters), lengths = some(4, 9), torch.tensor([9, 1, 4, 6])
    words[torch.arange(9) >= lengths[:, None]] = 1
    together = (
        model.probabilities(words, spelling, characters, lengths),
        model.tag(words, spelling, characters, lengths),
    )
    torch.testing.assert_close(together[0].sum(-1), (torch.arange(9) < lengths[:, None]).double() if name == "crf" else
                               torch.ones(4, 9).double())  # fmt: skip
    for row, length in enumerate(lengths.tolist()):
        own, number = spelling[row, :length].unique(return_inverse=True)
        wider = F.pad(characters[own], (0, 3), value=1)  # other batches have longer words
        alone = words[row : row + 1, :length], number[None], wider, torch.tensor([length])
        torch.testing.assert_close(model.probabilities(*alone)[0], together[0][row, :length], atol=1e-10, rtol=1e-9)
        assert torch.equal(model.tag(*alone)[0], together[1][row, :length])
        assert not together[1][row, length:].any()


@pytest.mark.parametrize("crf", [False, True])
def test_the_loss_is_that_of_the_scores(crf: bool) -> None:
    model = make({"model": "gru", "crf": crf})
    given, lengths = some(3, 5), torch.tensor([5, 2, 3])
    targets = torch.tensor([[0, 1, 2, 0, 3], [1, 2, -1, -1, -1], [0, -100, 3, -1, -1]])
    scores, _ = model(*given, lengths=lengths)
    loss = model.loss(*given, targets, lengths)
    if model.crf_layer is not None:
        expected = model.crf_layer.loss(scores, targets, lengths)
    else:
        p = scores.log_softmax(-1)
        sums = [sum(p[b, t, y] for t, y in enumerate(row) if y >= 0) for b, row in enumerate(targets.tolist())]
        expected = -torch.stack([torch.as_tensor(each) for each in sums])
    torch.testing.assert_close(loss, expected)


def test_words_outside_the_table_differ_by_their_characters() -> None:
    model = make({"model": "gru"})
    scores, _ = model([[0, 0]], [[0, 1]], [[2, 3, 1], [2, 4, 1]])
    alike, _ = model([[0, 0]], [[0, 0]], [[2, 3, 1], [2, 4, 1]])
    assert not torch.allclose(scores, alike)
    without = make({"model": "gru", "character_size": 0})
    assert torch.equal(*(without([[0, 0]], rows, [[2, 3, 1], [2, 4, 1]])[0] for rows in ([[0, 1]], [[0, 0]])))


def test_a_search_keeps_to_the_scheme_whatever_the_scores() -> None:
    model = make({"model": "gru", "crf": True})
    assert model.crf_layer is not None
    torch.manual_seed(3)
    for scale in (1.0, 30.0, 1e4):
        scores = scale * torch.randn(50, 7, len(TAGS), dtype=torch.float64)
        greedy = [[TAGS[tag] for tag in row] for row in scores.argmax(-1).tolist()]
        assert any(breaks(tags, "IOB2") for tags in greedy)
        for row in model.best(scores, torch.full((50,), 7)).tolist():
            assert breaks([TAGS[tag] for tag in row], "IOB2") == []


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_the_whole_sentence_says_so(name: str) -> None:
    model = make(WHOLE[name])
    assert not model.causal
    with pytest.raises(UserError, match="needs the whole"):
        model.refuse_steps()
    with pytest.raises(UserError, match="needs the whole sequence"):
        model(*some(1, 2), ())
    crf = make({"model": "gru", "bidirectional": False, "crf": True})
    assert not crf.causal
    with pytest.raises(UserError, match=r"has a CRF, whose search needs the whole sentence.*crf=False"):
        crf.refuse_steps()


@pytest.mark.parametrize("config", [*CAUSAL.values(), *WHOLE.values()], ids=str)
def test_a_configuration_makes_the_same_model_again(config: dict[str, Any]) -> None:
    model = make(config)
    again = build_tagger(model.config)
    again.load_state_dict(model.state_dict())
    given, lengths = some(2, 3), torch.tensor([3, 2])
    assert torch.equal(again.double().eval().tag(*given, lengths), model.tag(*given, lengths))
    if again.crf_layer is not None and model.crf_layer is not None:
        assert torch.equal(again.crf_layer.allowed, model.crf_layer.allowed)  # it travels with the weights


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"model": "grue"}, "did you mean 'gru'"),
        ({"model": "gru", "tags": []}, "tags: expected the names"),
        ({"model": "gru", "character_size": 5}, "character_size: expected an even size"),
        ({"model": "gru", "crff": True}, "did you mean 'crf'"),
        ({"model": "gru", "hidden_size": 0}, "hidden_size"),
    ],
)
def test_refusals(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        build_tagger(SIZES | wrong)


def test_muon_trains_every_map_between_hidden_states() -> None:
    maps = make({"model": "lstm", "num_layers": 2}).stacked_maps()
    assert set(maps.values()) == {4}
    assert len(maps) == 2 * 2 * 2 + 2 * 2  # layers, directions, matrices; and those of the characters
