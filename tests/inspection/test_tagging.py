"""`elman inspect` of a tagger: the words that tags depend on, gates, transitions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import elman
from elman.cli import run as command
from elman.lens.words import loss_gradients_of_words, tag_gradients
from elman.tasks.tagging.looks import LOOKS, by_offset
from elman.tasks.tagging.subject import open_sentences

MODELS = {
    "crf": ["--model=lstm"],
    "forward": ["--model=gru", "--set", "crf=false", "--set", "bidirectional=false"],
    "elman": ["--model=elman", "--set", "crf=false"],
    "transformer": ["--model=transformer", "--set", "num_heads=2", "--set", "num_layers=1"],
}
HAS = {
    "crf": set(LOOKS),
    "forward": set(LOOKS) - {"transitions"},
    "elman": set(LOOKS) - {"gates", "transitions"},
    "transformer": set(LOOKS) - {"gates"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of every form."""
    place = tmp_path_factory.mktemp("taggers")
    rows = [f"by O\nw{n} B-artist\nw{n + 1} I-artist\nat O\nw{n + 2} B-time\n" for n in range(20)]
    (place / "slots.conll").write_text("\n".join(rows))
    for name, options in MODELS.items():
        given = ["train", str(place / "slots.conll"), "--task", "tagging", "-o", str(place / name), "--steps", "6"]
        sizes = [f"--set={name}_size={size}" for name, size in (("hidden", 8), ("embedding", 4), ("character", 4))]
        assert command([*given, *options, *sizes]) == 0
    return {name: place / name for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_form_has_its_report(
    name: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    capsys.readouterr()
    assert command(["inspect", str(runs[name]), "-o", str(page), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert set(numbers) & set(LOOKS) == HAS[name]
    html = page.read_text()
    assert "<image" in html
    assert "http" not in html.replace("http://www.w3.org/", "")
    sentences = [each for key, each in numbers["words"].items() if key not in ("trained", "untrained")]
    assert sentences
    for sentence in sentences:
        T = len(sentence["tags"])
        assert np.shape(sentence["by_tag"]) == (T, T)
        assert len(sentence["loss"]) == T


def test_forbidden_transitions_have_no_number(runs: dict[str, Path]) -> None:
    run = elman.load(runs["crf"])
    part = LOOKS["transitions"].look(open_sentences(run, []))
    tags, weight = part.numbers["tags"], part.numbers["weight"]
    assert np.isnan(weight[tags.index("O"), tags.index("I-artist")])
    assert np.isnan(weight[tags.index("(outside)"), tags.index("I-artist")])
    assert weight[tags.index("B-artist"), tags.index("I-artist")] == pytest.approx(
        run.model.crf_layer.weight[tags.index("B-artist"), tags.index("I-artist")].item()
    )
    assert part.numbers["forbidden"] == np.isnan(weight).sum()


def test_a_model_that_reads_forward_knows_no_later_word(runs: dict[str, Path]) -> None:
    subject = open_sentences(elman.load(runs["forward"]), [])
    offsets, (_, median, _) = by_offset(subject.model, subject)
    assert not median[offsets > 0].any()
    assert (median[offsets <= 0] > 0).all()
    both = open_sentences(elman.load(runs["crf"]), [])
    offsets, (_, median, _) = by_offset(both.model, both)
    assert (median > 0).all()


def test_gradients_are_those_of_small_changes(runs: dict[str, Path]) -> None:
    subject = open_sentences(elman.load(runs["crf"]), [])
    model, batch = subject.model.double(), subject.batch([0])
    given = batch.words[0], batch.spelling[0], batch.characters
    x = model.embed(*(each[None] for each in given[:2]), given[2]).detach()
    T, small = x.shape[1], 1e-6

    def read(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = model.output_layer(model.encoder(x)[0])
        best = model.best(scores, torch.tensor([T]))
        log_p = scores.log_softmax(-1).gather(2, best[..., None])[0, :, 0]
        return log_p, model.nats(scores, batch.targets, batch.lengths)[0]

    norms, said = tag_gradients(model, *given)
    by_loss = loss_gradients_of_words(model, *given, batch.targets[0])
    assert len(said) == T
    with torch.no_grad():
        for s in range(T):
            slopes = []
            for d in range(x.shape[2]):
                step = torch.zeros_like(x)
                step[0, s, d] = small
                (up, loss_up), (down, loss_down) = read(x + step), read(x - step)
                slopes.append(torch.cat([up - down, (loss_up - loss_down)[None]]) / (2 * small))
            expected = torch.stack(slopes).norm(dim=0).numpy()
            np.testing.assert_allclose(norms[:, s], expected[:-1], rtol=1e-4, atol=1e-7)
            np.testing.assert_allclose(by_loss[s], expected[-1], rtol=1e-4, atol=1e-7)
