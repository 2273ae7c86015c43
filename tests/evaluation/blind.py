"""Policies that see nothing, which must not score well."""

import itertools

import numpy as np

from bcclone.dataset.answer import Answer
from bcclone.evaluation.evaluate import evaluate_policy
from bcclone.evaluation.evaluate_settings import EvaluateSettings
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.world_settings import ExpertSettings


class Blind:
    """A policy that ignores its frames: it repeats the steering it was given."""

    def __init__(self, steering):
        self._steering = itertools.cycle(steering)

    def answer(self, frame):
        """Return the next steering, -1 to 1, whatever the frame."""
        return Answer(next(self._steering))

    def forget(self):
        """Do nothing: no frames are kept."""


def metres_on_the_road(track):
    """Drive without looking: without steering, with an expert's mean steering, and with it in
    shuffled order.
    """
    expert = _expert_steering(track)
    shuffled = np.random.default_rng(0).permutation(expert)
    steerings = {
        "no steering": [0.0],
        "mean steering": [float(expert.mean())],
        "shuffled steering": shuffled.tolist(),
    }
    settings = EvaluateSettings(laps=0.14, set_back=False, speed_mph=20.0)
    metres = {}
    for name, steering in steerings.items():
        score = evaluate_policy(Blind(steering), settings).score
        metres[name] = (
            score.distance_m if score.first_off_road_m is None else score.first_off_road_m
        )
    return metres


def _expert_steering(track):
    """Return an expert's steering of a lap, every 0.04 s."""
    tracked = TrackedCar(track)
    expert = Expert(track, ExpertSettings(recoveries=0), seed=0)
    steering = []
    while tracked.progress_m < track.length_m:
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        if tracked.steps % 2 == 0:
            steering.append(tracked.car.steering)
        tracked.step()
    return np.array(steering)
