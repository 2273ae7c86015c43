"""The page of a drive without a browser: its addresses, its messages, and its saliency overlay.

The page in a browser is tested in test_drive_page.py.
"""

import contextlib
import threading
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import requests
import websocket

from bcclone.camera.images import encode_jpeg
from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.hands import Hands
from bcclone.drive.live_page import DriveSession, Pages
from bcclone.drive.run_writer import RunWriter
from bcclone.drive.saliency_overlay import SaliencyThread
from bcclone.drive.stats import DriveStats
from bcclone.recording.run_folder import Recorder
from bcclone.system.errors import command_line
from bcclone.web.access import Access
from tests.drive.drive_server import FRAME as DRIVEN
from tests.drive.drive_server import (
    MODES,
    Clock,
    Constant,
    errors_logged,
    next_event,
    playing,
    raw,
    serving_in_a_thread,
    telemetry_text,
)
from tests.pages import FakePage
from tests.processes import wait_for
from tests.running import ROOT

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


def make_page(clock=time.monotonic):
    """Return the page of a drive that never records, and whose network has no saliency."""
    hands = Hands()
    arbiter = ConnectionArbiter(Driver(Constant(), SpeedSettings(speed_mph=25.0), hands))
    stats = DriveStats(arbiter, clock=clock)
    recorder = Recorder(None)
    cars = SimpleNamespace(arbiter=arbiter, stats=stats, recorder=recorder, dialect="", count=1)
    saliency = SaliencyThread(lambda: stats.last_frame, None, "it has no convolution")
    return DriveSession(cars, hands, saliency, Constant(), clock)


def make_client(token="", waits=None):
    """Return a client of the page's addresses."""
    waits = [] if waits is None else waits
    access = Access(token=token, clock=lambda: sum(waits))
    server = SimpleNamespace(access=access, sleep=waits.append)
    return Pages(make_page(), server).app().test_client()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "expected an object with some of"),
        ('{"set_speed_mph": -1}', "0 to 60 mph"),
        ('{"saliency": true}', "it has no convolution"),
        ('{"set_speed_mph": 5, "autonomous": "no"}', "expected true or false"),
    ],
)
def test_an_invalid_control_is_refused_with_the_reason_and_changes_nothing(body, reason):
    client = make_client()
    before = client.get("/state").json
    refused = client.post("/control", data=body, content_type="application/json")
    assert refused.status_code == 400
    assert reason in refused.json["error"]
    assert client.get("/state").json | {"seconds": before["seconds"]} == before


def test_the_token_opens_the_page_and_a_wrong_one_is_delayed():
    waits = []
    client = make_client("sesame", waits)
    for cookie in ("", "é" * 100, "True"):
        client.set_cookie("bcclone-80", cookie)
        assert client.get("/state").status_code == 401
    assert client.post("/control", json={"autonomous": False}).status_code == 401
    asked = client.get("/")
    assert (asked.status_code, 'name="token"' in asked.text) == (401, True)
    wrong = client.post("/login", data={"token": "simsim"})
    assert (wrong.status_code, waits) == (401, [1.0])
    right = client.post("/login", data={"token": "sesame"})
    assert right.status_code == 302
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "sesame" not in cookie
    assert client.get("/state").status_code == 200
    other = client.post(
        "/login", data={"token": "sesame"}, base_url="http://localhost:4568"
    ).headers["Set-Cookie"]
    # browsers send a cookie to all ports of a machine
    assert other.partition("=")[0] != cookie.partition("=")[0]


def test_every_response_has_security_headers():
    client = make_client()
    for address in ("/", "/state", "/page/page.js", "/nowhere"):
        headers = client.get(address).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_pages_share_one_frame_which_changes_ten_times_a_second():
    clock = Clock()
    page = make_page(clock)
    for count in range(90):
        clock.seconds = count / 30
        first = page.newest()
        assert first is page.newest()
        assert first.number == 1 + count // 3
    page.set({"set_speed_mph": 12.0})
    assert page.newest().number == 31
    assert page.newest().state["set_speed_mph"] == 12.0


def test_every_field_of_the_state_is_documented():
    page = (ROOT / "docs" / "reference" / "page.md").read_text()
    state = make_client().get("/state").json
    names = set(state) | {
        name for value in state.values() if isinstance(value, dict) for name in value
    }
    names |= {"text", "count", "seconds"}  # of a warning
    assert {name for name in names if f"`{name}`" not in page} == set()


# ---- messages and a real server


@pytest.fixture(scope="module", params=MODES)
def port(request):
    with (
        errors_logged() as errors,
        serving_in_a_thread(Constant(), async_mode=request.param) as server,
    ):
        yield server.port
    assert (server.result.faults, errors) == (0, [])


def test_a_page_sees_the_drive_steers_and_sets_controls(port):
    with FakePage(port) as page, raw(port) as connection:
        page.until(lambda state: state["connection"] == "none")
        connection.send_text(telemetry_text())
        assert next_event(connection)[0] == "steer"
        page.send(set={"set_speed_mph": 7})
        _, pictures = page.receive()
        while not pictures[0]:
            _, pictures = page.receive()
        assert pictures[0] == DRIVEN
        page.until(lambda state: state["set_speed_mph"] == 7)
        page.hands(steering=-1.0)
        for _ in range(60):
            connection.send_text(telemetry_text())
            _, steered = next_event(connection)
            page.hands(steering=-1.0)
            page.receive()
            if float(steered["steering_angle"]) == -1.0:
                break
        assert float(steered["steering_angle"]) == -1.0
        assert page.until(lambda state: state["driver"] == "human", steering=-1.0)["take_over"] == 1
        page.send(set={"paused": True})
        assert "expected an object with some of saliency" in page.until_refused()


REFUSED = [
    *("", "{", "[]", "{}", "3", b"\xff"),
    *('{"drawn": -1}', '{"drawn": true}', '{"drawn": "1"}', '{"drawn": ' + "9" * 30 + "}"),
    *('{"hands": 1}', '{"hands": 1e999}', '{"hands": ' + "9" * 5000 + "}"),
    *('{"hands": {"steering": 2}}', '{"hands": {"steering": NaN}}', '{"hands": {"brake": 1}}'),
    *('{"hands": {"steering": "left"}}', '{"hands": {"steering_key": true}}'),
    *('{"set": {}}', '{"set": {"speed": 1}}', '{"set": {"recording": 1}}'),
    *('{"set": {"set_speed_mph": 61}}', '{"set": {"set_speed_mph": NaN}}'),
    '{"set": {"paused": true}}',
    *('{"wheel": "keep"}', '{"else": 1}'),
    *("[" * 100_000, "[" * 400 + "]" * 400, '{"a": ' * 900 + "1" + "}" * 900),
]
LONG = ('{"set": {"autonomous": "%s"}}', '{"hands": {"steering": "%s"}}', "%s")


def test_any_other_message_is_refused_in_a_few_words(port):
    with FakePage(port) as page:
        for text in REFUSED:
            send = page.socket.send if isinstance(text, str) else page.socket.send_binary
            send(text)
            assert "expected" in page.until_refused(), text[:80]
        for text in LONG:
            page.socket.send(text % ("x" * 100_000))
            assert len(page.until_refused()) < 400


@pytest.mark.parametrize("mode", MODES)
def test_the_server_ends_at_once_while_pages_and_a_car_are_connected(mode):
    with errors_logged() as errors, contextlib.ExitStack() as clients:
        with serving_in_a_thread(Constant(), async_mode=mode) as server:
            page = clients.enter_context(FakePage(server.port))
            connection = clients.enter_context(raw(server.port))
            page.receive()
            connection.send_text(telemetry_text())
            assert next_event(connection)[0] == "steer"
            began = time.monotonic()
        assert time.monotonic() - began < 60
        page.acknowledges = False  # the server has gone
        while (message := page.receive()[0])["kind"] == "frame":
            pass
        assert (message["kind"], message["recording"]["recorded"]) == ("end", 0)
    assert errors == []


def test_the_line_that_starts_it_again_is_quoted_without_its_token_and_names_a_free_folder(
    tmp_path,
):
    page = make_page()
    assert page.command(()) == ""
    typed = ("bcclone", "drive", "my model.h5", "run1", "--token=sesame and more")
    shown = command_line(("bcclone", "drive", "my model.h5", "run1", "--token=YOUR-TOKEN"))
    assert page.command(typed) == shown
    folder = tmp_path / "run1"
    with Recorder(lambda held: RunWriter(folder)) as recorder:
        page.recorder = recorder
        typed = ("bcclone", "drive", "model.h5", str(folder))
        recorder.turn(True)
        assert page.command(typed).endswith("/run1")
        recorder.record(lambda writer: None)
        wait_for(lambda: recorder.recorded)
        assert page.command(typed).endswith("/run1-2")


@pytest.mark.parametrize(
    "serve",
    [partial(serving_in_a_thread, Constant()), pytest.param(playing, marks=pytest.mark.slow)],
    ids=["drive", "play"],
)
def test_a_websocket_needs_the_token_and_a_page_of_this_server(serve, caplog):
    with serve(token="sesame") as server:
        for options, status in (({"origin": "http://elsewhere.example"}, 403), ({}, 401)):
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                FakePage(server.port, **options)
            assert refused.value.status_code == status
        assert "127.0.0.1 was refused, since it has not sent the token" in caplog.text
        login = f"http://127.0.0.1:{server.port}/login"
        answer = requests.post(login, data={"token": "sesame"}, timeout=60, allow_redirects=False)
        with FakePage(server.port, cookie=answer.headers["Set-Cookie"].partition(";")[0]) as page:
            page.receive()


# ---- the saliency overlay


def test_the_overlay_of_the_newest_frame_is_shown_until_it_is_switched_off():
    computing = threading.Event()
    go_on = threading.Event()
    go_on.set()

    def saliency_of(frame):
        computing.set()
        go_on.wait(60)
        return np.ones((160, 320))

    number = iter(range(1, 1000))
    with SaliencyThread(lambda: (next(number), FRAME), saliency_of) as saliency:
        assert saliency.png == b""
        saliency.on = True
        assert wait_for(lambda: saliency.png).startswith(b"\x89PNG")
        go_on.clear()
        computing.clear()
        assert computing.wait(60)
        saliency.on = False
        go_on.set()  # one that is ready now is dropped
    assert saliency.png == b""


def test_a_network_without_saliency_is_reported_and_the_thread_goes_on():
    def saliency_of(frame):
        raise RuntimeError("it has no convolution")

    with SaliencyThread(lambda: (1, FRAME), saliency_of) as saliency:
        saliency.on = True
        wait_for(lambda: not saliency.on)
        with pytest.raises(ValueError, match="no convolution"):
            saliency.on = True
