"""Map margins: models and a road -> the map of each model's margins, and what to record next.

Workers let each model steer on rendered frames (answers.py). The model's steering then tells from
which states the car comes back (returning.py).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.evaluation.suite import name_models
from bcclone.evaluation.worker_model import InputFile
from bcclone.research.margin import MarginSettings
from bcclone.research.margin.answers import (
    Answers,
    DrivenCheck,
    RunKept,
    StatesTask,
    Trial,
    answer_states,
    check_by_driving,
)
from bcclone.research.margin.following import (
    RENDERED,
    STARTS,
    StateGrid,
    SteeringTable,
    shape_of,
    state_grid,
)
from bcclone.research.margin.record_next import RECORD, LostStates, RecordNext, bend_ahead
from bcclone.research.margin.returning import ReturningSet, returning_set
from bcclone.simulator.track import Track, load_track
from bcclone.system.errors import UserError
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray
from bcclone.system.pool import FinishedSteps, open_pool, run_kept
from bcclone.system.process import Notify
from bcclone.system.values import to_json

_STRAIGHT_M = 150.0  # a narrow place in a bend of a larger radius is said to be on a straight


@dataclass(frozen=True)
class NarrowPlace:
    """A place where the margin is small: the car comes back from a small offset only."""

    along_m: float  # metres from the start of the lap
    side: str  # where the margin is smaller: "left", "right" or "either"
    margin_m: float  # margin on that side
    radius_m: float | None  # radius of the bend, negative to the left; None on a straight

    @property
    def text(self) -> str:
        return f"{self.along_m:6.0f} m: {self.margin_m:.2f} m on {self._side}, {self._bend}"

    @property
    def _side(self) -> str:
        if self.side == "either":
            return "either side"
        return f"the {self.side}"

    @property
    def _bend(self) -> str:
        if self.radius_m is None:
            return "a straight"
        if self.radius_m < 0:
            return f"a left bend of {-self.radius_m:.0f} m"
        return f"a right bend of {self.radius_m:.0f} m"


# The box: only states within these limits count in the shares that come back and that stay on the
# road, because a model that drives is hardly ever farther off.
_BOX_M = 2.0
_BOX_DEGREES = 10.0


@dataclass(frozen=True)
class NarrowestChoice:
    """Which places of a road are named as its narrowest."""

    count: int = 10  # most places
    apart_m: float = 20.0  # smallest distance between two places


_NARROWEST = NarrowestChoice()


@dataclass(frozen=True)
class MarginMap:
    """The margins of a model on a road."""

    track: Track
    table: SteeringTable  # the model's steering in the states whose frames were rendered
    returning: ReturningSet  # the states from which the car comes back
    check: DrivenCheck | None = None  # None where no cars were driven

    @property
    def share_percent(self) -> float:
        """Return the share of the states within 2 m and 10 degrees, on asphalt, that come back."""
        return round(100 * float(self.returning.returns[self._box].mean()), 2)

    @property
    def stays_percent(self) -> float:
        """Return the share of the same states from which the car never leaves the road."""
        return round(100 * float(self.returning.stays[self._box].mean()), 2)

    @cached_property
    def _box(self) -> BoolArray:
        """Return which states are in the box and on the asphalt, bool (places, offsets, turns)."""
        grid = self.returning.grid
        offsets = np.abs(grid.offsets_m) <= np.minimum(self.limits_m, _BOX_M + 1e-9)[:, None]
        turns = np.abs(np.degrees(grid.turns)) <= _BOX_DEGREES + 1e-9
        return offsets[:, :, None] & turns[None, None, :]

    @property
    def limits_m(self) -> FloatArray:
        """Return the largest offset with all wheels on the asphalt at each place, (places,)."""
        places = self.returning.grid.places_m.tolist()
        return np.array([self.track.limits_m[self.track.index(place)] for place in places])

    @property
    def along_m(self) -> FloatArray:
        """Return the places of the map, in metres from the start of the lap, (places,)."""
        return self.returning.grid.places_m - self.track.start_m

    @property
    def smallest_margin_m(self) -> float:
        return round(float(self.returning.margins_m.min()), 3)

    @property
    def mean_margin_m(self) -> float:
        """Return the mean over the places of the smaller of the two sides' margins."""
        return round(float(self.returning.margins_m.min(axis=1).mean()), 3)

    @cached_property
    def narrowest(self) -> tuple[NarrowPlace, ...]:
        """Return the places of the smallest margins, the worst first, at least 20 m apart.

        Places where the car comes back from either edge are not narrow.
        """
        # the edge lies between two offsets of the grid, so the margin of a car that comes back even
        # from the edge may be up to two steps smaller than the limit
        least = self.returning.margins_m.min(axis=1)
        offsets = self.returning.grid.offsets_m
        is_narrow = least < self.limits_m - 2 * (offsets[1] - offsets[0])

        order = np.argsort(least, kind="stable")
        chosen: dict[float, NarrowPlace] = {}  # metres along the lap -> the place
        for place in order[is_narrow[order]].tolist():
            along_m = float(self.along_m[place])
            if self._is_apart(along_m, chosen):
                chosen[along_m] = self._narrow_place(place)
        return tuple(islice(chosen.values(), _NARROWEST.count))

    def _is_apart(self, along_m: float, places_m: Iterable[float]) -> bool:
        """Return whether a place is far enough from all places that are chosen already."""
        distances_m = (abs(self.track.apart(along_m, place_m)) for place_m in places_m)
        return all(distance_m >= _NARROWEST.apart_m for distance_m in distances_m)

    def _narrow_place(self, place: int) -> NarrowPlace:
        """Describe a place of the grid. place: its index."""
        along_m = float(self.along_m[place])
        left, right = self.returning.margins_m[place].tolist()
        if left == right:
            side = "either"
        elif left < right:
            side = "left"
        else:
            side = "right"
        bend = bend_ahead(self.track, along_m)
        radius = None
        if abs(bend) > 1 / _STRAIGHT_M:
            radius = round(1 / bend, 1)
        return NarrowPlace(round(along_m, 1), side, round(min(left, right), 3), radius)

    @cached_property
    def record_next(self) -> tuple[RecordNext, ...]:
        """Return the kinds of places with the most states in the box that do not come back.

        The worst come first. There are none where nearly all states come back.
        """
        lost = self._box & ~self.returning.returns
        if lost.sum() < RECORD.enough * self._box.sum():
            return ()

        # lost states to the left and to the right of each place's middle
        offsets = self.returning.grid.offsets_m
        left = lost[:, offsets < -1e-9].sum(axis=(1, 2))
        right = lost[:, offsets > 1e-9].sum(axis=(1, 2))
        counts = np.stack([left, right], axis=1)
        places_m = self.returning.grid.places_m
        return LostStates(self.track, places_m, self.limits_m, counts).record_next()

    def figures(self) -> dict[str, Any]:
        """Return what figures.json says of the map."""
        margins = self.returning.margins_m
        return {
            "share_percent": self.share_percent,
            "stays_percent": self.stays_percent,
            "smallest_margin_m": self.smallest_margin_m,
            "mean_margin_m": self.mean_margin_m,
            "frames": self.table.steering.size,
            "states": math.prod(self.returning.grid.shape),
            "narrowest": to_json(self.narrowest),
            "along_m": [round(metres, 2) for metres in self.along_m.tolist()],
            "left_m": [round(metres, 3) for metres in margins[:, 0].tolist()],
            "right_m": [round(metres, 3) for metres in margins[:, 1].tolist()],
            "check": to_json(self.check),
            "record_next": to_json(self.record_next),
        }


def map_margins(
    models: Sequence[Path],
    settings: MarginSettings | None = None,
    notify: Notify = lambda line: None,
    pool: Executor | None = None,
) -> dict[str, MarginMap]:
    """Return name of a model -> its map; raises UserError.

    Finished parts are written into settings.kept at once, and are not computed again.

    notify: called with a line that says how many parts an earlier command has finished
    pool: the workers; None to start new ones
    """
    settings = settings or MarginSettings()
    if not models:
        raise UserError("no model to map; name one, such as: bcclone margin model.h5")
    track = load_track(settings.track, settings.reverse)
    workers: AbstractContextManager[Executor]
    if pool:
        workers = nullcontext(pool)
    else:
        workers = open_pool(settings.jobs)
    with workers as open_workers:

        def run(
            function: Callable[[Any], Any], tasks: Sequence[Any], kind: type, unit: str
        ) -> list[Any]:
            kept: FinishedSteps[Any] = FinishedSteps(settings.kept, kind)
            return run_kept(open_workers, function, tasks, kept, "mapping", unit, "parts", notify)

        return {
            name: _map_model(path, track, settings, run)
            for name, path in name_models(models).items()
        }


def _map_model(path: Path, track: Track, settings: MarginSettings, run: RunKept) -> MarginMap:
    """Return the map of a model, checked by driving if the settings ask for it."""
    speed = settings.speed_mph * MPH
    model = InputFile.of(path)
    trial = Trial(model, settings.preprocess, settings.track, settings.reverse, speed)
    margins = map_by_answers(track, speed, partial(_answer, trial, run))
    if not settings.check:
        return margins
    check = check_by_driving(trial, margins.returning, settings.check, settings.seed, run)
    return replace(margins, check=check)


def map_by_answers(
    track: Track, speed: float, answer: Callable[[StateGrid], Float32Array]
) -> MarginMap:
    """Return the map of any steering, also of a steering without a model file.

    speed: m/s
    answer: a grid -> the steering in each of its states, float32 (places, offsets, turns)
    """
    rendered = state_grid(track, RENDERED)
    table = SteeringTable(rendered, np.ascontiguousarray(answer(rendered)))
    starts = state_grid(track, STARTS)
    return MarginMap(track, table, returning_set(starts, shape_of(track), table, speed))


_PLACES_A_TASK = 12  # places along the road whose states make one task of a worker


def _answer(trial: Trial, run: RunKept, grid: StateGrid) -> Float32Array:
    """Return the steering of a model in each state of a grid, float32 (places, offsets, turns)."""
    places = grid.places_m.tolist()
    offsets = grid.offsets_m.tolist()
    turns = grid.turns.tolist()
    tasks = []
    for first in range(0, len(places), _PLACES_A_TASK):
        states = product(places[first : first + _PLACES_A_TASK], offsets, turns)
        tasks.append(StatesTask(trial, "answer", tuple(states)))
    answers = run(answer_states, tasks, Answers, "frames")
    steering = [np.array(answer.steering, np.float32) for answer in answers]
    return np.concatenate(steering).reshape(grid.shape)
