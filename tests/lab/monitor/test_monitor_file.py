"""The file of a monitor: its threshold, what is written is read again, and any damage is refused."""

import contextlib
import hashlib
import io
import json

import numpy as np
import pytest
from scipy.stats import gamma

from bcclone.lab.monitor import MonitorSettings, WatchSettings
from bcclone.lab.monitor.monitor import GammaFit, MonitorInfo, moving_average, read_monitor, save_monitor
from bcclone.system.errors import UserError

INFO = MonitorInfo("features", "0" * 64, GammaFit(2.0, 3.0), 4.0, 0.01, 100)
ARRAYS = {"mean": np.arange(5, dtype=np.float32), "scaling": np.eye(5, dtype=np.float32) * 2}


@pytest.fixture
def monitor(tmp_path):
    path = tmp_path / "model.monitor"
    save_monitor(path, INFO, ARRAYS)
    return path


def test_what_is_written_is_read_again(monitor):
    info, arrays = read_monitor(monitor)
    assert info == INFO
    assert {name: array.tolist() for name, array in arrays.items()} == {n: a.tolist() for n, a in ARRAYS.items()}


def test_each_changed_bit_and_each_truncated_file_is_refused(monitor):
    content = monitor.read_bytes()
    for place in range(len(content)):
        monitor.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(UserError, match="bcclone monitor fit"):
            read_monitor(monitor)
    for length in range(0, len(content), 31):
        monitor.write_bytes(content[:length])
        with pytest.raises(UserError, match="model.monitor: not a .*bcclone monitor fit"):
            read_monitor(monitor)


@pytest.mark.parametrize("value", [None, -1, 10**400, "x", [], {"a": {}}])
def test_each_field_with_a_value_of_another_kind_is_harmless_or_refused(monitor, value):
    with np.load(monitor) as archive:
        members = dict(archive)
    stored = json.loads(members.pop("monitor").tobytes())
    for name in (*stored, *(f"gamma.{inner}" for inner in stored["gamma"])):
        outer, _, inner = name.partition(".")
        changed = json.dumps(stored | {outer: stored["gamma"] | {inner: value} if inner else value}).encode()
        np.savez(content := io.BytesIO(), monitor=np.frombuffer(changed, np.uint8), **members)
        monitor.write_bytes(content.getvalue() + hashlib.sha256(content.getvalue()).digest())
        with contextlib.suppress(UserError):
            read_monitor(monitor)


def test_the_threshold_is_exceeded_by_the_chosen_fraction_of_nominal_scores():
    scores = gamma.rvs(3.0, scale=0.02, size=20_000, random_state=1)
    assert (scores > GammaFit.of(scores).threshold(0.05)).mean() == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("scores", [np.full(100, 0.5), np.zeros(100), np.arange(9.0), np.full(50, np.nan)])
def test_scores_that_no_distribution_fits_are_refused(scores):
    with pytest.raises(ValueError, match="give more frames"):
        GammaFit.of(scores)


def test_the_moving_average_covers_each_window_once():
    assert moving_average(np.array([1.0, 2.0, 3.0, 4.0]), 2).tolist() == [1.5, 2.5, 3.5]
    assert moving_average(np.array([1.0, 3.0]), 5).tolist() == [2.0]
    assert moving_average(np.empty(0), 5).tolist() == []


def test_settings_that_make_no_monitor_are_refused():
    for values in ({"member_models": ("a.h5",)}, {"kind": "dropout", "member_models": ("a.h5", "b.h5")}):
        with pytest.raises(ValueError, match="expected|is for kind ensemble"):
            MonitorSettings(**values)
    with pytest.raises(ValueError, match="name one with monitor"):
        WatchSettings(None, "slow")
    assert WatchSettings(None, "ignore") == WatchSettings()
