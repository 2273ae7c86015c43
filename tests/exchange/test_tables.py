"""A table of another program: its columns and units are known by their names, or asked for."""

import shutil
from pathlib import Path

import pytest

from bcclone.exchange.exchanged_rows import Row, Seen
from bcclone.exchange.formats import FORMATS
from bcclone.system.errors import UserError
from tests.exchange.foreign_sources import (
    NAMES,
    asked,
    color_of,
    color_shown,
    imported_frames,
    make_frames,
    refusal_of,
    rows_of,
    spoil,
)

STEERING = [-0.1, 0.2, 0.3]


def frames(folder, header, *rows):
    """Write three frames, and a table with these cells after the name of each."""
    table = [("image", *header.split(","))]
    table += [(name, *row.split(",")) for name, row in zip(NAMES, rows, strict=True)]
    return make_frames(folder / "set", NAMES, table)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("image,steering\n{}.png,-0.1\n{}.png,0.2\n{}.png,0.3", {}),
        # names without ending, paths of another system
        ("steering,frame_id\n-0.1,{}\n0.2,{}\n0.3,{}", {}),
        ("steering;photo\n-0,1;C:\\a\\{}.png\n0,2;C:\\a\\{}.png\n0,3;C:\\a\\{}.png", {}),
        ("image, steering\n{}.png, -0,1\n{}.png, 0,2\n{}.png, 0,3", {}),
        ("image\tsteering\n{}.png\t-0.1\n{}.png\t0.2\n\n{}.png\t0.3", {}),
        ("{}.png -0.1\n{}.png 0.2\n{}.png 0.3", {"steering_column": "2", "unit": "ratio"}),
        (",0,1\n0,{}.png,-0.1\n1,{}.png,0.2\n2,{}.png,0.3", {
            "steering_column": "1", "unit": "ratio"}),
        ("a,b\n-0.1,{}\n0.2,{}\n0.3,{}", {
            "steering_column": "a", "image_column": "b", "unit": "ratio"}),
        ("image,steering\n{}.png,-0.1\n{}.png,0.2\n{}.png", {}),  # the last line is cut short
    ],
)  # fmt: skip
def test_the_first_line_says_the_separator_and_the_names(tmp_path, text, settings):
    folder = make_frames(tmp_path / "set", NAMES)
    stems = [name.removesuffix(".png") for name in NAMES]
    (folder / "data.csv").write_text(text.format(*stems))
    result = imported_frames(folder, **settings)
    steering = rows_of(result.output)["steering"].tolist()
    assert steering == STEERING[: 2 if text.endswith("\n{}.png") else 3]
    assert color_shown(result.output, 1) == pytest.approx(color_of(1), abs=6)


def test_a_row_with_nuls_is_left_out_and_counted(tmp_path):
    folder = frames(tmp_path, "steering", "-0.1", "0.\0\0\0002", "0.3")
    result = imported_frames(folder)
    assert rows_of(result.output)["steering"].tolist() == [-0.1, 0.3]
    assert result.seen.broken_lines == 1
    assert "labels.csv: line 3: 3 NUL characters" in " ".join(result.seen.left_out)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("im\0ge,steering\n{0},0.1\n{0},0.2", "line 1: 1 NUL characters.*names of the columns"),
        # numbers with decimal commas between commas
        ("image,steering\n{0},0,1\n{0},0,2", "--decimal-comma: line 2 .*'0', '1'"),
        ("image,steering\n{0},0,-0.1,1\n{0},0,2", r"line 2: 4 cells.*'-0.1'.*; name each cell"),
        ("image;steering\n{0};0;1\n{0};0;2", "line 2: 3 cells.*name each cell"),
        ("image,steering\n{0},0.1,0\n{0},0.2,", "without a separator at the end"),
        ("image,steering\n{0},0.1,\n{0},0.2,", "line 2 ends with ','.*first line, too"),
        ("image;steering\n{0};0.1;\n{0};0.2;", "line 2 ends with ';'.*first line, too"),
        ("image,steering\n{0},1\nsteering,image\n1,{0}", "line 3 names.*line 1: .*by itself"),
        ("image,steer_deg\n{0},1\nimage,steer_rad\n{0},1", "line 3 names.*line 1: .*by itself"),
        ("#image,steer_deg\n{0},1\n#steer_deg,image\n1,{0}", "line 3 names.*by itself"),
        ("image,steering\n-,deg\n{0},1\nimage,steering\n-,rad\n{0},1", "line 5 has other units"),
        ("image,steering\n{0},tensor(0.1)", r"no numbers, such as 'tensor\(0.1\)'"),
        ("image,steering\n", "it has no rows"),
        ("steering\n0.1\n\n0.2", "line 3: blank, which may be a row without a number"),
    ],
)
def test_a_table_whose_lines_are_not_divided_as_the_first_is_refused(tmp_path, text, words):
    folder = make_frames(tmp_path / "set", NAMES)
    (folder / "data.csv").write_text(text.format(NAMES[0]))
    with pytest.raises(UserError, match=f"(?s)data.csv.*{words}|{words}"):
        imported_frames(folder)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("header", "rows", "steering"),
    [
        ("image,steering,throttle", ["-0,15,0,3", "0,0", "-0,25,-1"], [-0.15, 0.0, -0.25]),
        ("image,steering", ['"-0,15"', "0,2", "0,3"], [-0.15, 0.2, 0.3]),
        ("steering,image,brake", ["-0,15,{},0,0", "0,{},0", "0,3,{},1"], [-0.15, 0.0, 0.3]),
        ("image,steering", ["2,77556e-17", "0,2", "-3,0E-1"], [2.77556e-17, 0.2, -0.3]),
    ],
)
def test_decimal_commas_between_commas_are_read_where_the_user_says_so(
    tmp_path, header, rows, steering
):
    folder = make_frames(tmp_path / "set", NAMES)
    lines = [
        row.format(name) if "{}" in row else f"{name},{row}"
        for row, name in zip(rows, NAMES, strict=True)
    ]
    (folder / "data.csv").write_text("\n".join([header, *lines]))
    with pytest.raises(UserError, match="--decimal-comma"):
        imported_frames(folder)
    result = imported_frames(folder, decimal_comma=True, straight=0.0)
    assert rows_of(result.output)["steering"].tolist() == steering


def test_commas_that_may_be_read_in_several_ways_are_refused(tmp_path):
    folder = make_frames(tmp_path / "set", NAMES)
    (folder / "data.csv").write_text(f"image,steering,throttle\n{NAMES[0]},0,25,1\n")
    with pytest.raises(UserError, match="line 2: 4 cells.*cannot be told.*sep=';'"):
        imported_frames(folder, decimal_comma=True)
    (folder / "data.csv").write_text(f"{NAMES[0]},-0,15,0,3\n{NAMES[1]},0,2,0,3\n")
    with pytest.raises(UserError, match="without names of columns.*first line"):
        imported_frames(folder, decimal_comma=True, steering_column="2", unit="ratio")


def test_a_line_in_a_hundred_that_is_too_long_is_left_out(tmp_path):
    names = [f"{number:03}.png" for number in range(120)]
    folder = make_frames(tmp_path / "set", names, [("image", "steering")])
    lines = [f"{name},{0.1 if number % 2 else -0.1}" for number, name in enumerate(names)]
    lines[7] += lines[8]  # two lines became one
    (folder / "labels.csv").write_text("\n".join(["image,steering", *lines]))
    result = imported_frames(folder)
    assert (result.rows, result.seen.broken_lines) == (119, 1)


@pytest.mark.parametrize(
    ("column", "mph"),
    [
        ("speed (km/h)", 6.21), ("velocity_m_s", 22.37), ("drive.speed_mph", 10),
        ("speed_limit_kmh", 0), ("speed", 0),
    ],
)  # fmt: skip
def test_the_name_of_a_speed_says_its_unit(tmp_path, column, mph):
    folder = frames(tmp_path, f"steering,{column}", "0,10", "0,10", "0,10")
    rows = rows_of(imported_frames(folder).output)
    assert rows["speed_mph"].tolist() == pytest.approx([mph] * 3, abs=0.01)


def test_a_speed_without_unit_and_a_throttle_in_percent_are_left_out_with_a_note(tmp_path):
    header = "steering,throttle,speed,gear,steering_torque"
    result = imported_frames(frames(tmp_path, header, *["0.1,40,10,2,3"] * 3))
    assert result.seen.columns_left_out == ("throttle", "speed", "gear", "steering_torque")
    notes = "\n".join(result.seen.notes)
    assert "no unit is in its name" in notes
    assert "throttle is left out: it has 40, expected -1 to 1" in notes


@pytest.mark.parametrize(
    ("header", "row", "settings", "questions"),
    [
        ("steering_a,b", "0.1,0.2", {}, {
            "--steering-column": "no steering", "--unit": "unit"}),
        ("steering,steer", "0.1,0.2", {}, {
            "--steering-column": "several steerings", "--unit": "unit"}),
        ("steering_angle", "0.1", {}, {"--unit": "unit"}),
        ("steering_angle", "0.9", {}, {"--unit": "unit", "--max-degrees": "full"}),  # if it is rad
        ("steering", "0.1", {"max_degrees": 370}, {"--unit": "unit of a full steering"}),
        ("steering", "0.1", {"max_degrees": 0.5, "unit": "ratio"}, {
            "--straight": "middle of a ratio"}),
        ("steering", "0.4", {"unit": "rad", "max_degrees": 20}, {
            "--max-degrees": "full beyond"}),
        ("steering", "40", {"unit": "ratio"}, {"--max-degrees": "full beyond"}),
        ("steering", "40", {}, {"--unit": "unit beyond", "--max-degrees": "full"}),
        ("steering", "0.1", {"image_column": "name"}, {"--image-column": "no such column"}),
        ("steering", "0.1", {"steering_column": "0000000011"}, {
            "--steering-column": "no such column"}),
        ("steering", "0.1", {"time_column": "t", "frame_rate": None}, {
            "--time-column": "no such column"}),
        ("a,b,c", "0.1,x,y", {"frame_rate": None}, {
            "--steering-column": "no steering", "--unit": "unit", "--frame-rate": "times"}),
    ],
)  # fmt: skip
def test_all_that_is_not_stated_is_asked_for_at_once(tmp_path, header, row, settings, questions):
    folder = frames(tmp_path, header, row, row, row)
    assert asked(folder, **{"frame_rate": 20, **settings}) == questions


def test_of_two_columns_of_images_the_usual_name_decides_or_the_user(tmp_path):
    folder = frames(tmp_path, "steering,copy", *["0.1,frame_0001.png"] * 3)
    assert imported_frames(folder).rows == 3
    spoil(folder / "labels.csv", "image", "other")
    assert asked(folder, frame_rate=20) == {"--image-column": "several images"}
    assert asked(folder) == {"--image-column": "several images", "--frame-rate": "times"}


@pytest.mark.parametrize(
    ("angles", "given", "options"),
    [
        ((30, 90, 150), {"unit": "deg"}, {"straight": 90.0, "max_degrees": 60.0}),
        ((0.0, 0.5, 1.0), {"unit": "ratio"}, {"unit": "deg", "straight": 0.5, "max_degrees": 0.5}),
        ((0.0, 0.5, 1.0), {"unit": "ratio"}, {"straight": 0.5, "max_degrees": 0.5}),
        ((-20, -70, -120), {"unit": "deg"}, {"straight": -70.0, "max_degrees": 50.0}),
        # microseconds of a servo, of which the extremes would give another middle
        ((1000, 1500, 2000), {"unit": "deg"}, {"straight": 1500.0, "max_degrees": 500.0}),
    ],
)
def test_a_steering_to_one_side_alone_needs_its_middle(tmp_path, angles, given, options):
    folder = frames(tmp_path, "angle", *map(str, angles))
    with pytest.raises(UserError, match=r"--straight"):
        imported_frames(folder, **given)
    with pytest.raises(UserError, match=r"--max-degrees"):
        imported_frames(folder, **given, straight=options["straight"])
    first = 1.0 if angles[0] > angles[1] else -1.0
    result = imported_frames(folder, **(given | options))
    assert rows_of(result.output)["steering"].tolist() == pytest.approx([first, 0, -first])


def test_a_question_about_the_steering_shows_what_the_numbers_are(tmp_path):
    folder = frames(tmp_path, "steering", "1000", "1500", "1500")
    for given in ({}, {"unit": "deg"}, {"unit": "deg", "max_degrees": 2000.0}):
        (steering,) = (
            one for one in refusal_of(folder, **given).facts["read"] if one["what"] == "steering"
        )
        assert (steering["least"], steering["greatest"], steering["most_frequent"]) == (
            1000,
            1500,
            1500,
        )
        assert (steering["share"], steering["different"]) == (0.6667, 2)


def test_few_values_beyond_full_steering_may_have_a_unit_and_a_middle(tmp_path):
    folder = frames(tmp_path, "steering", "10", "20", "30")
    assert asked(folder, frame_rate=20) == {
        "--straight": "middle",
        "--unit": "unit beyond",
        "--max-degrees": "full",
    }


@pytest.mark.parametrize(
    ("steering", "step_ms", "words"),
    [
        (lambda row: row / 60, 50, []),
        (lambda row: 0.25, 50, ["steering is 0.25 in every row"]),
        (lambda row: row / 60, -50, ["newest first"]),
    ],
)
def test_a_steering_without_a_change_and_times_that_go_back_are_said(
    tmp_path, steering, step_ms, words
):
    names = [f"{row}.png" for row in range(60)]
    cells = [(name, steering(row), 3000 + step_ms * row) for row, name in enumerate(names)]
    folder = make_frames(tmp_path / "set", names, [("image", "steering", "time_ms"), *cells])
    doubts = [
        note
        for note in imported_frames(folder, straight=0.0, frame_rate=None).seen.notes
        if "careful" in note
    ]
    assert len(doubts) == len(words)
    assert all(word in doubt for word, doubt in zip(words, doubts, strict=True))


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_a_doubt_names_only_remedies_that_the_format_takes(format):
    seen = Seen(options=format.options)
    for number in range(60):
        seen.add(Row(0, 0, 0, {}, 0.25, 0, 0, 0, source_ms=-50 * number, size=(320, 160)))
    steering, times = seen.summary().notes
    assert ("name its column" in steering) == ("steering_column" in format.options)
    assert ("--frame-rate" in times) == ("frame_rate" in format.options)


@pytest.mark.parametrize("classes", [("0", "1", "2"), ("3", "1", "2"), ("1.0", "2.0", "3.0")])
@pytest.mark.parametrize(
    "given", [{}, {"unit": "ratio"}, {"unit": "deg", "straight": 2.0, "max_degrees": 1.0}]
)
def test_the_numbers_of_classes_are_no_steering(tmp_path, classes, given):
    folder = frames(tmp_path, "steering", *classes)
    with pytest.raises(UserError, match="of classes, expected angles.*write a table"):
        imported_frames(folder, **given)


def test_left_straight_and_right_of_keys_and_whole_degrees_are_a_steering(tmp_path):
    keys = frames(tmp_path / "keys", "steering", "-1", "0", "1")
    assert imported_frames(keys).rows == 3
    degrees = frames(tmp_path / "degrees", "steering_deg", "0", "1", "2")
    assert imported_frames(degrees, straight=0.0).rows == 3


# ---- tables without names


def test_columns_without_names_are_named_by_their_numbers(tmp_path):
    cameras = ("center", "left", "right")
    stamps = [f"2019_01_01_10_00_00_{number:03}" for number in range(12)]
    folder = make_frames(
        tmp_path / "set", [f"{c}_{stamp}.jpg" for stamp in stamps for c in cameras]
    )
    lines = [
        ",".join([*(f"{camera}_{stamp}.jpg" for camera in cameras), "0.5,0,12.5", f"{n / 20}"])
        for n, stamp in enumerate(stamps)
    ]
    (folder / "labels.csv").write_text("\n".join(lines))
    result = imported_frames(folder, unit="ratio", steering_column="7", straight=0.0)
    rows = rows_of(result.output)
    assert rows["steering"].tolist() == [n / 20 for n in range(12)]
    assert "brake is left out: it has 12.5" in " ".join(result.seen.notes)
    assert rows["left"].map(bool).all()


# ---- which table


def test_of_several_tables_one_is_asked_for_and_it_may_lie_elsewhere(tmp_path):
    folder = frames(tmp_path, "steering", "0.1", "0.1", "0.1")
    (folder / "notes.txt").write_text("a drive\n")  # beside a .csv, a text is no table
    assert imported_frames(folder).rows == 3
    shutil.rmtree(tmp_path / "new")
    (folder / "gps.csv").write_text("lat,lon\n1,2\n")
    (choice,) = refusal_of(folder, frame_rate=20).facts["missing"]
    assert choice["option"] == "--table"
    tables = {Path(one["table"]).name: one for one in choice["facts"]["tables"]}
    assert "reason" in tables["gps.csv"]  # its row has no picture
    assert "--table" in tables["labels.csv"]["command"]
    assert tables["labels.csv"]["missing"] == []
    other = make_frames(tmp_path / "other", NAMES)
    assert asked(other) == {"--table": "no table"}
    assert imported_frames(other, table=folder / "labels.csv").rows == 3


def test_a_table_in_the_folder_of_the_source_may_be_named_by_its_name_alone(tmp_path):
    folder = frames(tmp_path, "steering", "0.1", "0.1", "0.1")
    (folder / "joy.csv").write_text("image,axis\n")
    assert imported_frames(folder, table=Path("labels.csv")).rows == 3
    shutil.rmtree(tmp_path / "new")
    with pytest.raises(UserError, match=r"\bnone.csv: .*No such file"):
        imported_frames(folder, table=Path("none.csv"))


def test_a_path_without_the_mark_before_the_name_names_that_image(tmp_path):
    names = [f"IMG/Image{number}.png" for number in (0, 1, 10)] + ["1/0.png"]
    folder = make_frames(tmp_path / "set", names)
    # aligned with blanks, and with decimal commas; the last image is none of the others
    text = "C:/data/IMGImage0.png  -0,1  0\nC:/data/IMGImage10.png  0,2  0\nC:/data/10.png  0,3  0"
    (folder / "data.txt").write_text(text)
    result = imported_frames(folder, steering_column="2", unit="ratio")
    assert rows_of(result.output)["steering"].tolist() == [-0.1, 0.2]
    assert color_shown(result.output, 1) == pytest.approx(color_of(2), abs=6)
    assert result.seen.records_without_image == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "labels.csv",
            b"\xef\xbb\xbf<?xml version='1.0'?>\n<Workbook/>",
            "an XML file; save it as",
        ),
        ("labels.csv", "<annotation/>".encode("utf-16"), "an XML file; save it as"),
        ("labels.xml", b"<annotation/>", "labels.xml is an XML file; save it as"),
        ("labels.csv", b"<?xml version='1.0'?>\n<!DOCTYPE html>", "a page of a web site"),
        (
            "labels.csv",
            b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml",
            "a workbook; save it as",
        ),
    ],
)
def test_a_table_of_another_kind_is_called_what_it_is(tmp_path, name, content, words):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        imported_frames(folder)


# ---- several cameras


def test_three_cameras_are_three_cameras_and_a_side_camera_may_be_missing(tmp_path):
    names = [f"{camera}/{n}.jpg" for n in range(4) for camera in ("center", "left", "right")]
    rows = [(f"center/{n}.jpg", f"left/{n}.jpg", f"right/{n}.jpg", 0.1) for n in range(4)]
    rows[1] = ("center/1.jpg", "", "right/1.jpg", 0.1)
    rows[2] = ("", "left/2.jpg", "right/2.jpg", 0.1)
    rows[3] = ("center/3.jpg", "center/3.jpg", "right/3.jpg", 0.1)  # no image of its own
    header = ("center", "left", "right_camera", "steering")
    result = imported_frames(make_frames(tmp_path / "set", names, [header, *rows]))
    assert (result.rows, result.seen.records_without_image) == (3, 1)
    assert rows_of(result.output)["left"].map(bool).tolist() == [True, False, False]
    assert rows_of(result.output)["right"].map(bool).all()


@pytest.mark.parametrize(
    ("cameras", "place", "header", "cells"),
    [
        ("left center right", "{camera}/{number:04}.jpg", "file,steering", "{image},{steering}"),
        ("L C R", "{number:04}{camera}.jpg", "file,steering", "{image},{steering}"),
        ("0 1 2", "{number}_{index}.jpg", "file,camera_id,steering", "{image},{camera},{steering}"),
        ("a b", "{time}{index}.jpg", "time_ms,file,steering", "{time},{image},{steering}"),
    ],
)
def test_rows_of_several_cameras_in_turns_are_asked_about(tmp_path, cameras, place, header, cells):
    images, lines = [], []
    for number in range(12):
        for index, camera in enumerate(cameras.split()):
            values = {"camera": camera, "number": number, "index": index}
            values |= {"time": 1000 + number * 70 + 2 * index, "steering": 0.1}
            images.append(place.format(**values))
            lines.append(cells.format(image=images[-1], **values))
    folder = make_frames(tmp_path / "set", images)
    (folder / "labels.csv").write_text("\n".join([header, *lines]))
    rate = None if "time_ms" in header else 20
    (question,) = asked(folder, frame_rate=rate).items()
    assert question == (None, "cameras" if rate else "cameras at once")
    # counting the rows does not make them those of one camera
    assert asked(folder, frame_rate=20) == {None: question[1]}


def test_a_steering_of_which_most_rows_are_0_is_asked_about_if_none_is_negative(tmp_path):
    # of a scale from 0 to 1, 0 is full left
    folder = frames(tmp_path, "steering", "0", "0", "1")
    assert asked(folder, frame_rate=20) == {"--straight": "middle", "--max-degrees": "full"}
    folder = frames(tmp_path / "negative", "steering", "0", "0", "-1")
    assert rows_of(imported_frames(folder).output)["steering"].tolist() == [0, 0, -1]


def test_numbers_divided_at_their_decimal_comma_are_asked_about_without_names(tmp_path):
    folder = make_frames(tmp_path / "set", NAMES)
    for first in ("-0,194,0,3", "2,77556e-17,0,3"):
        cells = (first, "0,25,0,3", "-0,1,0,3")
        lines = [f"{name},{row}" for name, row in zip(NAMES, cells, strict=True)]
        (folder / "data.csv").write_text("\n".join(lines))
        with pytest.raises(UserError, match="without names of columns.*state --decimal-comma"):
            imported_frames(folder, steering_column="2", unit="ratio")


def test_an_empty_cell_is_said_to_be_empty(tmp_path):
    folder = frames(tmp_path, "steering,throttle", "0.1,0.3", ",0.3", "0.1,")
    left_out = " ".join(imported_frames(folder).seen.left_out)
    assert "line 3: no 'steering': it is empty" in left_out
    assert "line 4: no 'throttle': it is empty" in left_out


def test_a_row_that_repeats_another_is_taken_once_and_a_shared_picture_is_said(tmp_path):
    cells = ["0.1,0.0", "0.2,0.05", "0.3,0.1"]
    folder = frames(tmp_path, "steering,time_s", *cells)
    table = folder / "labels.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, *lines[1:], f"{NAMES[0]},0.4,0.15"]))
    result = imported_frames(folder, frame_rate=None, straight=0.0)
    assert rows_of(result.output)["steering"].tolist() == [0.1, 0.2, 0.3, 0.4]
    notes = "\n".join(result.seen.notes)
    assert "left out: 3 rows wholly equal to another row" in notes
    assert "careful: 1 row names a picture that another row has" in notes


def test_a_minus_sign_of_typography_is_one(tmp_path):
    folder = frames(tmp_path, "steering", "\N{MINUS SIGN}0.5", "0.25", "\N{MINUS SIGN}0.125")
    assert rows_of(imported_frames(folder).output)["steering"].tolist() == [-0.5, 0.25, -0.125]


def test_a_decimal_comma_that_no_number_has_is_refused(tmp_path):
    folder = frames(tmp_path, "steering", "0.1", "0.1", "0.1")
    with pytest.raises(UserError, match="--decimal-comma states nothing"):
        imported_frames(folder, decimal_comma=True)
    assert imported_frames(folder).rows == 3


@pytest.mark.parametrize("last", ["0.1", "0.1011"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_that_may_be_cut_off_is_said(tmp_path, last, end):
    names = [f"{row:02}.png" for row in range(12)]
    lines = ["image,steering", *(f"{name},0.1{row:03}" for row, name in enumerate(names[:-1]))]
    folder = make_frames(tmp_path / "set", names)
    (folder / "labels.csv").write_text("\n".join([*lines, f"{names[-1]},{last}"]) + end)
    is_said = "cut off" in imported_frames(folder, straight=0.0).as_text()
    assert is_said == (last == "0.1" and not end)


def test_a_header_that_is_repeated_is_no_row(tmp_path):
    table = [("image", "steering"), (NAMES[0], 0.1), ("Image", "Steering"), (NAMES[1], -0.2)]
    folder = make_frames(tmp_path / "set", NAMES[:2], table)
    result = imported_frames(folder)
    assert rows_of(result.output)["steering"].tolist() == [0.1, -0.2]


@pytest.mark.parametrize("encoding", ["shift-jis", "gbk"])
def test_a_column_whose_letters_are_unknown_asks_for_utf_8(tmp_path, encoding):
    name = "\u65b9\u5411"
    folder = make_frames(tmp_path / "set", NAMES)
    text = f"image,{name}\n" + "".join(f"{image},0.1\n" for image in NAMES)
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match=r"labels.csv: it is not UTF-8.*save it as UTF-8 first"):
        imported_frames(folder, steering_column=name, unit="ratio")
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    imported_frames(folder, steering_column=name, unit="ratio")
