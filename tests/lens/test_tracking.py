from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import UserError
from elman.lens import path_in_plane, text_features, track
from elman.lens.tracking import chance_level, correlations

CODE = 'def f(a, b):\n    if a: # why "so"\n        return "x, (y" + g(1, [2, 3])\n'


def test_features_of_a_text() -> None:
    features = text_features(list(CODE))
    at = CODE.index
    assert features["inside double quotes"][at("x, (y")] == 1
    assert features["inside double quotes"][at("+")] == 0
    assert features["depth of brackets"][at("a, b")] == 1
    assert features["indentation of the line"][at("if")] == 4
    assert features["indentation of the line"][at("return")] == 8
    assert features["indentation of the line"][at("def")] == 0
    assert features["position in the line"][at("return")] == 9
    assert features["inside a comment (#)"][at("why")] == 1
    assert features["inside a comment (#)"][at("return")] == 0
    assert features["a digit"].sum() == 3
    assert features["position in the word"][at("return") + 5] == 6
    assert "a capital letter" not in features  # there is none: it never changes


@given(st.text(alphabet='ab "\n(#', max_size=60), st.integers(1, 5))
def test_tokens_of_several_characters_see_what_their_last_one_does(text: str, size: int) -> None:
    whole = text_features(list(text))
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    last = [min(start + size, len(text)) - 1 for start in range(0, len(text), size)]
    for name, values in text_features(pieces).items():
        assert values.tolist() == whole[name][last].tolist()


def test_a_new_document_begins_afresh() -> None:
    features = text_features(["(", '"', None, "a"])
    assert features["depth of brackets"].tolist() == [1, 1, 0, 0]
    assert features["inside double quotes"].tolist() == [0, 1, 0, 0]
    features = text_features(["(", '"', "(", "a"], begins=range(0, 4, 2))
    assert "depth of brackets" not in features  # it is 1 all the time
    assert features["inside double quotes"].tolist() == [0, 1, 0, 0]


@settings(deadline=None)
@given(seed=st.integers(0, 99), T=st.integers(3, 40), H=st.integers(1, 5))
def test_correlations_are_numpys(seed: int, T: int, H: int) -> None:
    rng = np.random.default_rng(seed)
    values, feature = rng.standard_normal((T, H)), rng.standard_normal(T)
    expected = [np.corrcoef(values[:, unit], feature)[0, 1] for unit in range(H)]
    np.testing.assert_allclose(correlations(values, feature), expected, atol=1e-10)


def test_a_unit_that_does_not_vary_goes_with_nothing() -> None:
    assert correlations(np.ones((5, 2)), np.arange(5.0)).tolist() == [0, 0]


def test_the_unit_that_tracks_is_found() -> None:
    rng = np.random.default_rng(1)
    features = text_features(list(CODE * 20))
    values = rng.standard_normal((len(CODE) * 20, 16))
    values[:, 11] = -0.5 * features["position in the line"] + 0.1 * rng.standard_normal(len(values))
    best = track(values, features)[0]
    assert (best.feature, best.unit) == ("position in the line", 11)
    assert best.correlation < -0.99


def test_what_is_best_by_luck_is_not_told_as_found() -> None:
    """Of 2000 units of noise over 60 steps the best has a correlation of over a half; on the other half it has none."""
    rng = np.random.default_rng(1)
    values, feature = rng.standard_normal((60, 2000)), rng.standard_normal(60)
    assert np.abs(correlations(values[:30], feature[:30])).max() > 0.5
    assert abs(track(values, {"noise": feature})[0].correlation) < 0.4


@settings(deadline=None)
@given(seed=st.integers(0, 99), T=st.integers(20, 60))
def test_chance_is_that_of_the_feature_moved_along(seed: int, T: int) -> None:
    rng = np.random.default_rng(seed)
    unit, feature = rng.standard_normal(T), rng.standard_normal(T)
    far = [k for k in range(T) if T / 8 <= k < T - T // 8]
    moved = sorted(abs(np.corrcoef(unit, np.roll(feature, -k))[0, 1]) for k in far)
    assert chance_level(unit, feature, 0.5) == pytest.approx(np.quantile(moved, 0.5, method="higher"), abs=1e-10)
    assert chance_level(unit, feature, 1e-3) == 1  # too few places to tell


def wandering(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """What stays much the same for 200 steps: with so few changes anything goes with anything."""
    noise = rng.standard_normal((shape[0] + 200, *shape[1:])).cumsum(0)
    return (noise[200:] - noise[:-200]) / 200**0.5


def test_slow_units_and_slow_features_go_together_by_chance() -> None:
    """Without chance being told, correlations of over a quarter would be named in every text."""
    large, named = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        [found] = track(wandering(rng, (4000, 30)), {"slow": wandering(rng, (4000,))})
        large += abs(found.correlation) > 0.25
        named += found.above_chance
    assert large >= 4
    assert named <= 3


def test_a_unit_that_tracks_is_above_chance() -> None:
    rng = np.random.default_rng(1)
    features = text_features(list(CODE * 40))
    values = rng.standard_normal((len(CODE) * 40, 16))
    values[:, 3] += features["inside double quotes"]
    # A text that is the same over and over goes with itself moved along: its lines come in another order here.
    places = np.concatenate([np.arange(start, start + 41) for start in rng.permutation(len(values) // 41) * 41])
    features = {name: feature[places] for name, feature in features.items()}
    found = {tracker.feature: tracker for tracker in track(values[places], features)}["inside double quotes"]
    assert found.unit == 3
    assert found.above_chance
    assert found.correlation == pytest.approx(found.chosen, abs=0.1)


def test_too_short_a_text() -> None:
    with pytest.raises(UserError, match="at least 4 tokens"):
        track(np.zeros((3, 2)), {})


def test_the_plane_is_that_of_the_singular_vectors() -> None:
    values = np.random.default_rng(1).standard_normal((50, 7)) * [5, 3, 1, 1, 1, 1, 1]
    plane, share = path_in_plane(values)
    u, s, _ = np.linalg.svd(values - values.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(plane), np.abs((u * s)[:, :2]), atol=1e-10)
    np.testing.assert_allclose(share, (s**2 / (s**2).sum())[:2])
