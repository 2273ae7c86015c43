"""A play at the pace of a clock that the tests move: whoever steers drives the world, laps are
timed, a lost car is put back, and rows are recorded in the simulator's format.
"""

import datetime
import math
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.hands import RELEASED, HandInput
from bcclone.drive.live_page import Pages
from bcclone.game.play import driven, play
from bcclone.game.play_settings import PlaySettings
from bcclone.game.played_world import Play, play_recorder
from bcclone.recording.log import read_log
from bcclone.recording.run_folder import locked_run
from bcclone.recording.run_tables import HUMAN, MODEL, read_drivers, read_trace
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import WorldPace
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from bcclone.web.access import Access
from bcclone.web.server import WebServer
from tests.drive.drive_server import Clock
from tests.drive.laws import LAWS
from tests.pages import FakePage
from tests.processes import full_disk, wait_for

PAGE = "a page"
GAS = HandInput(throttle_key=1)


class Steady:
    """A policy that answers the same at every frame, or fails with `error`."""

    def __init__(self, steering):
        self.steady = Answer(steering)
        self.error = ""

    def answer(self, frame):
        if self.error:
            raise RuntimeError(self.error)
        return self.steady

    def forget(self):
        pass


@pytest.fixture(scope="module")
def renderer():
    return Renderer("lake", Conditions())


class Played:
    """A play with one page, at the pace of a clock that the test's steps move."""

    def __init__(self, renderer, policy=None, speed=None, recorder=None, **start):
        speed = speed or SpeedSettings(speed_mph=20.0)
        if policy is not None:
            start["awaited"] = speed
        self.seconds = 0.0
        self.shown = 0
        recorder = recorder or play_recorder(None)
        track = load_track("lake")
        self.game = Play(renderer, track, recorder, clock=lambda: self.seconds, **start)
        if policy is not None:
            self.game.let_drive(Driver(policy, speed), None, "")
        self.game.hands.join(PAGE)

    def count(self):
        self.shown += 1

    def step(self, hands=RELEASED):
        """Let the page send what the hands do, None for nothing, and step; return the state."""
        if hands is not None:
            self.game.hands.move(PAGE, hands)
        self.seconds += self.game.step(self.count)
        return SimpleNamespace(**self.game.state())

    def until(self, condition, hands=RELEASED, steps=200):
        """Take steps with these hands until a state meets the condition; return that state."""
        for _ in range(steps):
            state = self.step(hands)
            if condition(state):
                return state
        raise AssertionError(state)


class Breaking(Play):
    """A play whose world breaks, in a way that nobody foresaw, once a page is open."""

    def step(self, on_frame=lambda: None):
        if self.hands.is_watched:
            raise ZeroDivisionError("odd world")
        return super().step(on_frame)


def test_a_world_that_breaks_ends_the_play_and_its_page_says_why(renderer):
    game = Breaking(renderer, load_track("lake"), play_recorder(None))
    listening = Future()

    def serve():
        with (
            WebServer(("127.0.0.1", 0), Access(), lambda line: None) as server,
            Pages(game, server) as pages,
            driven(game, pages.wake, server),
        ):
            server.show(pages.app())
            listening.set_result(server.port)
            server.wait()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(serve)
        with FakePage(listening.result(20)) as page:
            message = {"kind": ""}
            while message["kind"] != "end":
                message, _ = page.receive()
        with pytest.raises(UserError, match="the world cannot go on: odd world"):
            ended.result(20)
    assert message["failure"] == "the world cannot go on: odd world"


def test_a_model_drives_until_a_person_steers(renderer):
    until = Played(renderer, Steady(0.1)).until
    state = until(lambda state: state.speed_mph > 1)
    assert (state.driver, state.steering_model, state.steering_sent) == (MODEL, 0.1, 0.1)
    state = until(lambda state: state.steering_sent == -0.3, HandInput(steering=-0.3))
    assert (state.driver, state.take_over) == (HUMAN, 1)
    assert until(lambda state: state.steering_sent == 0.1).driver == MODEL
    until(lambda state: state.speed_mph > 3)
    # braking takes nothing over
    state = until(lambda state: state.speed_mph == 0, HandInput(throttle_key=-1))
    assert (state.driver, state.take_over) == (MODEL, None)


@pytest.mark.parametrize("steering", [math.nan, 0.2])
def test_a_model_that_fails_gets_safe_controls_and_the_reason_is_shown(renderer, steering):
    policy = Steady(0.2)
    until = Played(renderer, policy).until
    until(lambda state: state.speed_mph > 1)
    policy.steady = Answer(steering)
    policy.error = "" if math.isnan(steering) else "the model is broken"
    state = until(lambda state: abs(state.steering_sent) < 0.01)
    assert state.throttle == 0
    texts = " ".join(warning["text"] for warning in state.warnings)
    assert "bad inference" in texts
    assert policy.error in texts
    state = until(lambda state: state.steering_sent == 0.4, HandInput(steering=0.4, throttle_key=1))
    assert state.throttle > 0
    policy.steady = Answer(0.2)
    policy.error = ""
    until(lambda state: state.steering_sent == 0.2 and not state.warnings)


def test_a_world_waits_for_its_model_unless_a_person_drives(renderer, tmp_path):
    with play_recorder(tmp_path / "run") as recorder:
        speed = SpeedSettings(speed_mph=12.0)
        play = Played(renderer, recorder=recorder, awaited=speed)
        play.game.set({"recording": True})
        first = play.until(lambda state: state.mode == "awaiting")
        for _ in range(5):
            waiting = play.step()
        assert (waiting.seconds, waiting.mode) == (first.seconds, "awaiting")
        assert (waiting.awaits_model, waiting.set_speed_mph) == (True, 12)
        assert "set_speed_mph" not in play.game.controls
        # hands begin a drive, which goes on when they are off the wheel
        state = play.until(lambda state: state.speed_mph > 3, GAS)
        assert (state.driver, state.take_over, state.awaits_model) == (HUMAN, None, True)
        assert play.until(lambda later: later.seconds > state.seconds + 1).driver == HUMAN
        # the model drives as soon as it is there
        play.game.let_drive(Driver(Steady(0.1), speed), None, "128x128")
        state = play.until(lambda state: state.steering_sent == 0.1)
        assert (state.driver, state.take_over, state.awaits_model) == (MODEL, None, False)
        assert "set_speed_mph" in play.game.controls
        play.until(lambda later: later.seconds > state.seconds + 1)
        assert play.until(lambda state: state.take_over == 1, HandInput(steering=0.3))
    drivers = [row.driver for row in read_drivers(tmp_path / "run").values()]
    assert drivers[0] == HUMAN
    assert drivers.index(MODEL) > 5


def test_a_model_that_nobody_drove_before_begins_where_the_car_was_put(renderer):
    play = Played(renderer, awaited=SpeedSettings(), start_m=100.0)
    begin = play.until(lambda state: state.mode == "awaiting", steps=20)
    play.game.let_drive(Driver(Steady(0.0), SpeedSettings()), None, "")
    state = play.step()
    assert (state.mode, state.driver) == ("driving", MODEL)
    assert (state.x_m, state.z_m) == (begin.x_m, begin.z_m)
    assert state.laps["seconds"] < 0.1


def test_a_world_whose_page_is_silent_rests_and_then_goes_on(renderer):
    play = Played(renderer)
    play.until(lambda state: state.speed_mph > 10, GAS)
    asleep = play.until(lambda state: state.mode == "asleep", hands=None)
    for _ in range(5):
        assert play.step(hands=None).seconds == asleep.seconds
    play.game.hands.leave(PAGE)
    frames = play.game.frames
    for _ in range(5):
        play.step(hands=None)
    assert play.game.frames == frames == play.shown
    play.game.hands.join(PAGE)
    awake = play.until(lambda state: state.mode == "driving" and state.seconds > asleep.seconds)
    assert awake.speed_mph > 9


def test_fifteen_rows_are_recorded_a_second_and_none_while_the_car_is_put_back(renderer, tmp_path):
    with play_recorder(tmp_path / "run") as recorder:
        play = Played(renderer, Steady(0.0), recorder=recorder)
        play.game.set({"recording": True})
        play.until(lambda state: state.seconds >= 2)
        wait_for(lambda: recorder.recorded >= 30, every_seconds=0.002)
        play.game.set({"put_back": True})
        play.until(lambda state: state.seconds >= 5)
        for _ in range(4):
            play.step(HandInput(steering=0.5))
        play.game.set({"recording": False})
        play.until(lambda state: state.seconds >= 7)
    rows = read_log(tmp_path / "run" / "driving_log.csv").rows
    assert recorder.recorded == len(rows)
    between = np.diff(rows.time_ms)
    gap = int(np.argmax(between))
    assert gap == pytest.approx(30, abs=1)
    assert between[gap] == pytest.approx(1600, abs=1000 / 15 + 1)
    assert np.delete(between, gap) == pytest.approx(1000 / 15, abs=1)
    named = {*rows.center, *rows.left, *rows.right}
    assert named == {path.name for path in (tmp_path / "run" / "IMG").iterdir()}
    drivers = read_drivers(tmp_path / "run")
    drove = [drivers[name].driver for name in rows.center]
    assert drove == [MODEL] * drove.count(MODEL) + [HUMAN] * 2
    assert read_trace(tmp_path / "run").keys() == drivers.keys()
    # by the clock of this machine, as the simulator names its images
    now = datetime.datetime.now() - datetime.datetime(1970, 1, 1)
    assert rows.time_ms.iloc[-1] == pytest.approx(now.total_seconds() * 1000, abs=60_000)


@pytest.mark.parametrize("size", [10, 5_000])  # of headers, of an image
def test_a_recording_that_gets_no_row_on_a_full_disk_leaves_no_folder(renderer, tmp_path, size):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with play_recorder(tmp_path / "run") as recorder:
        play = Played(renderer, recorder=recorder)
        with full_disk(size), suppress(UserError):
            play.game.set({"recording": True})
            play.until(lambda state: state.seconds > 0.1)
            wait_for(lambda: recorder.failure)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_two_plays_record_into_folders_of_their_own(tmp_path):
    with play_recorder(tmp_path / "run") as recorder, play_recorder(tmp_path / "run") as other:
        recorder.turn(True)
        other.turn(True)
        assert (recorder.folder, other.folder) == (tmp_path / "run", tmp_path / "run-2")
        with pytest.raises(UserError, match=r"run: process \d+ .*another folder"):
            locked_run(recorder.folder).__enter__()
    assert not list(tmp_path.iterdir())  # without a row, nothing stays


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_play_holds_the_speed_that_its_settings_ask_for(renderer, law):
    policy = Steady(0.0)
    held_mph = law.held_mph
    policy.steady = law.answer
    until = Played(renderer, policy, law.settings).until
    until(lambda state: state.speed_mph > held_mph - 0.5)
    speeds = []
    until(lambda state: speeds.append(state.speed_mph) or len(speeds) == 60)
    assert max(abs(mph - held_mph) for mph in speeds[30:]) < 2


def test_a_play_begins_where_it_is_asked_to_and_laps_are_timed(renderer):
    played = Played(renderer, start_m=200.0, start_offset_m=-2.0)
    tracked = played.game.tracked
    assert tracked.position.along_m == pytest.approx(200.0, abs=0.1)
    assert tracked.position.cross_track_m == pytest.approx(-2.0, abs=0.05)
    lap_m = tracked.track.lap_m
    ends = []
    for lap in (1, 2, 3):
        state = played.until(lambda state, lap=lap: state.laps["lap"] == lap, GAS)
        ends.append(state.seconds)
        tracked.progress_m = lap * lap_m - 0.5
    assert state.laps["last"] == pytest.approx(ends[2] - ends[1], abs=0.05)
    assert state.laps["best"] == min(state.laps["last"], state.laps["best"])
    with pytest.raises(UserError, match="--start-m 5000: the lap of lake ends after 1138 m"):
        play(PlaySettings(start_m=5000.0))


def test_a_lost_car_is_put_back_on_the_middle_of_the_road_where_it_stands(renderer):
    played = Played(renderer)
    played.until(lambda state: state.speed_mph > 10, GAS)
    played.game.tracked.push(20.0)
    state = played.step()
    assert abs(state.cross_track_m) < 0.1
    assert state.speed_mph < 1
    assert not state.off_road


@pytest.fixture
def clock():
    return Clock()


def taken(pace, clock, seconds, every):
    """Return the steps that are due in this time, asked for at this interval."""
    steps = 0
    for _ in range(round(seconds / every)):
        clock.seconds += every
        steps += pace.due()
    return steps


@pytest.mark.parametrize("every", [1 / 30, 0.007])
def test_fifty_steps_are_due_a_second_however_often_one_asks(clock, every):
    pace = WorldPace(8, clock)
    pace.due()
    assert taken(pace, clock, 4.2, every) == pytest.approx(4.2 * 50, abs=2)
    assert not pace.is_slow
    assert taken(pace, clock, 4, every=0.4) == 80  # too seldom: it falls behind
    assert pace.is_slow


def test_a_world_that_has_rested_does_not_catch_up(clock):
    pace = WorldPace(8, clock)
    pace.due()
    clock.seconds += 0.05
    pace.rest()
    clock.seconds += 60
    assert pace.due() == 0
    clock.seconds += 0.04
    assert pace.due() == 2
    assert not pace.is_slow
