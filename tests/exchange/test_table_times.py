"""The times of a table: their unit by the column's name, by dates, and by their steps."""

import pytest

from bcclone.exchange.table_times import times_of
from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import imported, make_frames, rows_of

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
    step_ms = 1000 if unit == "s" else 50
    assert times.milliseconds[1] - times.milliseconds[0] == step_ms


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e-3, "s"), (1, "ms"), (1000, "us"), (1_000_000, "ns")]
)
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
        (["20230101_000000_050000", "20230101_000000_999600"], [50, 1000]),  # strftime %f
        (["2023-01-01_00-00-00-050000", "run 2023-01-01_00-00-00-100000.jpg"], [50, 100]),
        # milliseconds without zeros
        (
            ["2023-01-01 00:00:00:50", "2023-01-01 00:00:00:100"],
            [50, 100],
        ),
        (["2023-01-01 00:00:00,5", "2023/01/01 00:00:00.25"], [500, 250]),
        (["2023-01-01T00:00:00.050Z", "2023-01-01T00:00:00.100123456Z"], [50, 100]),
        (["2023-01-01T02:00:00.05+02:00", "2022-12-31T19:00:01-05:00"], [50, 1000]),
        (["2023-01-01 12:00:00 AM", "2023-01-01 01:00:00 pm"], [0, 13 * 3_600_000]),
    ],
)
def test_dates_may_be_written_in_several_ways(cells, milliseconds):
    times = times_of(cells)
    assert times.is_since_1970
    assert times.milliseconds == [NEW_YEAR_MS + each for each in milliseconds]


@pytest.mark.parametrize(
    "cells", [["2023-01-01"] * 3, ["7"] * 3, ["1_000", "2_000"], ["x", "y"], []]
)
def test_what_never_changes_and_what_is_no_number_are_no_times(cells):
    assert times_of(cells) is None


@pytest.mark.parametrize("form", ["{0}{1:06}", "{0}{2:03}", "{0}.{1:06}"])
@pytest.mark.parametrize(("before", "after"), [("125959", "130000"), ("95959", "100000")])
def test_numbers_that_jump_at_a_full_minute_are_times_of_day(form, before, after):
    cells = [
        form.format(second, 100_000 * n, 100 * n) for second in (before, after) for n in range(10)
    ]
    times = times_of(cells, "timestamp").milliseconds
    assert [time - times[0] for time in times] == [100 * n for n in range(20)]


def test_numbers_that_may_be_times_of_day_and_jump_at_no_minute_are_numbers():
    assert times_of(counted(125_900_000, 50)).unit == "ms"
    assert times_of([f"{number:08}" for number in range(12)]).unit == "s"


def test_a_point_after_unpadded_numbers_may_be_no_decimal_point():
    assert times_of(["17:9:44.5", "17:9:44.38", "17:9:44.71"]) is None


def test_numbers_in_names_that_do_not_rise_are_no_times(tmp_path):
    names = [f"{number}_{steering}.jpg" for number, steering in enumerate((0.1, 0.3, 0.2))]
    assert times_of_frames(tmp_path, "x", [1, 1, 1], names) == [0, 50, 100]


def test_times_of_day_go_on_after_midnight():
    times = times_of(["23:59:59.950", "00:00:00.050", "00:00:00:150"])
    assert not times.is_since_1970
    assert [time - times.milliseconds[0] for time in times.milliseconds] == [0, 100, 200]


def test_a_day_that_does_not_exist_is_no_time():
    assert times_of(["20231301_000000", "2023-01-01 00:00:00", "20230101_250000"]) is None


def times_of_frames(folder, column, cells, names=None, **settings):
    """Import frames with a column, or several; return their milliseconds since the first one."""
    names = names or [f"{number}.jpg" for number in range(len(cells))]
    rows = zip(names, ["0.1"] * len(names), cells, strict=True)
    result = imported(
        make_frames(folder, names, [("image", "steering", column), *rows]),
        folder / "out",
        **settings,
    )
    times = rows_of(result.output)["time_ms"]
    return (times - times[0]).tolist()


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (
            "timestamp",
            ["20250620_141024_000000", "20250620_141024_333000", "20250620_141025_999000"],
        ),
        (
            "date,time",
            ["2018-07-01,17:09:44.000", "2018-07-01,17:09:44.333", "2018-07-01,17:09:45.999"],
        ),
        ("stamp.secs,stamp.nsecs", ["1479425441,1000000", "1479425441,334000000", "1479425443,0"]),
        (
            "recorded",
            ["2018-07-01T17:09:44.0Z", "2018-07-01T17:09:44.333Z", "2018-07-01T17:09:45.999Z"],
        ),
        ("frame", ["run 1479425441.000", "run 1479425441.333", "run 1479425442.999"]),
        ("clock", ["23:59:59.000", "23:59:59.333", "00:00:00.999"]),
        ("clock", ["12-59-59-000000", "12-59-59-333000", "13-00-00-999000"]),
        ("dt_ms", ["", "333", "1666"]),
        ("dt", ["0.1", "0.333", "1.666"]),
        ("fps", ["0", "3.003003", "0.60024"]),
    ],
)
def test_a_column_of_times_is_found_in_any_form(tmp_path, column, cells):
    assert times_of_frames(tmp_path, column, cells) == [0, 333, 1999]


@pytest.mark.parametrize(
    "name",
    [
        "2018_7_1_17_9_4_{}",
        "14_30_05_{:03}000",
        "x_0.{:03}",
        "20250620_141024_{:03}000",
        "left_1479425441{:03}000000",
        "frame7-1479425441.{:03}",
        "1479425441_{:03}000000",
    ],
)
def test_times_are_found_in_the_names_of_images(tmp_path, name):
    names = [f"{name.format(at)}.jpg" for at in (0, 333, 999)]
    assert times_of_frames(tmp_path, "x", [1, 1, 1], names) == [0, 333, 999]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            ["one", "two", "three"],
            "column 'time' holds no times that can be read, such as 'one'; .*--frame-rate 20",
        ),
        (["2018-07-01"] * 3, "column 'time' holds no times that can be read, such as '2018-07-01'"),
        (
            ["17:09:44", "17:09:44", "17:09:44", "17:09:45"],
            "less than 8 ms apart, as of no camera; .*--frame-rate 2, ",
        ),
        (["0.001", "0.002", "0.003"], "time, in s: most frames are less than 8 ms apart"),
    ],
)
def test_times_that_no_camera_has_are_asked_for_or_counted(tmp_path, cells, words):
    with pytest.raises(UserError, match=words):
        times_of_frames(tmp_path, "time", cells)
    if cells[0] == "0.001":
        with pytest.raises(
            UserError,
            match=r"column 'lap_time' may hold times, .* such as '0\.001'; .*--time-column",
        ):
            times_of_frames(tmp_path / "lap", "lap_time", cells)
    assert times_of_frames(tmp_path, "time", cells, frame_rate=10) == [
        100 * number for number in range(len(cells))
    ]
