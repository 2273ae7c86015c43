"""bcclone play serves pages: hands move the car, one page drives, slow and sleeping pages harm
nobody.
"""

import signal
from contextlib import suppress
from itertools import groupby, pairwise

import numpy as np
import pytest
import requests
import websocket

from bcclone.camera.images import decode_jpeg
from bcclone.dataset.conversion import convert
from bcclone.dataset.sample_settings import PreprocessSettings
from bcclone.recording.log import read_log
from bcclone.recording.run_tables import HUMAN, MODEL, read_drivers
from bcclone.system.errors import UserError
from tests.drive.drive_server import playing, playing_once_read, serving
from tests.pages import FakePage
from tests.running import run_process

pytestmark = pytest.mark.slow
FASTER = {"throttle_key": 1}


@pytest.fixture(scope="module")
def server():
    with playing() as server:
        yield server


@pytest.fixture
def page(server):
    with FakePage(server.port) as page:
        page.until(lambda state: state["steers"])
        page.send(set={"put_back": True, "paused": False})
        page.until(
            lambda state: state["mode"] == "driving" and state["speed_mph"] < 1, throttle_key=0
        )
        yield page


def test_a_page_that_does_not_draw_gets_no_more_than_two_frames_and_then_the_newest(page, server):
    with FakePage(server.port, acknowledges=False) as slow:
        numbers = [slow.receive()[0]["frame"] for _ in range(2)]
        page.until(lambda state: state["frame"] > numbers[-1] + 20, **FASTER)
        slow.socket.settimeout(0.3)
        with pytest.raises(websocket.WebSocketTimeoutException):
            slow.receive()
        slow.socket.settimeout(60)
        slow.send(drawn=2)
        assert slow.receive()[0]["frame"] > numbers[-1] + 15  # those between were dropped


def test_a_person_takes_over_from_a_model_and_gives_back(untrained_model, tmp_path):
    with (
        playing(model=untrained_model, folder=tmp_path / "run") as server,
        FakePage(server.port) as page,
    ):
        page.until(lambda state: state["speed_mph"] > 3, throttle_key=0)
        page.send(set={"recording": True})
        page.until(lambda state: state["recording"]["recorded"] > 2, throttle_key=0)
        shown = []

        def took(state):
            shown.append((state["frame"], state["steering_sent"]))
            return state["steering_sent"] == 0.9

        state = page.until(took, steering=0.9)
        assert (state["driver"], state["take_over"]) == (HUMAN, 1)
        assert state["steering_model"] is not None
        for (frame, steering), (later, steered) in pairwise(shown):  # a slow machine drops frames
            assert abs(steered - steering) <= 0.0501 * (later - frame)
        page.until(lambda state: state["driver"] == MODEL, throttle_key=0)
        state = page.until(lambda state: state["take_over"] == 2, steering=-0.5)
        recorded = state["recording"]["recorded"]
        page.until(lambda state: state["recording"]["recorded"] > recorded + 2, steering=-0.5)
        page.until(lambda state: state["driver"] == MODEL, throttle_key=0)
        page.send(set={"recording": False})
        page.until(lambda state: not state["recording"]["on"], throttle_key=0)
    drivers = list(read_drivers(tmp_path / "run").values())
    assert {row.take_over for row in drivers} == {None, 1, 2}
    assert {row.driver for row in drivers} == {HUMAN, MODEL}
    assert (server.result.folder, server.result.rows) == (tmp_path / "run", len(drivers))
    rows = read_log(tmp_path / "run" / "driving_log.csv").rows
    # 15 a second, fewer while other programs use all cores
    assert np.ptp(rows.time_ms) / (len(rows) - 1) > 55
    convert(PreprocessSettings((str(tmp_path / "run"),), tmp_path / "data.h5"))
    assert (tmp_path / "data.h5").stat().st_size > 0


def test_a_person_sees_the_world_and_drives_while_the_model_is_read(untrained_model, tmp_path):
    with (
        playing_once_read(untrained_model, folder=tmp_path / "run") as server,
        FakePage(server.port) as page,
    ):
        # the world waits, with a picture
        state = page.until(lambda state: state["mode"] == "awaiting", throttle_key=0)
        assert requests.get(f"http://127.0.0.1:{server.port}/", timeout=120).status_code == 200
        page.send(set={"set_speed_mph": 5})
        assert "recording" in page.until_refused()
        # a person drives and records meanwhile
        page.send(set={"recording": True})
        state = page.until(lambda state: state["recording"]["recorded"] > 5, **FASTER)
        assert (state["driver"], state["awaits_model"]) == (HUMAN, True)
        server.goes_on.set()
        state = page.until(lambda state: state["driver"] == MODEL, frames=3000, throttle_key=0)
        assert (state["awaits_model"], state["saliency"]["unavailable"]) == (False, "")
        recorded = state["recording"]["recorded"]
        page.until(lambda state: state["recording"]["recorded"] > recorded + 5, throttle_key=0)
    drivers = [row.driver for row in read_drivers(tmp_path / "run").values()]
    assert [driver for driver, _ in groupby(drivers)] == [HUMAN, MODEL]


def test_a_model_that_cannot_be_read_ends_the_play_and_its_page_says_why(untrained_model, tmp_path):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(untrained_model.read_bytes()[:5000])
    with (
        suppress(UserError),
        playing_once_read(damaged, folder=tmp_path / "run") as server,
        FakePage(server.port) as page,
    ):
        page.send(set={"recording": True})
        page.until(lambda state: state["recording"]["recorded"] > 2, **FASTER)
        server.goes_on.set()
        message = {"kind": ""}
        while message["kind"] != "end":
            message, _ = page.receive()
        assert "damaged" in message["failure"]
        assert len(read_drivers(tmp_path / "run")) == message["recording"]["recorded"] > 2
        with pytest.raises(UserError, match="damaged"):
            server.ended.result(20)


IMPORTED = """
import sys, threading
from bcclone.game.play import play
from bcclone.game.play_settings import PlaySettings
LARGE = {"tensorflow", "keras", "h5py", "flask", "pandas", "matplotlib", "numba", "scipy"}
stop = threading.Event()
stop.set()
def notify(line):
    if not line.startswith("listening"):
        return print(line.split()[0], sorted(LARGE & set(sys.modules)))
    print("listening", sorted({"tensorflow", "keras", "h5py", "pandas"} & set(sys.modules)))
play(PlaySettings(browser=False, port=0), notify, stop)
"""


def test_a_play_answers_before_it_loads_anything_large(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(IMPORTED)
    assert run_process(str(script)).stdout == "loading []\nlistening []\n"


def test_a_full_disk_ends_the_recording_but_not_the_drive(tmp_path):
    # a long name is in each row, so that the log is soon too large
    folder = tmp_path / ("long" * 50) / "run"
    line = ("--no-browser", "-o", folder)
    with serving(*line, script="play", full_at=24_000) as server, FakePage(server.port) as page:
        page.send(set={"recording": True})
        state = page.until(lambda state: state["recording"]["failure"], **FASTER)
        page.until(lambda later: later["seconds"] > state["seconds"] + 0.5, **FASTER)
        server.end(signal.SIGKILL)
    assert "Traceback" not in server.output
    rows = read_log(folder / "driving_log.csv").rows
    assert len(rows) == state["recording"]["recorded"] > 5
    assert {*rows.center, *rows.left, *rows.right} == {
        path.name for path in (folder / "IMG").iterdir()
    }
    for name in (*rows.center, *rows.left, *rows.right):
        assert decode_jpeg((folder / "IMG" / name).read_bytes()).shape == (160, 320, 3)
    assert set(rows.center) <= read_drivers(folder).keys()
