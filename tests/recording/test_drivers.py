import contextlib
import os
from random import Random

import pytest

from bcclone.recording.drivers import DRIVERS, HUMAN, MODEL, DrivenRow, read_drivers
from bcclone.recording.run_tables import ANSWERS, TRACE, read_answers, read_trace
from bcclone.recording.writer import append_row
from bcclone.system.errors import UserError
from tests.hostile import damaged

ROWS = {"a.jpg": DrivenRow(MODEL), "b.jpg": DrivenRow(HUMAN, 1), "c.jpg": DrivenRow(HUMAN)}


def test_rows_are_read_as_they_were_written(tmp_path):
    assert read_drivers(tmp_path) == {}
    for image, row in ROWS.items():
        append_row(tmp_path / DRIVERS.name, row.row(image), DRIVERS.header)
    assert read_drivers(tmp_path) == ROWS
    with (tmp_path / DRIVERS.name).open("a") as file:
        file.write("d.jpg,hum")  # what a killed program leaves
    assert read_drivers(tmp_path) == ROWS


@pytest.mark.parametrize("cells", ["robot,", "human,0", "human,one", "model,1", "human", "human,1,2"])
def test_a_wrong_row_is_named(tmp_path, cells):
    (tmp_path / DRIVERS.name).write_text(DRIVERS.header + f"a.jpg,model,\nb.jpg,{cells}\n")
    with pytest.raises(UserError, match=r"drivers\.csv: line 3: .* expected "):
        read_drivers(tmp_path)


@pytest.mark.parametrize(("driver", "take_over"), [("robot", None), (MODEL, 1), (HUMAN, 0)])
def test_only_a_person_takes_over(driver, take_over):
    with pytest.raises(ValueError, match="expected"):
        DrivenRow(driver, take_over)


@pytest.mark.parametrize("table", [DRIVERS, TRACE, ANSWERS])
def test_a_damaged_table_beside_a_log_is_harmless_or_refused(tmp_path, table):
    rows = {DRIVERS: "a.jpg,model,\nb.jpg,human,1\n", TRACE: 'a.jpg,1,lake,1,2,0\nb.jpg,2,"random:7:hills=0,x",1,2,0\n'}
    valid, random = (table.header + rows.get(table, "a.jpg,1.5\nb.jpg,2\n")).encode(), Random(0)
    for _ in range(300):
        (tmp_path / table.name).write_bytes(damaged(valid, random))
        with contextlib.suppress(UserError):
            {DRIVERS: read_drivers, TRACE: read_trace, ANSWERS: read_answers}[table](tmp_path)


def test_a_pipe_and_a_take_over_of_400_digits_are_refused(tmp_path):
    path = tmp_path / DRIVERS.name
    path.write_text(DRIVERS.header + "a.jpg,human," + "9" * 400 + "\n")
    with pytest.raises(UserError, match=r"line 2: take_over is '9+', expected a number from 1 to 1e"):
        read_drivers(tmp_path)
    if hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(UserError, match="not a regular file"):
            read_drivers(tmp_path)
