"""The times of a table: their unit by the column's name, by dates, and by their steps."""

import pytest

from bcclone.lab.exchange.foreign_table import times_of

NEW_YEAR_MS = 1_672_531_200_000  # 2023-01-01


def counted(start, step, rows=20):
    return [str(start + step * row) for row in range(rows)]


@pytest.mark.parametrize(
    ("start", "step", "unit"),
    [
        (0, 1, "s"),
        (2 * 10**9, 50_000_000, "ns"),  # as seconds, a date of 2033
        (180_000_000_000, 50_000, "us"),  # as ms, a date of 1975
        (1_000_000_000_000, 50_000_000, "ns"),  # as ms, a date of 2001
    ],
)
def test_times_since_the_start_of_a_recording_are_no_dates(start, step, unit):
    times = times_of(counted(start, step))
    assert (times.unit, times.is_since_1970) == (unit, False)
    assert times.milliseconds[1] - times.milliseconds[0] == (1000 if unit == "s" else 50)


@pytest.mark.parametrize(("factor", "unit"), [(1e-3, "s"), (1, "ms"), (1000, "us"), (1_000_000, "ns")])
def test_times_since_1970_are_dates_in_any_order(factor, unit):
    cells = [repr(factor * (NEW_YEAR_MS + 50 * row)) for row in range(200)]
    times = times_of(cells[::2] + cells[1::2])
    assert (times.unit, times.is_since_1970) == (unit, True)
    assert times.milliseconds[:2] == [NEW_YEAR_MS, NEW_YEAR_MS + 100]


@pytest.mark.parametrize(("unit", "second"), [("s", 1), ("ns", 10**9)])
@pytest.mark.parametrize("rate", [0.1, 1000])
def test_the_name_of_a_column_says_its_unit(unit, second, rate):
    times = times_of(counted(0.0, second / rate, 5), f"Timestamp [{unit}]")
    assert (times.unit, times.is_since_1970) == (unit, False)
    assert times.milliseconds == [round(1000 / rate * row) for row in range(5)]


@pytest.mark.parametrize(
    ("cells", "milliseconds"),
    [
        (["20230101_000000_050", "20230101_000000_100"], [50, 100]),
        (["20230101000000050", "20230101000000100"], [50, 100]),
        (["2023-01-01 00:00:00.050", "2023-01-01 00:00:00.100"], [50, 100]),
        (["center_2023_01_01_00_00_00_050", "center_2023_01_01_00_00_00_100"], [50, 100]),
        (["20230101000000", "20230101000500"], [0, 300_000]),
    ],
)
def test_dates_may_be_written_in_several_ways(cells, milliseconds):
    times = times_of(cells)
    assert times.is_since_1970
    assert times.milliseconds == [NEW_YEAR_MS + each for each in milliseconds]


@pytest.mark.parametrize("cells", [["2023-01-01"] * 3, ["7"] * 3, ["1_000", "2_000"], ["x", "y"], []])
def test_what_never_changes_and_what_is_no_number_are_no_times(cells):
    assert times_of(cells) is None
