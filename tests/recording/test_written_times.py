"""Times in texts: time zones, durations, and names of any length."""

import pytest

from bcclone.recording.time_forms import HOUR_MS
from bcclone.recording.written_times import WrittenTimes, times_in_cells, times_in_names


def milliseconds(cells):
    found = times_in_cells(cells)
    assert isinstance(found, WrittenTimes), found
    return found.milliseconds


@pytest.mark.parametrize(
    ("zone", "hours"), [("-05", 5), ("-05:30", 5.5), ("+02", -2), ("+5:30", -5.5), ("Z", 0)]
)
@pytest.mark.parametrize("fraction", ["", ".5"])
def test_a_time_zone_may_lack_its_minutes(zone, hours, fraction):
    read = milliseconds([f"10:09:{second}{fraction}{zone}" for second in (10, 11)])
    first_ms = (10 + hours) * HOUR_MS + 1000 * (9 * 60 + float(f"10{fraction}"))
    assert read == [first_ms, first_ms + 1000]


def test_the_end_of_summer_time_is_no_fall():
    read = milliseconds(["02:59:59.5+02", "02:00:00.5+01", "02:00:01.5+01"])
    assert [time - read[0] for time in read] == [0, 1000, 2000]


def test_the_minus_of_a_duration_is_of_its_days_or_of_all():
    assert milliseconds([f"-1 days +23:59:5{n}.5" for n in (8, 9)]) == [-1500, -500]
    assert milliseconds(["-PT1.5S", "-PT0.5S"]) == [-1500, -500]


@pytest.mark.parametrize("day", ["000", "367", "999"])
def test_a_day_that_no_year_has_is_no_time(day):
    assert times_in_cells([f"2023-{day}T10:00:00", f"2023-{day}T10:00:01"]) is None


def test_only_the_begin_of_a_name_with_many_times_is_read():
    # without a limit of what is looked at, this takes hours, or ends in a RecursionError
    assert times_in_names([f"{'20132013101010_' * 400}{number}" for number in range(3)]) is None
    found = times_in_names([f"{'1s_' * 3000}{number}" for number in range(3)])
    assert isinstance(found, WrittenTimes)
    assert found.milliseconds == [1000, 1000, 1000]
