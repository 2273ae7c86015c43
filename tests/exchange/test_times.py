"""Times of tables and in names: dates, and numbers whose unit is plain."""

import numpy as np
import pytest

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.inquiry import NotStated
from bcclone.exchange.questions import Missing
from bcclone.exchange.times import Times, times_of, times_of_images
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.exchange.foreign_sources import asked, imported, make_frames, refusal_of, rows_of

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
    ["2018_7_1_17_9_4_{}", "20250620_141024{:03}000", "left_1479425441{:03}000000",
     "frame7-1479425441.{:03}", "20260501_120000_frame_1479425441{:03}"],
)  # fmt: skip
def test_dates_are_found_in_the_names_of_images(tmp_path, name):
    names = [f"{name.format(at)}.jpg" for at in (0, 333, 999)]
    assert of_frames(tmp_path, "x", [1, 1, 1], names) == [0, 333, 999]
    assert times_of_images(["0_0.1", "1_0.3", "frame_12"]) is None


@pytest.mark.parametrize(
    ("column", "cells", "kind"),
    [
        ("time", ["one", "two", "three"], "no times"),
        ("time_ms", ["1", "2", "3"], "fast"),
        ("lap_time", ["1.0", "1.1", "1.2"], "times of columns"),
        ("a,b", ["1,5", "1,6", "2,7"], "times of columns"),
    ],
)
def test_times_that_are_not_plain_are_asked_for_or_counted(tmp_path, column, cells, kind):
    with pytest.raises(NotStated) as refused:
        of_frames(tmp_path, column, cells)
    missing = [one for one in refused.value.facts["missing"] if not one["optional"]]
    option = "--time-column" if kind == "times of columns" else "--frame-rate"
    assert [(one["kind"], one["option"]) for one in missing] == [(kind, option)]
    expected = [100 * number for number in range(len(cells))]
    assert of_frames(tmp_path, column, cells, frame_rate=10) == expected
    if column == "lap_time":
        rows = of_frames(tmp_path / "asked", column, cells, time_column=column)
        assert rows == [0, 100, 200]


STEPS_MS = [0, 100, 180, 300, 900]  # of the rows below, in ms since the first one


def steps_of(times):
    assert isinstance(times, Times), times
    return (times.milliseconds - times.milliseconds[0]).tolist()


@pytest.mark.parametrize(
    ("first", "per_ms"),
    [
        ("45244.9259273495", 1 / 86.4e6),  # a spreadsheet
        ("739204.92592734948", 1 / 86.4e6),  # MATLAB
        ("2460263.425927349", 1 / 86.4e6),  # Julian days
        ("133444736001230000", 10_000),  # Windows
        ("638356976001230000", 10_000),  # .NET
        ("1700000000123", 1),
    ],
)
def test_numbers_of_a_calendar_are_read_by_it(first, per_ms):
    cells = [repr(float(first) + at * per_ms) for at in STEPS_MS]
    if "." not in first:
        cells = [str(int(first) + at * per_ms) for at in STEPS_MS]
    assert steps_of(times_of(cells, "time")) == pytest.approx(STEPS_MS, abs=1)


@pytest.mark.parametrize(
    ("column", "per_ms"), [("time [min]", 1 / 60e3), ("time_h", 1 / 3.6e6), ("t_d", 1 / 86.4e6)]
)
def test_minutes_hours_and_days_are_units(column, per_ms):
    assert steps_of(times_of([f"{at * per_ms:.12f}" for at in STEPS_MS], column)) == STEPS_MS
    assert question_of([f"{at * per_ms:.12f}" for at in STEPS_MS])[1] == "time_form"


@pytest.mark.parametrize("first", [1_034_567_890, 1_500_000_000_000])
@pytest.mark.parametrize(("form", "per_ms"), [("ms", 1), ("us", 1000), ("ns", 1_000_000)])
def test_an_uptime_that_looks_like_times_since_1970_is_asked_about(first, form, per_ms):
    cells = [str(first + at * per_ms) for at in STEPS_MS]
    if form != "ms" or first < 1e12:
        assert question_of(cells) == ("form of times", "time_form")
    assert steps_of(times_of(cells, "time", form)) == STEPS_MS
    assert steps_of(times_of(cells, f"time_{form}")) == STEPS_MS


@pytest.mark.parametrize(
    ("column", "start_ms", "turn_ms", "per_ms"),
    [
        ("time_us", 2**32 / 1e3 - 250, 2**32 / 1e3, 1e3),
        ("gps_time", 604_800_000 - 250, 604_800_000, 1e-3),
        ("ms_of_day", 86_400_000 - 250, 86_400_000, 1),
        ("second_of_minute", 60_000 - 250, 60_000, 1e-3),
        ("time_of_week_ms", 604_800_000 - 250, 604_800_000, 1),
    ],
)
def test_counters_that_begin_anew_count_on(column, start_ms, turn_ms, per_ms):
    cells = [f"{(start_ms + at) % turn_ms * per_ms:.4f}" for at in STEPS_MS]
    assert steps_of(times_of(cells, column)) == STEPS_MS


@pytest.mark.parametrize(
    ("column", "turn_ms", "per_ms"),
    [("time_s", 60e3, 1e-3), ("second", 60e3, 1e-3), ("t", 3.6e6, 1e-3), ("time_ms", 86.4e6, 1),
     ("time_ms", 65_536, 1)],
)  # fmt: skip
def test_a_fall_that_may_begin_another_drive_is_asked_about(tmp_path, column, turn_ms, per_ms):
    numbers = [(turn_ms - 250 + at) % turn_ms * per_ms for at in STEPS_MS]
    assert question_of(list(map(str, numbers)), column) == ("begins anew", "")
    # what the question says of a clock
    turn = turn_ms * per_ms
    rising = [number + turn * (number < numbers[0]) for number in numbers]
    assert steps_of(times_of(list(map(str, rising)), column)) == pytest.approx(STEPS_MS)


def test_the_clock_of_a_gps_receiver_passes_from_one_minute_to_the_next():
    cells = ["235959.50", "235959.90", "000000.30", "000000.70", "000001.10"]
    expected = [0, 400, 800, 1200, 1600]
    assert steps_of(times_of(cells, "time")) == expected
    assert steps_of(times_of(cells, "time", "s")) == expected
    assert steps_of(times_of([cell.replace(".", "") + "0" for cell in cells], "time")) == expected
    # seconds of the week count from 59 to 60
    numbers = ["125958.50", "125959.50", "125960.50", "126000.50"]
    assert steps_of(times_of(numbers, "gps_time")) == [0, 1000, 2000, 42_000]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("hour,minute,second", ["9,59,59.9", "10,0,0.0", "10,0,0.1"]),
        ("hour,min,sec,ms", ["23,59,59,900", "0,0,0,0", "0,0,0,100"]),
        ("h,m,s,ms", ["10,59,59,900", "11,0,0,0", "11,0,0,100"]),
        ("HH,MM,SS,mmm", ["10,59,59,900", "11,0,0,0", "11,0,0,100"]),
        ("mm,ss", ["59,59.9", "0,0", "0,0.1"]),
        ("time,sec", ["10:59,59.9", "11:00,0.0", "11:00,0.1"]),
        ("Time,Milliseconds", ["10:59:59,900", "11:00:00,0", "11:00:00,100"]),
        ("timestamp_s,millis", ["1700000000,900", "1700000001,0", "1700000001,100"]),
        ("date,ms_of_day", ["2026-05-01,7000", "2026-05-01,7100", "2026-05-01,7200"]),
        ("date,hour,min,sec", ["01/05/2026,9,0,0.0", "01/05/2026,9,0,0.1", "01/05/2026,9,0,0.2"]),
        ("tv_sec,tv_usec", ["1700000000,900000", "1700000001,0", "1700000001,100000"]),
        ("stamp_secs,stamp_nsecs", ["7,900000000", "8,0", "8,100000000"]),
        ("time", ["0.5 s", "0.6 s", "0.7 s"]),
        ("timestamp", ["(1700000000.512345)", "(1700000000.612345)", "(1700000000.712345)"]),
        ("time", [f"0 days 00:00:01.{at}50000" for at in (2, 3, 4)]),
        ("time", ["PT59.960S", "PT1M0.060S", "PT1M0.160S"]),
        ("time", [f"2026-132T10:00:00.{at}" for at in (5, 6, 7)]),
        ("date_time", ["26.11.26 09:30:00.1", "26.11.26 09:30:00.2", "26.11.26 09:30:00.3"]),
        ("time", ["11/26/26 9:30:00.1 PM", "11/26/26 9:30:00.2 PM", "11/26/26 9:30:00.3 PM"]),
        ("timestamp_ms", ['"4,900"', '"5,000"', '"5,100"']),
        ("time_s", ['"4,900"', '"5,000"', '"5,100"']),
    ],
)  # fmt: skip
def test_parts_units_and_marks_of_times_are_read(tmp_path, column, cells):
    assert of_frames(tmp_path, column, cells) == [0, 100, 200]


@pytest.mark.parametrize(
    "name", ["{}_22-13-20-{}00", "frame_{}_{}00ms", "1479425441.{1}", "2026-05-20_10-00-01.{1}00"]
)
def test_clocks_units_and_decimals_in_names_are_times(tmp_path, name):
    names = [f"{name.format(number, 1 + number)}.jpg" for number in range(3)]
    assert of_frames(tmp_path, "x", [1, 1, 1], names) == [0, 100, 200]


def test_an_order_of_dates_is_asked_for_only_among_those_that_exist(tmp_path):
    names = [f"231114221320.{at}23.jpg" for at in (1, 2, 3)]
    rows = [("image", "steering"), *((name, "0.1") for name in names)]
    source = make_frames(tmp_path / "set", names, rows)
    assert asked(source) == {"--time-form": "order of dates"}
    assert "month-first" not in str(refusal_of(source))
    result = imported(source, tmp_path / "out", time_form="year-first")
    assert "center_2023_11_14" in rows_of(result.output)["center"][0]


def test_a_column_that_may_be_the_time_is_asked_for_before_a_rate(tmp_path):
    cells = ["86399.8", "86399.9", "0.0", "0.1", "0.2"]
    with pytest.raises(NotStated) as refused:
        of_frames(tmp_path, "clock_of_day", cells)
    assert "--time-column TIMES" in refused.value.facts["command"]
    again = of_frames(tmp_path / "asked", "clock_of_day", cells, time_column="clock_of_day")
    assert again == [0, 100, 200, 300, 400]


def test_columns_named_and_a_rate_are_not_both_asked_for(tmp_path):
    cells = ["22:13:20:03", "22:13:20:06", "22:13:20:09"]
    with pytest.raises(NotStated) as refused:
        of_frames(tmp_path, "timecode", cells, time_column="timecode")
    assert "--frame-rate HZ" in refused.value.facts["command"]
    assert "--time-column" not in refused.value.facts["command"]


@pytest.mark.parametrize("cell", ["1e308", "-1e308", "inf"])
def test_a_number_too_large_for_a_time_is_none(cell):
    times = times_of([cell, *(str(0.05 * n) for n in range(20))], "time")
    assert (times.of(0), times.of(2)) == (None, 50)


@pytest.mark.parametrize(
    ("column", "cells", "kind"),
    [
        ("hour,second", ["9,0.0", "9,0.1", "9,0.2"], "parts of a time"),
        ("hour,minute,second", ["25,1,0.0", "25,1,0.1", "25,1,0.2"], "parts of a time"),
        ("m,s", ["7,0.0", "7,0.1", "7,0.2"], "minutes or metres"),
        ("timestamp,time", ["0,0.0", "0.1,0.2", "0.2,0.4"], "several times"),
        ("timestamp,time", ["0,0.0", "100,0.2", "200,0.4"], "several times"),
    ],
)
def test_parts_and_columns_that_do_not_make_one_time_are_asked_about(tmp_path, column, cells, kind):
    with pytest.raises(NotStated) as refused:
        of_frames(tmp_path, column, cells)
    assert [one["kind"] for one in refused.value.facts["missing"] if not one["optional"]] == [kind]
    if kind == "several times":
        assert of_frames(tmp_path / "named", column, cells, time_column="time") == [0, 200, 400]


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("timestamp,time", ["1700000000.5,0.0", "1700000000.603,0.1", "1700000000.7,0.2"]),
        ("timestamp,time", ["1700000000,0.0", "1700000000,0.1", "1700000000,0.2"]),
        ("time_s,time_ms", ["0.0,0", "0.1,100", "0.2,200"]),
        ("time_s,timestamp", ["0.0,0", "0.1,100", "0.2,200"]),
        ("date,time", ["monday,0.0", "monday,0.1", "monday,0.2"]),
    ],
)
def test_several_columns_of_times_that_are_alike_are_read(tmp_path, columns, cells):
    assert of_frames(tmp_path, columns, cells) == pytest.approx([0, 100, 200], abs=3)


def test_the_number_of_a_picture_behind_the_date_of_a_session_is_no_part_of_a_second(tmp_path):
    names = [f"20260501_120000_{20 * row:03}.jpg" for row in range(40)]
    with pytest.raises(NotStated) as refused:
        of_frames(tmp_path, "x", [1] * 40, names)
    assert [one["kind"] for one in refused.value.facts["missing"]] == ["part of a second"]
    expected = [20 * row for row in range(40)]
    assert of_frames(tmp_path / "ms", "x", [1] * 40, names, time_form="ms") == expected
    assert of_frames(tmp_path / "rate", "x", [1] * 40, names, frame_rate=50) == expected


def test_six_digits_behind_a_date_that_count_up_by_1_are_no_clock():
    assert times_of_images([f"20260501_{row:06}" for row in range(50)]).kind == "row numbers"
    later = times_of_images([f"20260501_1200{row:02}" for row in range(50)])
    assert steps_of(later)[:2] == [0, 1000]


def test_two_times_in_names_that_are_not_alike_are_asked_about():
    names = [f"2026050{1 + row // 2}_120000_{1_500_000_000_123 + row * 100}" for row in range(4)]
    assert steps_of(times_of_images(names[:2])) == [0, 100]
    found = times_of_images(names)
    assert isinstance(found, Missing)


@pytest.mark.parametrize(
    ("column", "cells", "form"),
    [
        ("time_s", ["0.0", "0.1", "0.2"], "day-first"),
        ("time", [f"2026-05-01 10:00:00.{at}" for at in range(3)], "ms"),
        ("time", [f"2026-05-01 10:00:00.{at}" for at in range(3)], "day-first"),
        ("time", [f"10:00:00.{at}" for at in range(3)], "month-first"),
        ("minute,second", ["1,0.0", "1,0.1", "1,0.2"], "ms"),
    ],
)
def test_a_form_by_which_no_time_is_read_is_refused(tmp_path, column, cells, form):
    with pytest.raises(UserError, match=f"--time-form {form} states nothing"):
        of_frames(tmp_path, column, cells, time_form=form)
    assert of_frames(tmp_path / "without", column, cells) == [0, 100, 200]
    with pytest.raises(SettingError, match="time_form"):
        of_frames(tmp_path / "counted", column, cells, time_form=form, frame_rate=10)


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("time_s", [f"{0.5 * row:.1f}" for row in range(8)]),
        ("time", [f"{(59 + row // 4) % 60:02}:{(56 + row) % 60:02}.0" for row in range(8)]),
        ("second_of_minute", [f"{(57 + row) % 60}" for row in range(8)]),
        ("minute,second", [f"{(59 + row // 4) % 60},{(56 + row) % 60}" for row in range(8)]),
        ("time,ms", [f"10:00:0{row // 2},{500 * (row % 2)}" for row in range(8)]),
        ("utc_date,utc_time", [f"2026-05-0{1 + row // 4},0:00:0{row % 4}.5" for row in range(8)]),
    ],
)
def test_rows_that_stand_newest_first_have_the_same_times(tmp_path, column, cells):
    names = [f"{number}.jpg" for number in range(len(cells))]
    table = [("image", "steering", column)]
    table += [(name, "0.1", cell) for name, cell in zip(names, cells, strict=True)]
    results = [
        imported(make_frames(tmp_path / str(number) / "set", names, rows), tmp_path / f"{number}o")
        for number, rows in enumerate((table, [table[0], *table[:0:-1]]))
    ]
    first, again = (rows_of(result.output)["time_ms"].tolist() for result in results)
    assert first == again == sorted(first)
    assert "newest first" in results[1].as_text()


@pytest.mark.parametrize(
    ("column", "form", "per_ms"),
    [
        ("time_ds", None, 0.01),
        ("time [cs]", None, 0.1),
        ("tick", "10ms", 0.1),
        ("time_x10ms", "10ms", 0.1),
        ("timestamp_100ns", "100ns", 1e4),
        ("time_jiffies", "0.01s", 0.1),
    ],
)
def test_parts_and_multiples_of_a_unit_are_read_or_stated(column, form, per_ms):
    cells = [f"{50 * row * per_ms:.3f}" for row in range(40)]
    times = times_of(cells, column, form)
    assert isinstance(times, Times)
    assert times.milliseconds.tolist() == [50 * row for row in range(40)]


def test_a_time_form_is_one_of_those_or_a_number_with_a_unit(tmp_path):
    with pytest.raises(SettingError, match="10 parsecs, expected s, .* such as 10ms"):
        ImportSettings(tmp_path, time_form="10 parsecs")


def test_a_clock_without_marks_may_lack_its_first_zero():
    seconds = [58 + 0.05 * row for row in range(80)]
    cells = [f"9{30 + int(each // 60):02}{each % 60:06.3f}" for each in seconds]
    times = times_of(cells, "utc")
    assert isinstance(times, Times)
    assert set(np.diff(times.milliseconds)) == {50}
    assert times.milliseconds[0] == 1000 * (9 * 3600 + 30 * 60 + 58)
    plain = [f"{93058 + 0.05 * row:.3f}" for row in range(80)]
    assert times_of(plain, "time").milliseconds[0] == 93_058_000
