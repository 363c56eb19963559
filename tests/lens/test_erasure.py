"""What parts of an input did to a decision, held to a reading of each shortened input by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from elman.lens.erasure import SentenceWords, erase_channels, erase_characters, erase_steps, hide_words, stretch_edges
from elman.models.classifier import Classifier, build_classifier
from elman.models.layered_classifier import LayeredClassifier
from elman.models.layered_tagger import LayeredTagger
from elman.models.tagger import Tagger, build_tagger
from exported_models import chain

KINDS = ["gru", "transformer", "elman"]


def classifier(kind: str, **options: Any) -> Classifier:
    torch.manual_seed(0)
    return build_classifier({"model": kind, "outputs": 3, "hidden_size": 8, **options}).double().eval()


def first(logits: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1)[:, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_did_what_is_missing_without_it(kind: str) -> None:
    model, tokens = classifier(kind, vocab_size=11), torch.tensor([3, 1, 4, 1, 5, 9])
    found = erase_steps(model, tokens, first, 99)
    with torch.no_grad():
        whole = first(model(tokens[None])[0])
        for step, effect in enumerate(found):
            rest = torch.cat((tokens[:step], tokens[step + 1 :]))
            assert effect == pytest.approx(float(whole - first(model(rest[None])[0])), abs=1e-9)
    assert found.shape == (6,)
    assert np.abs(found).max() > 1e-3


def test_steps_are_left_out_together() -> None:
    model, tokens = classifier("gru", vocab_size=11), torch.tensor([3, 1, 4, 1, 5])
    found = erase_steps(model, tokens, first, 2)
    with torch.no_grad():
        parts = [first(model(tokens[None, part])[0]) for part in (slice(2, None), slice(None, 2))]
        whole = first(model(tokens[None])[0])
    assert found == pytest.approx([float(whole - part) for part in parts], abs=1e-9)


def test_n_grams_are_left_out_like_tokens() -> None:
    model = classifier("gru", vocab_size=11, ngrams=True)
    sets = torch.tensor([[3, 1], [4, 2], [5, 0]])
    with torch.no_grad():
        wanted = first(model(sets[None])[0]) - first(model(sets[None, 1:])[0])
    assert erase_steps(model, sets, first, 99)[0] == pytest.approx(float(wanted), abs=1e-9)


def test_a_sequence_of_one_step_is_read_beside_no_step() -> None:
    model = classifier("gru", vocab_size=11)
    [effect] = erase_steps(model, torch.tensor([3]), first, 99)
    assert np.isfinite(effect)
    assert effect != 0


def test_more_sequences_than_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = classifier("gru", vocab_size=11), torch.arange(9)
    together = erase_steps(model, tokens, first, 99)
    monkeypatch.setattr("elman.lens.erasure.TOGETHER", 2)
    np.testing.assert_allclose(erase_steps(model, tokens, first, 99), together, atol=1e-12)


def test_a_channel_is_erased_by_its_mean() -> None:
    model = classifier("gru", channels=2)
    values = torch.randn(7, 2, dtype=torch.float64)
    parts, channels = erase_channels(model, values, first, 3)
    edges = stretch_edges(7, 3)
    assert edges == [0, 2, 4, 7]
    assert parts.shape == (2, 3)
    with torch.no_grad():
        whole = first(model(values[None])[0])
        for channel in range(2):
            for at in range(3):
                erased = values.clone()
                erased[edges[at] : edges[at + 1], channel] = 0
                assert parts[channel, at] == pytest.approx(float(whole - first(model(erased[None])[0])), abs=1e-9)
            erased = values.clone()
            erased[:, channel] = 0
            assert channels[channel] == pytest.approx(float(whole - first(model(erased[None])[0])), abs=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 200])
def test_no_stretch_is_empty(steps: int) -> None:
    sizes = np.diff(stretch_edges(steps, 10))
    assert len(sizes) == min(steps, 10)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1
    assert sizes.sum() == steps


def tagger(kind: str, **options: Any) -> Tagger:
    torch.manual_seed(1)
    sizes = {"word_vocab_size": 9, "character_vocab_size": 9, "hidden_size": 8, "embedding_size": 4}
    model = build_tagger({"model": kind, "tags": ["A", "B", "C"], "character_size": 4, **sizes, **options})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


TAGGERS: list[dict[str, Any]] = [
    {"kind": "lstm", "crf": True},
    {"kind": "gru", "crf": False, "bidirectional": False},
    {"kind": "transformer", "crf": True, "num_heads": 2},
]
PAD = 1
SENTENCE = SentenceWords(
    torch.tensor([2, 3, 2, 5]), torch.tensor([0, 1, 0, 2]), torch.tensor([[2, 3, PAD], [4, PAD, PAD], [5, 6, 7]])
)


def own_log_p(model: Tagger, words: list[int], spellings: list[list[int]], tags: torch.Tensor) -> torch.Tensor:
    """log p of each tag of one sentence, whose words are spelled one by one."""
    C = max(map(len, spellings)) or 1
    characters = torch.tensor([[*spelling, *[PAD] * (C - len(spelling))] for spelling in spellings])
    given = torch.tensor([words]), torch.arange(len(words))[None], characters, torch.tensor([len(words)])
    with torch.no_grad():
        return model.probabilities(*given)[0].log().gather(1, tags[:, None])[:, 0]


@pytest.mark.parametrize("options", TAGGERS, ids=lambda options: options["kind"])
def test_a_word_did_what_is_missing_where_it_is_hidden(options: dict[str, Any]) -> None:
    model = tagger(**options)
    found = hide_words(model, SENTENCE, unknown=0)
    words, spellings = SENTENCE.words.tolist(), [[2, 3], [4], [2, 3], [5, 6, 7]]
    given = SENTENCE.words[None], SENTENCE.spelling[None], SENTENCE.characters, torch.tensor([4])
    best = model.tag(*given)[0]
    whole = own_log_p(model, words, spellings, best)
    for at in range(4):
        hidden = [0 if n == at else word for n, word in enumerate(words)]
        unspelt = [[] if n == at else spelling for n, spelling in enumerate(spellings)]
        np.testing.assert_allclose(found[:, at], whole - own_log_p(model, hidden, unspelt, best), atol=1e-9)
    if options.get("bidirectional") is False:
        assert not np.triu(found, 1).any()  # words that come later did nothing
    assert np.abs(found.diagonal()).min() > 0


@pytest.mark.parametrize("options", TAGGERS, ids=lambda options: options["kind"])
def test_a_character_did_what_is_missing_without_it(options: dict[str, Any]) -> None:
    model = tagger(**options)
    found = erase_characters(model, SENTENCE)
    words, spellings = SENTENCE.words.tolist(), [[2, 3], [4], [2, 3], [5, 6, 7]]
    given = SENTENCE.words[None], SENTENCE.spelling[None], SENTENCE.characters, torch.tensor([4])
    best = model.tag(*given)[0]
    whole = own_log_p(model, words, spellings, best)
    assert [len(word) for word in found] == [2, 1, 2, 3]
    for t, spelling in enumerate(spellings):
        for c in range(len(spelling)):
            shorter = [*spellings[:t], spelling[:c] + spelling[c + 1 :], *spellings[t + 1 :]]
            assert found[t][c] == pytest.approx(float(whole[t] - own_log_p(model, words, shorter, best)[t]), abs=1e-9)


def imported(outputs: int, *, per_step: bool) -> dict[str, Any]:
    """The layers of another framework, which read tokens."""
    table = {"op": "embedding", "rows": 9, "size": 6}
    cell = {"op": "recurrent", "cell": "lstm", "input_size": 6, "hidden_size": 5}
    last = {"op": "linear", "input_size": 5, "output_size": outputs}
    nodes = [table, cell if per_step else cell | {"reads": "last"}, last]
    values: dict[str, Any] = {} if per_step else {"per_step": False}
    tokens = {"kind": "tokens", "vocab_size": 9}
    return dict(chain(*nodes, outputs=outputs, output_kind="logits", input=tokens, **values).config)


def test_imported_layers_have_the_same_measures() -> None:
    torch.manual_seed(0)
    model = LayeredClassifier(outputs=3, vocab_size=9, network=imported(3, per_step=False)).double().eval()
    tokens = torch.tensor([3, 1, 4])
    found = erase_steps(model, tokens, first, 99)
    with torch.no_grad():
        wanted = first(model.scores(tokens[None])[0]) - first(model.scores(tokens[None, 1:])[0])
    assert found[0] == pytest.approx(float(wanted), abs=1e-9)
    assert np.isfinite(erase_steps(model, tokens[:1], first, 99)).all()
    network = imported(3, per_step=True)
    labels = LayeredTagger(word_vocab_size=9, character_vocab_size=9, tags=("A", "B", "C"), network=network).double()
    effects = hide_words(labels.eval(), SENTENCE, unknown=0)
    assert not np.triu(effects, 1).any()
    assert np.abs(effects.diagonal()).min() > 0
