"""A drive whose disk becomes full goes on, and what was recorded before stays a recording.

The limit of the size of a file is set from outside while the program runs, for several places:
before any byte, in the header of a table, in an image, and in a row of each table.
"""

import resource

import numpy as np
import pytest

from bcclone.camera.images import decode_jpeg, encode_jpeg
from bcclone.recording.files import UNFINISHED
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import read_answers, read_drivers
from tests.drive.drive_server import Still, drive, serving, state_of
from tests.pages import FakePage
from tests.processes import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(resource, "prlimit"), reason="sets the limits of another process, as Linux can"
    ),
]
SMALL = encode_jpeg(np.zeros((160, 320, 3), np.uint8))
FULL = ("File too large", "No space left on device")


def set_room(server, size):
    """Let no file of a server have more bytes; None: let it have any number."""
    soft = resource.RLIM_INFINITY if size is None else size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))


def rows_of(folder):
    """Return the rows of a run, whose log, tables and images are whole and belong together."""
    log = read_log(folder / "driving_log.csv")
    assert log.bad_rows == ()
    assert log.rows.center.is_unique
    assert {*log.rows.center} == {path.name for path in folder.iterdir()} - {
        UNFINISHED,
        *(path.name for path in folder.glob("*.csv")),
    }
    for name in log.rows.center:
        assert decode_jpeg((folder / name).read_bytes()).shape == (160, 320, 3)
    assert set(log.rows.center) <= read_drivers(folder).keys()
    return log.rows


def test_a_drive_goes_on_and_keeps_its_rows_wherever_the_disk_becomes_full(
    untrained_model, tmp_path
):
    folder = tmp_path / "run"
    with serving(untrained_model, folder) as server, FakePage(server.port) as page:
        drive(server.port, Still(100, jpegs=[SMALL]))
        page.send(set={"recording": False})
        wait_for(lambda: not state_of(server.port)["recording"]["on"])
        tables = [path.stat().st_size + 7 for path in folder.glob("*.csv")]
        limits = (0, 1, len(SMALL) // 2, len(SMALL) - 1, *sorted(tables))
        for limit in limits:
            rows = len(rows_of(folder))
            set_room(server, limit)
            page.send(set={"recording": True})
            wait_for(lambda: state_of(server.port)["recording"]["on"])
            assert drive(server.port, Still(20, jpegs=[SMALL])).steers == 19
            state = wait_for(lambda: (s := state_of(server.port))["recording"]["failure"] and s)
            assert state["recording"]["failure"] in FULL, limit
            assert rows <= len(rows_of(folder)) <= rows + 1
        set_room(server, None)
        page.send(set={"recording": True})
        wait_for(lambda: state_of(server.port)["recording"]["on"])
        drive(server.port, Still(20, jpegs=[SMALL]))
        assert server.end() == 0
    assert "Traceback" not in server.output
    assert len(rows_of(folder)) >= 119
    assert len(read_answers(folder)) >= 100
