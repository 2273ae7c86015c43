"""What replays tell of networks: how figures agree, and networks that are trained, driven and
replayed.
"""

import dataclasses

import pytest

from bcclone.system.settings import SettingError
from benchmarks.replay import Row, Settings, make_report
from tests.benchmarks.running import run_benchmark

# departures per km of a drive -> of its replay at the usual limit, and of its open loop
DEPARTURES = {0.0: (1.0, 0.01), 4.0: (3.0, 0.03), 10.0: (6.0, 0.02), 20.0: (11.0, 0.04)}


def row(departures, replayed, error, condition="usual"):
    return Row(
        road="lake",
        condition=condition,
        network=f"{departures:g}",
        departures_per_km=departures,
        beyond_per_km={"2.2": departures},
        from_middle_m=0.1 * departures,
        driven_mph=25.0,
        recorded_mph=25.0,
        replay_per_km={"2": replayed, "road": departures},
        replay_from_path_m={"2": 0.2, "road": -departures},
        steering_error=error,
        steering_correlation=None,
    )


@pytest.fixture(scope="module")
def agreements():
    """Condition, what and by -> agreement."""
    rows = [row(departures, *others) for departures, others in DEPARTURES.items()]
    rows += [dataclasses.replace(one, condition="low sun") for one in rows[1:]]
    values = make_report(rows).as_json()
    assert (values["networks"], len(values["rows"])) == (4, 7)
    return {
        (found["condition"], found["what"], found["by"]): found for found in values["agreements"]
    }


def test_a_replay_that_counts_half_as_many_departures_ranks_as_well_as_one_that_counts_all(
    agreements,
):
    half, all_ = (agreements["usual", "departures", by] for by in ("2", "road"))
    for agreement in (half, all_):
        assert [agreement[name][0] for name in ("r2", "spearman", "pairs_percent")] == [1, 1, 100]
    assert (half["slope"][0], all_["slope"][0]) == (0.5, 1)
    # that counts one departure for the network that has none
    assert (half["none_percent"][0], all_["none_percent"][0]) == (75, 100)


def test_an_open_loop_that_swaps_two_networks_is_wrong_on_one_of_six_pairs(agreements):
    found = agreements["usual", "departures", "open loop"]
    value, low, high = found["pairs_percent"]
    assert value == pytest.approx(100 * 5 / 6, abs=1e-3)
    assert low < value <= high <= 100
    assert found["spearman"][0] == 0.8
    assert "slope" not in found


def test_a_constant_tells_nothing_and_an_opposite_is_wrong_on_every_pair(agreements):
    constant = agreements["usual", "distance", "2"]
    assert (constant["r2"], constant["spearman"]) == (None, None)
    assert constant["pairs_percent"][0] == 50
    opposite = agreements["usual", "distance", "road"]
    assert (opposite["spearman"][0], opposite["pairs_percent"][0]) == (-1, 0)


def test_distances_on_the_road_are_of_drives_without_departures(agreements):
    found = agreements["all", "distance on the road", "road"]
    assert (found["drives"], found["pairs_percent"]) == (1, None)
    assert agreements["all", "departures", "road"]["drives"] == 7


def test_an_unknown_road_is_refused_with_the_names():
    with pytest.raises(SettingError, match="nonsense.*lake, mountain"):
        Settings(("nonsense",))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_networks_are_trained_driven_and_replayed_and_are_kept(tmp_path):
    line = ("replay", "--roads", "lake", "--networks", 2, "--laps", 0.02, "--folder", tmp_path)
    first = run_benchmark(*line)
    assert first["networks"] == 2
    assert [row["condition"] for row in first["rows"]] == 2 * ["usual", "low sun", "other speed"]
    for row in first["rows"]:
        assert set(row["replay_per_km"]) == {"1", "1.5", "2", "3", "road"}
        assert row["driven_mph"] == pytest.approx(row["recorded_mph"], rel=0.1)
        assert row["steering_error"] > 0
    models = sorted(tmp_path.glob("*.h5"))
    written = [path.stat().st_mtime_ns for path in models]
    assert run_benchmark(*line)["rows"] == first["rows"]
    assert [path.stat().st_mtime_ns for path in models] == written
