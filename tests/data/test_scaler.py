import json
from pathlib import Path

import numpy as np
import pytest

from elman.data.scaler import ChannelScaler, fit_scaler
from elman.errors import UserError


def test_every_channel_has_mean_0_and_deviation_1_over_what_is_there() -> None:
    random = np.random.default_rng(0)
    series = [random.normal(5, 3, (T, 2)) * [1, 1e6] for T in (1, 7, 33)]
    series[1][2:4, 0] = np.nan
    scaler = fit_scaler(series)
    scaled = np.concatenate([scaler.scale(each) for each in series])
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(np.concatenate(series)))
    np.testing.assert_allclose(np.nanmean(scaled, 0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(scaled, 0), 1, rtol=1e-6)
    assert (scaler.channels, scaler.missing) == (2, True)
    assert not fit_scaler([series[0]]).missing


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9, 1 / 3])
def test_constant_and_empty_channels_are_0(constant: float) -> None:
    series = np.full((1001, 2), constant)
    series[:, 1] = np.nan
    scaler = fit_scaler([series])
    assert scaler.deviation == (1.0, 1.0)
    scaled = scaler.scale(series)
    np.testing.assert_allclose(scaled[:, 0], 0, atol=1e-6)
    assert np.isnan(scaled[:, 1]).all()


def test_the_file_of_a_scaler(tmp_path: Path) -> None:
    path, scaler = tmp_path / "scaler.json", fit_scaler([np.array([[1.0, 2.0], [3.0, np.nan]])])
    path.write_text(json.dumps(scaler.to_json()))
    assert ChannelScaler.read(path) == scaler
    for wrong in ({"mean": [1.0]}, {"mean": [], "deviation": []}, {"deviation": [1.0, 0.0]}, {"missing": 1}):
        path.write_text(json.dumps(scaler.to_json() | wrong))
        with pytest.raises(UserError, match="is damaged"):
            ChannelScaler.read(path)
