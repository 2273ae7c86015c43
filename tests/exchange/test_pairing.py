"""Which picture a row of a table has: by names, numbers and order; and of which camera."""

import re

import pandas as pd
import pytest

from tests.exchange.foreign_sources import (
    asked,
    color_of,
    color_shown,
    imported,
    imported_frames,
    make_frames,
    refusal_of,
    rows_of,
    write_image,
)


def numbered(folder, numbers, names=None, column="frame_id"):
    """Make pictures 0000.png and so on, in whose order rows have other numbers."""
    names = names or [f"{number:04}.png" for number in range(len(numbers))]
    cells = [(str(number), f"{0.02 * row:.2f}") for row, number in enumerate(numbers)]
    return make_frames(folder, names, [(column, "steering"), *cells])


@pytest.mark.parametrize(("first", "by"), [(100, 1), (24, 2)])
@pytest.mark.parametrize("column", ["frame_id", "id"])
def test_numbers_none_of_which_is_in_the_names_are_in_order(tmp_path, first, by, column):
    folder = numbered(tmp_path / "set", [first + by * row for row in range(24)], column=column)
    given = {"image_column": column, "straight": 0.0}
    result = imported_frames(folder, **(given if column == "id" else {"straight": 0.0}))
    assert result.rows == 24
    for row in (0, 20):
        assert color_shown(result.output, row) == pytest.approx(color_of(row), abs=6)
    assert "row N has image N" in result.as_text()


@pytest.mark.parametrize(("first", "by"), [(1, 1), (10, 1), (0, 2), (5, 3)])
@pytest.mark.parametrize("column", ["frame_id", "id"])
def test_numbers_some_of_which_are_in_the_names_are_asked_about(tmp_path, first, by, column):
    numbers = [first + by * row for row in range(24)]
    folder = numbered(tmp_path / "set", numbers, column=column)
    given = {"frame_rate": 20, "straight": 0.0}
    assert asked(folder, **given) == {"--image-column": "numbers of images"}
    # the two answers that the question names
    result = imported_frames(folder, straight=0.0, image_column=column)
    assert result.rows == len({*range(24)} & {*numbers})
    assert color_shown(result.output, 0) == pytest.approx(color_of(first), abs=6)
    rows = [("steering",), *((f"{0.02 * row:.2f}",) for row in range(24))]
    without = make_frames(tmp_path / "other" / "set", [f"{n:04}.png" for n in range(24)], rows)
    assert color_shown(imported_frames(without, straight=0.0).output, 0) == pytest.approx(
        color_of(0), abs=6
    )


@pytest.mark.parametrize("cell", ["{}", "{}.0"])
@pytest.mark.parametrize("name", ["{:04}.png", "cam2_{:04}.png"])
def test_a_number_that_differs_in_all_names_is_that_of_the_picture(tmp_path, name, cell):
    names = [name.format(number) for number in range(24)]
    rows = [("time_ms", "seq", "steering")]
    rows += [(100 * row, cell.format(number), "0.1") for row, number in enumerate(range(2, 26))]
    folder = make_frames(tmp_path / "set", names, rows)
    assert asked(folder) == {"--image-column": "numbers of images"}
    result = imported(folder, tmp_path / "out", image_column="seq")
    assert result.rows == 22
    assert color_shown(result.output, 0) == pytest.approx(color_of(2), abs=6)
    for number, old in enumerate(names):  # two numbers differ, and no cell has both
        (folder / old).rename(folder / f"{number:04}_{7 * number}.png")
    assert asked(folder) == {None: "numbers beside others"}


@pytest.mark.parametrize("names", ["run{}/{:04}.png", "{}/f_{:04}.png", "r{}_{:04}.png"])
@pytest.mark.parametrize("runs", [(2, 1), (1, 2)])
def test_rows_in_another_order_than_their_folders_are_asked_about(tmp_path, names, runs):
    each = [(run, frame) for run in (1, 2) for frame in range(12)]
    for moment, (run, frame) in enumerate(each):
        write_image(tmp_path / "set" / names.format(run, frame), moment)
    rows = [(run, frame) for run in runs for frame in range(12)]
    lines = "".join(f"{run},{frame},{0.01 * frame:.2f}\n" for run, frame in rows)
    (tmp_path / "set" / "labels.csv").write_text(f"run,number,steering\n{lines}")
    given = {"straight": 0.0, "frame_rate": 20}
    if runs == (2, 1):
        assert asked(tmp_path / "set", **given) == {None: "numbers beside others"}
    else:
        result = imported(tmp_path / "set", tmp_path / "out", **given)
        assert result.rows == 24


def paired(folder, names, cells, column="time_ms", **settings):
    """Import pictures and rows of the same moments, (moment, name) and (moment, cell); return the
    moments of the rows, each of which shows the color of its picture.
    """
    for moment, name in names:
        write_image(folder / name, moment)
    rows = "".join(f"{cell},{0.01 * moment:.2f}\n" for moment, cell in cells)
    (folder / "labels.csv").write_text(f"{column},steering\n{rows}")
    result = imported(folder, folder.parent / "out", straight=0.0, **settings)
    moments = [round(100 * steering) for steering in rows_of(result.output)["steering"]]
    for row, moment in enumerate(moments):
        assert color_shown(result.output, row) == pytest.approx(color_of(moment), abs=6)
    assert "by the times in their names" in result.as_text()
    return moments


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        (lambda at: f"f_{1_500_000_000_123 + at}", "time_ms", lambda at: 1_500_000_000_123 + at),
        (lambda at: f"f_{1_500_000_000_123 + at}", "t", lambda at: 1_500_000_000.1234 + at / 1000),
        (lambda at: f"20260501_1000{at // 1000:02}.{at % 1000:03}", "time",
         lambda at: f"2026-05-01 10:00:{at // 1000:02}.{at % 1000:03}"),
        (lambda at: f"f{7_000_000 + 1000 * at}", "t_us", lambda at: 7_000_000 + 1000 * at),
    ],
)  # fmt: skip
def test_pictures_and_rows_of_one_clock_are_paired_by_it(tmp_path, name, column, cell):
    names = [(moment, f"{name(100 * moment)}.png") for moment in range(24) if moment not in (5, 9)]
    cells = [(moment, cell(100 * moment)) for moment in range(24) if moment not in (2, 17)]
    expected = [moment for moment in range(24) if moment not in (2, 5, 9, 17)]
    assert paired(tmp_path / "set", names, cells, column) == expected
    assert paired(tmp_path / "reversed" / "set", names, cells[::-1], column) == expected


def test_rows_that_may_not_be_in_the_order_of_the_pictures_are_asked_about(tmp_path):
    names = [f"{number:04}.png" for number in range(24)]
    rows = [("time_s", "steering"), *((f"{0.1 * row:.1f}", "0.1") for row in reversed(range(24)))]
    folder = make_frames(tmp_path / "set", names, rows)
    assert asked(folder) == {"--frame-rate": "falling times"}
    result = imported_frames(folder, straight=0.0, frame_rate=10)  # they are in their order
    assert color_shown(result.output, 20) == pytest.approx(color_of(20), abs=6)
    # the names have other times, or numbers that begin anew
    rows = [("time_ms", "steering"), *((1_500_000_000_000 + 100 * row, 0.1) for row in range(24))]
    near = [f"{1_500_000_000_030 + 100 * (row + (row > 9))}.png" for row in range(24)]
    assert asked(make_frames(tmp_path / "near", near, rows)) == {None: "images at other times"}
    gap = [f"{row + (row > 9):04}.png" for row in range(24)]
    assert asked(make_frames(tmp_path / "gap", gap, rows)) == {None: "numbers left out"}
    with_gap = [rows[0], *((time + 100 * (row > 9), 0.1) for row, (time, _) in enumerate(rows[1:]))]
    assert imported(make_frames(tmp_path / "both", gap, with_gap), tmp_path / "of-both").rows == 24


@pytest.mark.parametrize(
    ("name", "first", "turn"), [("{:02}", 90, 100), ("IMG_{:04}", 9990, 10_000), ("{}", 250, 256)]
)
def test_pictures_whose_numbers_begin_anew_have_no_order(tmp_path, name, first, turn):
    rows = [("time_ms", "steering"), *((1_500_000_000_000 + 100 * row, 0.1) for row in range(24))]
    wrapped = [f"{name.format((first + row) % turn)}.png" for row in range(24)]
    folder = make_frames(tmp_path / "wrapped", wrapped, rows)
    assert asked(folder) == {None: "numbers that begin anew"}
    for row, name in enumerate(wrapped):
        (folder / name).rename(folder / f"{row:04}.png")
    assert color_shown(imported(folder, tmp_path / "out").output, 12) == pytest.approx(
        color_of(12), abs=6
    )


def test_numbers_that_fit_neither_the_names_nor_their_count_are_asked_about(tmp_path):
    names = [f"{number:04}.png" for number in range(24)]
    folder = numbered(tmp_path / "set", range(5, 30), names)
    given = {"frame_rate": 20, "straight": 0.0}
    assert asked(folder, **given) == {"--image-column": "numbers of images"}
    assert imported_frames(folder, **given, image_column="frame_id").rows == 19


def test_every_second_picture_of_a_log_is_read(tmp_path):
    folder = numbered(
        tmp_path / "set", range(24), [f"{number:04}.png" for number in range(0, 24, 2)]
    )
    result = imported_frames(folder, straight=0.0)
    assert rows_of(result.output)["steering"].tolist() == [0.04 * row for row in range(12)]


@pytest.mark.parametrize("cell", ["a%20{}%C3%A4.png", "img/a {}ä.jpg", "C:\\img\\a {}ä.png"])
def test_addresses_and_other_endings_name_a_picture(tmp_path, cell):
    names = [f"img/a {number}ä.png" for number in range(12)]
    rows = [("image", "steering"), *((cell.format(number), "0.1") for number in range(12))]
    result = imported_frames(make_frames(tmp_path / "set", names, rows))
    assert result.rows == 12
    assert ("end otherwise" in result.as_text()) == cell.endswith("jpg")


def test_of_folders_with_pictures_of_the_same_names_one_is_asked_for(tmp_path):
    names = [f"{camera}/{number:04}.png" for camera in ("left", "center") for number in range(12)]
    rows = [("image", "steering"), *((f"{number:04}.png", "0.1") for number in range(12))]
    folder = make_frames(tmp_path / "set", names, rows)
    refusal = refusal_of(folder, frame_rate=20)
    assert [one["kind"] for one in refusal.facts["missing"]] == ["folder"]
    assert "import FOLDER" in refusal.facts["command"]
    table = next(folder.glob("*.csv"))
    assert str(table) in refusal.facts["command"]
    assert imported_frames(folder / "center", table=table).rows == 12


def test_pictures_are_in_the_order_of_decimals_without_zeros_behind(tmp_path):
    names = [f"{name}.png" for name in ("0.05", "0.1", "0.15", "0.2", "0.25", "1")]
    rows = [("steering",), *((f"{0.1 * row:.1f}",) for row in range(6))]
    result = imported_frames(make_frames(tmp_path / "set", names, rows), straight=0.0)
    for row in range(6):
        assert color_shown(result.output, row) == pytest.approx(color_of(row), abs=6)


def test_pictures_counted_in_each_second_are_of_one_camera(tmp_path):
    names = [
        f"20260520_10000{second}_{number}.png"
        for second, count in enumerate((3, 5, 4, 5, 4))
        for number in range(count)
    ]
    rows = [("image", "steering"), *((name, "0.1") for name in names)]
    folder = make_frames(tmp_path / "set", names, rows)
    assert asked(folder) == {"--frame-rate": "part of a second"}
    assert imported_frames(folder, frame_rate=4).rows == len(names)
    # always as many may be numbers of cameras
    steady = [name for name in names if name[-5] in "012"]
    rows = [("image", "steering"), *((name, "0.1") for name in steady)]
    folder = make_frames(tmp_path / "other" / "steady", steady, rows)
    assert asked(folder) == {"--frame-rate": "cameras or numbers"}
    assert asked(folder, frame_rate=1) == {"--frame-rate": "cameras or numbers"}
    assert imported_frames(folder, frame_rate=3).rows == len(steady)


def test_cameras_are_seen_in_times_of_which_some_are_empty(tmp_path):
    rows = [("image", "time_s", "steering")]
    for row in range(36):
        time_s = f"{0.1 * (row // 3) + 0.001 * (row % 3):.3f}"
        rows.append((f"{row:04}.png", "" if row in (10, 22) else time_s, "0.1"))
    folder = make_frames(tmp_path / "set", [name for name, *_ in rows[1:]], rows)
    assert asked(folder) == {None: "cameras at once"}


def test_the_command_for_a_film_of_pictures_has_all_that_it_needs(tmp_path):
    folder = make_frames(tmp_path / "set", [f"{number:04}.png" for number in range(12)])
    assert "--steering from-motion --fov DEGREES --frame-rate HZ" in str(refusal_of(folder))
    asked_for = asked(folder, steering="from-motion")
    assert asked_for == {"--frame-rate": "times", "--fov": "fov"}


@pytest.mark.parametrize("ending", [".jpg", ""])
@pytest.mark.parametrize("prefix", ["run", ""])
@pytest.mark.parametrize("above", ["", "data/"])
def test_a_column_with_the_names_of_the_folders_is_joined(tmp_path, ending, prefix, above):
    places = [(run, f"{number:04}") for run in (2, 1) for number in range(3)]
    names = [f"{above}run{run}/{stem}.jpg" for run, stem in places]
    steering = [-0.3, 0.2, 0.1, -0.1, 0.0, 0.3]
    rows = [(f"{prefix}{run}", stem + ending) for run, stem in places]
    table = [("run", "frame", "steering")]
    table += [(*cells, number) for cells, number in zip(rows, steering, strict=True)]
    folder = make_frames(tmp_path / "set", names, table)
    refusal = refusal_of(folder, frame_rate=20)
    assert [one["kind"] for one in refusal.facts["missing"]] == ["folder column"]
    read = pd.read_csv(folder / "labels.csv", dtype=str)
    exec(re.search(r"table\['frame'\] = .*", str(refusal))[0], {"table": read})
    read.to_csv(folder / "labels.csv", index=False)
    result = imported_frames(folder)
    assert rows_of(result.output)["steering"].tolist() == steering
    assert color_shown(result.output, 4) == pytest.approx(color_of(4), abs=8)
