"""Drive, play and evaluate send the same controls."""

import numpy as np
import pytest

from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver
from bcclone.drive.protocol import Telemetry
from bcclone.evaluation.evaluate import drive_policy
from bcclone.game.play_settings import PlaySettings
from bcclone.model.policy import load_policy
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.simulator.world_settings import Conditions, WorldSettings
from tests.drive.drive_server import Still, drive, serving_in_a_thread
from tests.running import ROOT


class LoggedWorld(SimulatedWorld):
    """A simulated world that keeps what it showed and how it was steered."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.states = []
        self.controls = []

    def observe(self):
        state = super().observe()
        if state:
            self.states.append(state)
        return state

    def steer(self, steering, throttle):
        super().steer(steering, throttle)
        self.controls.append((steering, throttle))


class ShownAgain(Still):
    """A world that shows the states of another one, however it is steered."""

    def __init__(self, states):
        super().__init__(0)
        self.states = list(states)

    def observe(self):
        return self.states.pop(0) if self.states else None


def test_drive_play_and_evaluate_send_the_same_controls_for_the_same_frames():
    speed = {"speed_mph": 20.0, "slow_in_corners": True, "min_speed_mph": 4.0}
    model = ROOT / "models" / "lake.h5"
    settings = WorldSettings(laps=0.004)
    evaluated = LoggedWorld(Renderer("lake", Conditions()), load_track("lake"), settings)
    drive_policy(load_policy(model), evaluated, SpeedSettings(**speed))
    assert len(evaluated.controls) == len(evaluated.states) > 20
    # of the simulator's two loops, one still waits for an answer when the world ends
    driven = ShownAgain([*evaluated.states, evaluated.states[-1]])
    with serving_in_a_thread(model, **speed) as server:
        drive(server.port, driven)
    player = Driver(load_policy(model), PlaySettings(model=model, **speed))
    played = [
        player.decide(
            Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
        ).control
        for state in evaluated.states
    ]
    assert [(control.steering, control.throttle) for control in played] == evaluated.controls
    # on the wire the speed has four decimals
    assert np.array(driven.controls) == pytest.approx(np.array(evaluated.controls), abs=2e-5)
