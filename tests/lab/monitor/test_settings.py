"""Settings of monitors."""

import pytest

from bcclone.lab.monitor.monitor_settings import MonitorSettings, WatchSettings


@pytest.mark.parametrize(
    "values",
    [
        {"member_models": ("a.h5",)},
        {"kind": "dropout", "member_models": ("a.h5", "b.h5")},
    ],
)
def test_values_that_make_no_monitor_are_refused(values):
    with pytest.raises(ValueError, match="expected|leave member_models out"):
        MonitorSettings(**values)


def test_a_rule_for_uncertainty_needs_a_monitor():
    with pytest.raises(ValueError, match="name one with monitor"):
        WatchSettings(None, "slow")
    assert WatchSettings(None, "ignore") == WatchSettings()
