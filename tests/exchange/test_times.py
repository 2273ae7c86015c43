"""Times of tables and in names: dates, and numbers whose unit is plain."""

import pytest

from bcclone.exchange.inquiry import Missing, NotStated
from bcclone.exchange.times import Times, times_in_names, times_of
from tests.exchange.foreign_sources import imported, make_frames, rows_of

NEW_YEAR_MS = 1_672_531_200_000  # 2023-01-01


def milliseconds_of(cells, name="time", form=None):
    times = times_of(cells, name, form)
    assert isinstance(times, Times), times
    return times.milliseconds.tolist()


def question_of(cells, name="time", form=None):
    missing = times_of(cells, name, form)
    assert isinstance(missing, Missing), missing
    return missing.kind, missing.setting


@pytest.mark.parametrize("start", [0, NEW_YEAR_MS])
@pytest.mark.parametrize(
    ("name", "per_ms"), [("time", 1e-3), ("t_ms", 1), ("stamp (us)", 1000), ("ns", 1_000_000)]
)
def test_the_name_of_a_column_says_the_unit_and_without_one_it_is_seconds(start, name, per_ms):
    cells = [repr(per_ms * (start + 50 * row)) for row in range(200)]
    times = milliseconds_of(cells[::2] + cells[1::2], name)
    assert times[:2] == [start, start + 100]


@pytest.mark.parametrize(
    ("cells", "milliseconds"),
    [
        (["20230101_000000_050", "20230101_000000_100"], [50, 100]),
        (["2023-01-01 00:00:00.050", "2023-01-01 00:00:00.100"], [50, 100]),
        (["20230101_000000_050000", "20230101_000000_999600"], [50, 1000]),  # strftime %f
        (["2023-01-01 00:00:00:50", "2023-1-1 0:0:0:100"], [50, 100]),  # ms without zeros
        (["2023-01-01 00:00:00,5", "2023/01/01 00:00:00.25"], [500, 250]),
        (["2023-01-01T00:00:00.050Z", "2023-01-01T00:00:00.100123456Z"], [50, 100]),
        (["2023-01-01T02:00:00.05+02:00", "2022-12-31T19:00:01-05:00"], [50, 1000]),
    ],
)
def test_dates_may_be_written_in_several_ways(cells, milliseconds):
    assert milliseconds_of(cells) == [NEW_YEAR_MS + each for each in milliseconds]


@pytest.mark.parametrize(
    "cells",
    [
        ["2023-01-01"] * 3, ["7"] * 3, ["1_000", "2_000"], ["x", "y"], [""],
        ["20231301_000000", "20230101_250000"],  # a month and an hour that do not exist
        ["32.13.2023 00:00:00", "33.13.2023 00:00:00"],
        ["00:00:10", "00:01:10", "00:02:10"],  # no camera takes a picture a minute
    ],
)  # fmt: skip
def test_what_no_camera_can_have_are_no_times(cells):
    assert question_of(cells) == ("no times", "frame_rate")


@pytest.mark.parametrize(
    "cells", [["0", "50", "100"], ["0", "1e-9"], ["180000000000", "180050000000"]]
)
@pytest.mark.parametrize(("form", "per_ms"), [("s", 1e-3), ("ms", 1), ("us", 1e3), ("ns", 1e6)])
def test_numbers_that_are_not_seconds_are_asked_for_their_unit(cells, form, per_ms):
    assert question_of(cells) == ("form of times", "time_form")
    expected = [round(float(cell) / per_ms) for cell in cells]
    assert milliseconds_of(cells, form=form) == expected


@pytest.mark.parametrize("first", [0, 1, NEW_YEAR_MS // 1000])
def test_whole_numbers_that_count_up_by_1_are_the_numbers_of_rows_unless_they_have_a_unit(first):
    numbers = [first + row for row in range(40) if row != 7]
    assert question_of(list(map(str, numbers))) == ("row numbers", "time_form")
    assert milliseconds_of(list(map(str, numbers)), form="s")[0] == 1000 * first
    assert milliseconds_of(list(map(str, numbers)), "time_s") == [
        1000 * number for number in numbers
    ]


def of_frames(folder, column, cells, names=None, **settings):
    """Import frames with a column, or several; return their milliseconds since the first one."""
    names = names or [f"{number}.jpg" for number in range(len(cells))]
    rows = zip(names, ["0.1"] * len(names), cells, strict=True)
    table = [("image", "steering", column), *rows]
    result = imported(make_frames(folder / "set", names, table), folder / "out", **settings)
    times = rows_of(result.output)["time_ms"]
    return (times - times[0]).tolist()


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("timestamp", [f"20250620_14102{at}" for at in ("4_000000", "4_333000", "5_999000")]),
        ("date,time", [f"2018-07-01,17:09:4{at}" for at in ("4.0", "4.333", "5.999")]),
        ("Frame Time [ms]", ["0", "333", "1999"]),
    ],
)  # fmt: skip
def test_a_column_with_a_usual_name_has_the_times(tmp_path, column, cells):
    assert of_frames(tmp_path, column, cells) == [0, 333, 1999]


@pytest.mark.parametrize(
    "name",
    ["2018_7_1_17_9_4_{}", "20250620_141024_{:03}000", "left_1479425441{:03}000000",
     "frame7-1479425441.{:03}"],
)  # fmt: skip
def test_dates_are_found_in_the_names_of_images(tmp_path, name):
    names = [f"{name.format(at)}.jpg" for at in (0, 333, 999)]
    assert of_frames(tmp_path, "x", [1, 1, 1], names) == [0, 333, 999]
    assert times_in_names(["0_0.1", "1_0.3", "frame_12"]) is None


@pytest.mark.parametrize(
    ("column", "cells", "kind"),
    [
        ("time", ["one", "two", "three"], "no times"),
        ("time_ms", ["1", "2", "3"], "fast"),
        ("lap_time", ["1.0", "1.1", "1.2"], "times"),
        ("a,b", ["1,5", "1,6", "2,7"], "times"),
    ],
)
def test_times_that_are_not_plain_are_asked_for_or_counted(tmp_path, column, cells, kind):
    with pytest.raises(NotStated) as refused:
        of_frames(tmp_path, column, cells)
    missing = [one for one in refused.value.facts["missing"] if not one["optional"]]
    assert [(one["kind"], one["option"]) for one in missing] == [(kind, "--frame-rate")]
    expected = [100 * number for number in range(len(cells))]
    assert of_frames(tmp_path, column, cells, frame_rate=10) == expected
    if column == "lap_time":
        rows = of_frames(tmp_path / "asked", column, cells, time_column=column)
        assert rows == [0, 100, 200]
