"""Rows chosen by who drove, and corrections that are seen more often: in a file, with windows."""

import numpy as np
import pytest

from bcclone.dataset.conversion import convert
from bcclone.dataset.plan import choose_rows
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.dataset.samples import windows
from bcclone.dataset.shards import open_store
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import DRIVERS, HUMAN, MODEL, DrivenBy
from bcclone.system.errors import UserError
from tests.recordings import images_of

# 15 rows a second: the 5 s before the first take-over are 75 rows, those before the second one
# begin in the first
FIRST = range(80, 95)
SECOND = range(100, 110)
TAKE_OVERS = [*FIRST, *SECOND]


@pytest.fixture
def driven(recording):
    """A recording in which a person takes over from a model twice."""
    rows = [DrivenBy(MODEL)] * 120
    for number, take_over in enumerate((FIRST, SECOND), 1):
        for row in take_over:
            rows[row] = DrivenBy(HUMAN, number)
    return write_drivers(recording, rows)


def write_drivers(recording, rows):
    names = [image.name for image in images_of(recording)]
    lines = [f"{row.row(name)}\n" for name, row in zip(names, rows, strict=False)]
    (recording / DRIVERS.name).write_text(DRIVERS.header + "".join(lines))
    return recording


def make(recording, output, add=False, **samples):
    values = {} if add else {"block_seconds": 1.0, **samples}
    return convert(
        PreprocessSettings((recording,), output, size=None if add else (8, 8), add=add, **values)
    )


def chosen(recording, choice):
    return (choose_rows(read_log(recording / "driving_log.csv"), choice).rows["line"] - 1).tolist()


def test_rows_are_chosen_by_who_drove(driven):
    assert chosen(driven, "all") == [*range(120)]
    assert chosen(driven, "corrections") == TAKE_OVERS
    assert chosen(driven, "good") == [*range(80 - 75), *TAKE_OVERS, *range(110, 120)]
    log = driven / "driving_log.csv"
    rows = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*rows[:40], *rows[60:]]))  # the five seconds end at a pause of 1.3 s
    assert chosen(driven, "good")[:41] == [*range(40), 60]


def test_a_row_without_an_entry_is_never_a_correction(driven):
    table = driven / DRIVERS.name
    lines = table.read_text().splitlines(keepends=True)[: 1 + SECOND[-1]]
    table.write_text("".join([*lines, "center_2020_01_01_00_00_00_000.jpg,human,7\n"]))
    assert chosen(driven, "corrections") == TAKE_OVERS[:-1]


def test_nothing_reaches_over_rows_that_were_left_out(driven, tmp_path):
    made = make(driven, tmp_path / "some.h5", rows="good", frame_offsets=2, validation=0.0)
    assert any("80" in notice and "left out" in notice for notice in made.notices)
    make(driven, tmp_path / "all.h5", frame_offsets=2, validation=0.0)
    with open_store(tmp_path / "some.h5") as some, open_store(tmp_path / "all.h5") as every:
        assert some.rows["episode"].tolist() == [0] * 5 + [1] * 15 + [2] * 20
        begun = some.samples[some.samples["row"] == 5]
        assert set(begun["frame_offset"].tolist()) == {0}
        assert not (windows(some.samples, 3)[0]["row"] == 6).any()
        same = every.samples[every.samples["row"] == FIRST[0]]
        # in the store of all rows, it is smoothed with what the model did before
        assert begun["steering"][0] != same["steering"][0]


def test_adding_follows_the_store(driven, simulated_recording, tmp_path):
    make(simulated_recording, tmp_path / "data.h5", rows="corrections", correction_weight=2)
    make(driven, tmp_path / "data.h5", add=True)
    with open_store(tmp_path / "data.h5") as store:
        assert len(store.rows) == 120 + len(TAKE_OVERS)
        assert store.sample_settings.rows == "corrections"
        new = store.samples[(store.samples["row"] >= 120) & ~store.samples["validation"]]
        assert set(np.unique(new, return_counts=True)[1].tolist()) == {2}


def test_without_a_row_left_the_error_names_the_log_and_the_remedy(recording, tmp_path):
    write_drivers(recording, [DrivenBy(MODEL)] * 120)
    with pytest.raises(UserError, match=r"driving_log\.csv: .* none of the 120 rows.*--rows all"):
        make(recording, tmp_path / "data.h5", rows="corrections")
    assert not (tmp_path / "data.h5").exists()
