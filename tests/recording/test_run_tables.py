"""The tables next to a log are read as they were written; wrong ones are refused with their
line.
"""

import os
from random import Random

import pytest

from bcclone.recording.run_folder import append_row
from bcclone.recording.run_tables import (
    ANSWERS,
    DRIVERS,
    HUMAN,
    MODEL,
    TRACE,
    DrivenBy,
    ShownFrame,
    TracePoint,
    digest_of,
    read_answers,
    read_drivers,
    read_trace,
    write_trace,
)
from bcclone.system.errors import UserError
from tests.hostile import damaged
from tests.pictures.video_runs import name_of

ROWS = {"a.jpg": DrivenBy(MODEL), "b.jpg": DrivenBy(HUMAN, 1), "c.jpg": DrivenBy(HUMAN)}


def test_rows_are_read_as_they_were_written(tmp_path):
    assert read_drivers(tmp_path) == {}
    for image, row in ROWS.items():
        append_row(tmp_path / DRIVERS.name, row.row(image), DRIVERS.header)
    assert read_drivers(tmp_path) == ROWS
    with (tmp_path / DRIVERS.name).open("a") as file:
        file.write("d.jpg,hum")  # what a killed program leaves
    assert read_drivers(tmp_path) == ROWS


@pytest.mark.parametrize("cells", ["robot,", "human,0", "human,one", "model,1", "human"])
def test_a_wrong_row_is_named(tmp_path, cells):
    (tmp_path / DRIVERS.name).write_text(DRIVERS.header + f"a.jpg,model,\nb.jpg,{cells}\n")
    with pytest.raises(UserError, match=r"drivers\.csv: line 3: .* expected "):
        read_drivers(tmp_path)


@pytest.mark.parametrize("table", [DRIVERS, TRACE, ANSWERS])
def test_a_damaged_table_beside_a_log_is_harmless_or_refused(tmp_path, table):
    rows = {
        DRIVERS: "a.jpg,model,\nb.jpg,human,1\n",
        TRACE: 'a.jpg,1,lake,1,2,0\nb.jpg,2,"random:7:hills=0,x",1,2,0\n',
    }
    valid = (table.header + rows.get(table, "a.jpg,1.5\nb.jpg,2\n")).encode()
    read = {DRIVERS: read_drivers, TRACE: read_trace, ANSWERS: read_answers}[table]
    random = Random(0)
    refused = 0
    for _ in range(300):
        (tmp_path / table.name).write_bytes(damaged(valid, random))
        try:
            read(tmp_path)
        except UserError as error:
            assert table.name in str(error)  # noqa: PT017 other tables are harmless
            refused += 1
    assert 0 < refused < 300


def test_a_pipe_and_a_take_over_of_400_digits_are_refused(tmp_path):
    path = tmp_path / DRIVERS.name
    path.write_text(DRIVERS.header + "a.jpg,human," + "9" * 400 + "\n")
    with pytest.raises(
        UserError, match=r"line 2: take_over is '9+', expected a number from 1 to 1e"
    ):
        read_drivers(tmp_path)
    if hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(UserError, match="not a regular file"):
            read_drivers(tmp_path)


def shown(*jpegs):
    return [
        ShownFrame(digest_of(jpeg), TracePoint(number / 10, "lake", number, 0, 0))
        for number, jpeg in enumerate(jpegs)
    ]


@pytest.mark.parametrize(
    ("recorded", "indices"),
    [
        ([b"a", b"b", b"c"], [0, 2, 4]),
        ([b"a", b"a", b"b", b"b"], [0, 1, 2, 3]),  # a car that stands still
        ([b"a", b"x", b"c"], [0, None, 4]),  # of another drive
    ],
)
def test_a_run_is_matched_with_the_simulated_world_by_the_bytes_of_frames(
    tmp_path, recorded, indices
):
    for number, jpeg in enumerate(recorded):
        (tmp_path / name_of(number * 10)).write_bytes(jpeg)
    found = sum(index is not None for index in indices)
    assert write_trace(tmp_path, shown(b"a", b"a", b"b", b"b", b"c")) == found
    trace = read_trace(tmp_path)
    points = [trace.get(name_of(number * 10)) for number in range(len(recorded))]
    assert [point and point.x_m for point in points] == indices
