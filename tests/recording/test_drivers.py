import pytest

from bcclone.recording.drivers import DRIVERS, HUMAN, MODEL, DrivenRow, read_drivers
from bcclone.recording.run_tables import SidecarWriter
from bcclone.system.errors import UserError

ROWS = {"a.jpg": DrivenRow(MODEL), "b.jpg": DrivenRow(HUMAN, 1), "c.jpg": DrivenRow(HUMAN)}


def test_rows_are_read_as_they_were_written(tmp_path):
    with SidecarWriter(DRIVERS, tmp_path) as writer:
        for image, row in ROWS.items():
            writer.append(row.row(image))
    assert read_drivers(tmp_path) == ROWS


def test_a_recording_without_the_table_names_nobody(tmp_path):
    assert read_drivers(tmp_path) == {}


def test_the_row_that_a_killed_program_left_is_ignored(tmp_path):
    (tmp_path / DRIVERS.name).write_text(DRIVERS.header + "a.jpg,model,\nb.jpg,hum")
    assert read_drivers(tmp_path) == {"a.jpg": DrivenRow(MODEL)}


@pytest.mark.parametrize("cells", ["robot,", "human,0", "human,one", "model,1", "human", "human,1,2"])
def test_a_wrong_row_is_named(tmp_path, cells):
    (tmp_path / DRIVERS.name).write_text(DRIVERS.header + f"a.jpg,model,\nb.jpg,{cells}\n")
    with pytest.raises(UserError, match=r"drivers\.csv: row 3: .* expected "):
        read_drivers(tmp_path)


@pytest.mark.parametrize(("driver", "take_over"), [("robot", None), (MODEL, 1), (HUMAN, 0)])
def test_only_a_person_takes_over(driver, take_over):
    with pytest.raises(ValueError, match="expected"):
        DrivenRow(driver, take_over)
