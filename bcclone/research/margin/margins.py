"""Models and a road -> the map of each model's margins, and what to record next.

Frames are answered in parallel, then the states are found from which the car comes back.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.diagnosis.bends import RADII_M
from bcclone.evaluation.suite import name_models
from bcclone.evaluation.worker_model import InputFile
from bcclone.research.margin import MarginSettings
from bcclone.research.margin.answers import (
    Answers,
    DrivenCheck,
    RunKept,
    Seen,
    StatesTask,
    answer_states,
    check_by_driving,
)
from bcclone.research.margin.state_grid import (
    RENDERED,
    STARTS,
    ReturningSet,
    StateGrid,
    SteeringTable,
    returning_set,
    shape_of,
    state_grid,
)
from bcclone.simulator.track import Track, load_track
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.errors import UserError, shown_command
from bcclone.system.json_values import to_json
from bcclone.system.progress import Notify
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, open_pool, run_kept

_PLACES_A_TASK = 12
_BOX_M, _BOX_DEGREES = 2.0, 10.0  # the states of which the share that comes back is counted
_WORST_PLACES, _APART_M = 10, 20.0  # the worst places, and how far apart they are
_STRAIGHT_M, _AHEAD_M = (
    150.0,
    25,
)  # radius from which on a road is straight; the stretch whose bend is named

# what to record next
_KINDS = 5  # of places, at most
_FEW = 0.002  # of the states, which need no recording
_SECONDS_A_STRETCH, _ENOUGH_SECONDS = 10, 60
_FROM_EDGE_M = 0.5
_ONE_STRETCH_M = 30.0  # places nearer to each other are one stretch
_SEEN_AHEAD_M = 20.0  # how far ahead a bridge changes what the car sees


@dataclass(frozen=True)
class NarrowPlace:
    """A place of small margin.

    along_m: from the start of the lap; side: on which the margin is smaller, "left", "right" or
    "either"; margin_m: there; radius_m: of the bend, negative to the left, None on a straight.
    """

    along_m: float
    side: str
    margin_m: float
    radius_m: float | None

    @property
    def text(self) -> str:
        way = "a straight"
        if self.radius_m is not None:
            way = f"a {'left' if self.radius_m < 0 else 'right'} bend of {abs(self.radius_m):.0f} m"
        side = "either side" if self.side == "either" else f"the {self.side}"
        return f"{self.along_m:6.0f} m: {self.margin_m:.2f} m on {side}, {way}"


@dataclass(frozen=True)
class RecordNext:
    """What to record.

    seconds: how much; bend: "left bends", "right bends", "straights" or "the bridge"; radii_m: the
    smallest and the largest of bends; side: on which the car should begin, "left" or "right";
    share_percent: of the states that do not come back; start_m, start_offset_m: the worst place,
    from the start of the lap, and the offset to begin at.
    """

    seconds: int
    bend: str
    radii_m: tuple[float, float] | None
    side: str
    share_percent: float
    start_m: float
    start_offset_m: float

    @property
    def text(self) -> str:
        radii = ""
        if self.radii_m:
            low, high = (round(each) for each in self.radii_m)
            radii = f" of {low} m" if low == high else f" of {low} to {high} m"
        return f"{self.seconds} s: {self.bend}{radii}, from the {self.side} edge"

    def command(self, track: str, reverse: bool) -> str:
        """Return the command that opens the simulator at the worst place."""
        road = ["--road", track] + (["--reverse"] if reverse else [])
        return shown_command(
            "play",
            *road,
            f"--start-m={self.start_m:g}",
            f"--start-offset-m={self.start_offset_m:g}",
        )


@dataclass(frozen=True)
class MarginMap:
    """The margins of a model on a road.

    track: the road; table: the steering in the states that were rendered; returning: the states
    that come back; check: None where no cars were driven.
    """

    track: Track
    table: SteeringTable
    returning: ReturningSet
    check: DrivenCheck | None = None

    @property
    def share_percent(self) -> float:
        """Return the share of the states within 2 m and 10 degrees, on the asphalt, that come back."""
        return round(100 * float(self.returning.returns[self._box].mean()), 2)

    @property
    def stays_percent(self) -> float:
        """Return the share of the same states from which the car never leaves the road, however far
        it drives.
        """
        return round(100 * float(self.returning.stays[self._box].mean()), 2)

    @cached_property
    def _box(self) -> BoolArray:
        """Which states are within 2 m and 10 degrees, on the asphalt, bool (places, offsets,
        turns).
        """
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
        """Return the places of the smallest margins, the worst first, each at least 20 m from the
        others.

        Places where the car comes back from either edge are not narrow.
        """
        least, along = self.returning.margins_m.min(axis=1), self.along_m
        offsets = self.returning.grid.offsets_m
        narrow = least < self.limits_m - 2 * (offsets[1] - offsets[0])
        order = np.argsort(least, kind="stable")
        chosen: dict[float, NarrowPlace] = {}  # by its place
        for place in order[narrow[order]].tolist():
            here, (left, right) = float(along[place]), self.returning.margins_m[place].tolist()
            if all(abs(self.track.apart(here, there)) >= _APART_M for there in chosen):
                side = "either" if left == right else "left" if left < right else "right"
                bend = self._bend(here)
                radius = round(1 / bend, 1) if abs(bend) > 1 / _STRAIGHT_M else None
                chosen[here] = NarrowPlace(round(here, 1), side, round(min(left, right), 3), radius)
        return tuple(islice(chosen.values(), _WORST_PLACES))

    @cached_property
    def record_next(self) -> tuple[RecordNext, ...]:
        """Return the kinds of places where most states within 2 m and 10 degrees do not come back,
        the worst first.

        There is nothing to record where nearly all come back.
        """
        lost = self._box & ~self.returning.returns
        if lost.sum() < _FEW * self._box.sum():
            return ()
        offsets = self.returning.grid.offsets_m
        counts = np.stack(
            [lost[:, side].sum(axis=(1, 2)) for side in (offsets < -1e-9, offsets > 1e-9)], axis=1
        )
        groups: dict[tuple[tuple[str, int], int], dict[int, int]] = {}
        for place, side in np.argwhere(counts).tolist():
            groups.setdefault((self._kind(place), side), {})[place] = int(counts[place, side])
        total = int(counts.sum())
        kinds = [
            self._stretches(kind, side, group, total) for ((kind, _), side), group in groups.items()
        ]
        return tuple(sorted(kinds, key=lambda one: -one.share_percent)[:_KINDS])

    def _kind(self, place: int) -> tuple[str, int]:
        """Return the kind of a place: its name, and which of the radii its bend has."""
        along_m = float(self.returning.grid.places_m[place])
        if any(self.track.road.on_bridge(along_m + ahead_m) for ahead_m in (0.0, _SEEN_AHEAD_M)):
            return "the bridge", 0
        bend = self._bend(float(self.along_m[place]))
        if abs(bend) < 1 / RADII_M[-1]:
            return "straights", 0
        return "right bends" if bend > 0 else "left bends", int(
            np.searchsorted(RADII_M, 1 / abs(bend))
        )

    def _stretches(self, kind: str, side: int, counts: Mapping[int, int], total: int) -> RecordNext:
        """Return a kind of places. side: 0 left, 1 right; counts: place -> how many of its states
        do not come back.
        """
        along = [float(self.along_m[place]) for place in counts]
        worst = max(counts, key=counts.__getitem__)
        apart = [
            self.track.apart(there, here)
            for here, there in zip(along, [along[-1], *along[:-1]], strict=True)
        ]
        stretches = max(sum(abs(metres) > _ONE_STRETCH_M for metres in apart), 1)
        radii = (
            sorted(round(abs(1 / self._bend(metres)), 1) for metres in along)
            if kind.endswith("bends")
            else []
        )
        return RecordNext(
            seconds=min(_SECONDS_A_STRETCH * stretches, _ENOUGH_SECONDS),
            bend=kind,
            radii_m=(radii[0], radii[-1]) if radii else None,
            side=("left", "right")[side],
            share_percent=round(100 * sum(counts.values()) / total, 1),
            start_m=round(float(self.along_m[worst]), 1),
            start_offset_m=round((float(self.limits_m[worst]) - _FROM_EDGE_M) * (-1, 1)[side], 2),
        )

    def _bend(self, along_m: float) -> float:
        """Return the sharpest curvature of the next 25 m, 1/m, positive to the right."""
        start = self.track.start_m + along_m
        ahead = [
            float(self.track.curvature[self.track.index(start + metres)])
            for metres in range(_AHEAD_M)
        ]
        return max(ahead, key=abs)

    def figures(self) -> dict[str, Any]:
        grid, margins = self.returning.grid, self.returning.margins_m
        return {
            "share_percent": self.share_percent,
            "stays_percent": self.stays_percent,
            "smallest_margin_m": self.smallest_margin_m,
            "mean_margin_m": self.mean_margin_m,
            "frames": self.table.steering.size,
            "states": math.prod(grid.shape),
            "narrowest": to_json(self.narrowest),
            "along_m": [round(each, 2) for each in self.along_m.tolist()],
            "left_m": [round(each, 3) for each in margins[:, 0].tolist()],
            "right_m": [round(each, 3) for each in margins[:, 1].tolist()],
            "check": to_json(self.check),
            "record_next": to_json(self.record_next),
        }


def map_margins(
    models: Sequence[Path],
    settings: MarginSettings | None = None,
    notify: Notify = lambda line: None,
    pool: TaskPool | None = None,
) -> dict[str, MarginMap]:
    """Return the map of each model by its name; raises UserError.

    Parts that are in settings.kept are not computed again, and finished ones are written there at
    once. notify: called with a line on them; pool: the workers, None to start some.
    """
    settings = settings or MarginSettings()
    if not models:
        raise UserError("no model to map; name one, such as: bcclone margin model.h5")
    named, track = name_models(models), load_track(settings.track, settings.reverse)
    maps, speed = {}, settings.speed_mph * MPH
    with nullcontext(pool) if pool else open_pool(settings.jobs) as workers:

        def run(
            function: Callable[[Any], Any], tasks: Sequence[Any], kind: type, unit: str
        ) -> list[Any]:
            shown = Shown("mapping", unit, "parts", notify)
            return run_kept(workers, function, tasks, FinishedSteps(settings.kept, kind), shown)

        for name, path in named.items():
            seen = Seen(
                InputFile.of(path), settings.preprocess, settings.track, settings.reverse, speed
            )
            maps[name] = map_by_answers(track, speed, partial(_answer, seen, run))
            if settings.check:
                check = check_by_driving(
                    seen, maps[name].returning, settings.check, settings.seed, run
                )
                maps[name] = replace(maps[name], check=check)
    return maps


def map_by_answers(
    track: Track, speed: float, answer: Callable[[StateGrid], Float32Array]
) -> MarginMap:
    """Return the map of whatever steers. speed: m/s.

    answer: a grid -> the steering in each of its states, float32 (places, offsets, turns).
    """
    grid = state_grid(track, RENDERED)
    table = SteeringTable(grid, np.ascontiguousarray(answer(grid)))
    return MarginMap(
        track, table, returning_set(state_grid(track, STARTS), shape_of(track), table, speed)
    )


def _answer(seen: Seen, run: RunKept, grid: StateGrid) -> Float32Array:
    """Return the steering of a model in each state of a grid, float32 (places, offsets, turns)."""
    places, offsets, turns = (values.tolist() for values in grid[:3])
    parts = [
        places[first : first + _PLACES_A_TASK] for first in range(0, len(places), _PLACES_A_TASK)
    ]
    tasks = [StatesTask(seen, "answer", tuple(product(part, offsets, turns))) for part in parts]
    answers = run(answer_states, tasks, Answers, "frames")
    return np.concatenate([np.array(one.steering, np.float32) for one in answers]).reshape(
        grid.shape
    )
