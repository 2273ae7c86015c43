"""The world is driven by whoever steers: a person, a model that works or fails, or nobody."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.page.page_state import PageContents
from bcclone.drive.wheel import RELEASED, HandInput
from bcclone.play.play_files import play_recorder
from bcclone.play.play_session import PlaySession
from bcclone.play.play_world import PlayedWorld
from bcclone.recording.drivers import HUMAN, MODEL
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from tests.drive.test_controller import LAWS

pytestmark = pytest.mark.slow  # in real time
PAGE = "a page"


class Steady:
    """A policy that answers the same at every frame, or fails with `error`."""

    def __init__(self, steering):
        self.steady, self.error = Answer(steering), ""

    def answer(self, frame):
        if self.error:
            raise RuntimeError(self.error)
        return self.steady

    def forget(self):
        pass


@pytest.fixture(scope="module")
def renderer():
    return Renderer("lake", Conditions())


@contextmanager
def driven(renderer, policy=None, speed=SpeedSettings(20.0)):  # noqa: B008
    """Drive within the block; yield a function that holds the hands so until a state meets the condition."""
    driver = None if policy is None else Driver(policy, speed)
    shown = threading.Event()
    contents = PageContents("bcclone play", "bcclone play", 0, policy is not None, track="lake")
    recorder = play_recorder(renderer, None)
    session = PlaySession(PlayedWorld(renderer, load_track("lake")), recorder, contents, driver, shown.set)
    session.hands.join(PAGE)
    thread = threading.Thread(target=session.drive)
    thread.start()

    def until(condition, hands=RELEASED, frames=200):
        for number in range(frames):
            if hands is not None:
                session.hands.move(PAGE, hands, number + 1)
            assert shown.wait(5)
            shown.clear()
            state = SimpleNamespace(**session.state().as_json())
            if condition(state):
                return state
        raise AssertionError(state)

    try:
        yield session, until
    finally:
        session.end()
        thread.join(10)


def test_a_model_drives_until_a_person_steers(renderer):
    with driven(renderer, Steady(0.1)) as (_, until):
        state = until(lambda state: state.speed_mph > 1)
        assert (state.driver, state.steering_model, state.steering_sent) == (MODEL, 0.1, 0.1)
        state = until(lambda state: state.steering_sent == -0.3, HandInput(steering=-0.3))
        assert (state.driver, state.take_over) == (HUMAN, 1)
        assert until(lambda state: state.steering_sent == 0.1).driver == MODEL


@pytest.mark.parametrize("steering", [float("nan"), 0.2])
def test_a_model_that_fails_gets_safe_controls_and_the_reason_is_shown(renderer, steering):
    policy = Steady(0.2)
    with driven(renderer, policy) as (_, until):
        until(lambda state: state.speed_mph > 1)
        policy.steady, policy.error = Answer(steering), "" if steering != steering else "the model is broken"
        state = until(lambda state: abs(state.steering_sent) < 0.01)
        assert state.throttle == 0
        assert any("the model fails: bad inference" in warning["text"] for warning in state.warnings)
        assert policy.error in " ".join(warning["text"] for warning in state.warnings)
        state = until(lambda state: state.steering_sent == 0.4, HandInput(steering=0.4, throttle_key=1))
        assert state.throttle > 0
        policy.steady, policy.error = Answer(0.2), ""
        until(lambda state: state.steering_sent == 0.2 and not state.warnings)


def test_the_person_brakes_while_the_model_steers(renderer):
    with driven(renderer, Steady(0.0)) as (_, until):
        until(lambda state: state.speed_mph > 3)
        state = until(lambda state: state.speed_mph == 0, HandInput(throttle_key=-1))
        assert (state.driver, state.take_over) == (MODEL, None)


def test_a_lost_car_is_put_back(renderer):
    with driven(renderer) as (session, until):
        until(lambda state: state.speed_mph > 1, HandInput(throttle_key=1))
        session.world.tracked.push(20.0)
        state = until(lambda state: abs(state.cross_track_m) < 1)
        assert state.mode == "driving"


def test_a_world_that_nobody_watches_rests(renderer):
    with driven(renderer) as (session, until):
        until(lambda state: state.mode == "driving", HandInput())
        until(lambda state: state.mode == "asleep", hands=None)
        session.hands.leave(PAGE)
        time.sleep(0.2)
        frames = session.frames
        time.sleep(0.3)
        assert session.frames == frames
        session.hands.join(PAGE)
        until(lambda state: state.mode == "driving")


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_play_holds_the_speed_that_its_settings_ask_for(renderer, law):
    policy, held_mph = Steady(0.0), law.held_mph
    policy.steady = law.answer
    with driven(renderer, policy, law.settings) as (_, until):
        until(lambda state: state.speed_mph > held_mph - 0.5)
        speeds = []
        until(lambda state: speeds.append(state.speed_mph) or len(speeds) == 60)
    assert max(abs(mph - held_mph) for mph in speeds[30:]) < 2
