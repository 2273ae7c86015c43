"""The world is driven by whoever steers: a person, a model that works or fails, or nobody."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.hand_input import RELEASED, HandInput
from bcclone.drive.page.page_state import ControlChanges, PageContents
from bcclone.drive.recorder import Recorder
from bcclone.game.play_session import PlaySession
from bcclone.game.played_world import PlayedWorld
from bcclone.game.world_drive import WorldDrive
from bcclone.recording.run_tables import HUMAN, MODEL
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from tests.drive.test_controller import LAWS

PAGE = "a page"


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

    def __init__(self, renderer, policy=None, speed=SpeedSettings(speed_mph=20.0), recorder=None):  # noqa: B008
        driver = None if policy is None else Driver(policy, speed)
        contents = PageContents("bcclone play", "bcclone play", 0, policy is not None, track="lake")
        world = PlayedWorld(renderer, load_track("lake"))
        recorder = recorder or Recorder(Rows)
        self.seconds = 0.0
        self.shown = 0
        drive = WorldDrive(world, driver, lambda: self.seconds)
        self.session = PlaySession(drive, recorder, contents)
        self.session.hands.join(PAGE)

    def count(self):
        self.shown += 1

    def step(self, hands=RELEASED):
        """Let the page send what the hands do, None for nothing, and step; return the state."""
        if hands is not None:
            self.session.hands.move(PAGE, hands)
        self.seconds += self.session.step(self.count)
        return SimpleNamespace(**self.session.state())

    def until(self, condition, hands=RELEASED, steps=200):
        """Take steps with these hands until a state meets the condition; return that state."""
        for _ in range(steps):
            state = self.step(hands)
            if condition(state):
                return state
        raise AssertionError(state)


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


@pytest.mark.parametrize("steering", [float("nan"), 0.2])
def test_a_model_that_fails_gets_safe_controls_and_the_reason_is_shown(renderer, steering):
    policy = Steady(0.2)
    until = Played(renderer, policy).until
    until(lambda state: state.speed_mph > 1)
    policy.steady = Answer(steering)
    policy.error = "" if steering != steering else "the model is broken"
    state = until(lambda state: abs(state.steering_sent) < 0.01)
    assert state.throttle == 0
    assert any("bad inference" in warning["text"] for warning in state.warnings)
    assert policy.error in " ".join(warning["text"] for warning in state.warnings)
    state = until(lambda state: state.steering_sent == 0.4, HandInput(steering=0.4, throttle_key=1))
    assert state.throttle > 0
    policy.steady = Answer(0.2)
    policy.error = ""
    until(lambda state: state.steering_sent == 0.2 and not state.warnings)


def test_the_car_of_a_silent_page_rolls_for_a_second_and_then_brakes(renderer):
    play = Played(renderer)
    play.until(lambda state: state.speed_mph > 10, HandInput(throttle_key=1))
    rolls = play.until(lambda state: state.mode == "asleep", hands=None)
    assert rolls.throttle == 0
    brakes = play.until(lambda state: state.throttle < 0, hands=None)
    assert brakes.seconds - rolls.seconds == pytest.approx(1.0, abs=0.05)
    assert play.until(lambda state: state.speed_mph == 0, hands=None).mode == "asleep"


def test_a_world_that_nobody_watches_rests(renderer):
    play = Played(renderer)
    play.until(lambda state: state.mode == "driving")
    play.until(lambda state: state.mode == "asleep", hands=None)
    play.session.hands.leave(PAGE)
    frames = play.session.frames
    for _ in range(5):
        play.step(hands=None)
    assert play.session.frames == frames == play.shown
    play.session.hands.join(PAGE)
    play.until(lambda state: state.mode == "driving")


class Rows:
    """The files of a recording, which keep the rows."""

    folder = Path("rows")

    def __init__(self):
        self.rows = []

    def write(self, row):
        self.rows.append(row)

    def close(self):
        pass


def test_fifteen_rows_are_recorded_a_second_and_none_while_the_car_is_put_back(renderer):
    files = Rows()
    with Recorder(lambda: files, from_start=True) as recorder:
        play = Played(renderer, recorder=recorder)
        play.until(lambda state: state.seconds >= 2)
        play.session.set(ControlChanges(put_back=True))
        put_back = play.seconds
        play.until(lambda state: state.seconds >= 5)
    taken = np.array([row.taken for row in files.rows])
    before = taken[taken < put_back]
    assert np.diff(before) == pytest.approx(1 / 15)
    assert len(before) == pytest.approx(30, abs=1)
    assert taken[len(before)] - put_back == pytest.approx(1.6, abs=1 / 15)


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
