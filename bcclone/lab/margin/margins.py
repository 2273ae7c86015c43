"""Models and a road -> the map of each model's margins: frames answered in parallel, then the states that come back."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.dataset.vehicle import MPH
from bcclone.evaluate.suite import name_models
from bcclone.evaluate.worker_model import InputFile
from bcclone.lab.margin.answers import (
    Answers,
    DrivenCheck,
    RunKept,
    Seen,
    StatesTask,
    answer_states,
    check_by_driving,
)
from bcclone.lab.margin.margin_settings import MarginSettings
from bcclone.lab.margin.returning import Flags, ReturningSet, returning_set
from bcclone.lab.margin.state_grid import RENDERED, STARTS, StateGrid, SteeringTable, shape_of, state_grid, table_of
from bcclone.simulator.track import Track, load_track
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.errors import UserError
from bcclone.system.json_values import to_json
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, open_pool, run_kept

_PLACES_A_TASK = 12
_BOX_M, _BOX_DEGREES = 2.0, 10.0  # the states of which the share that comes back is counted
SMALL_M = 0.5  # a margin below this is drawn in red
_WORST_PLACES, _APART_M = 10, 20.0  # the worst places, and how far apart they are
_STRAIGHT_M, _AHEAD_M = 150.0, 25  # radius from which on a road is straight; the stretch whose bend is named

AnswerPlaces = Callable[[StateGrid, npt.NDArray[np.int_]], Float32Array]


@dataclass(frozen=True)
class NarrowPlace:
    """A place of small margin.

    along_m: from the start of the lap; side: on which the margin is smaller, "left", "right" or "either"; margin_m:
    there; radius_m: of the bend, negative to the left, None on a straight.
    """

    along_m: float
    side: str
    margin_m: float
    radius_m: float | None


@dataclass(frozen=True)
class MarginMap:
    """The margins of a model on a road.

    frames: rendered; track: the road; table: its steering; returning: the states that come back; check: None where no
    cars were driven.
    """

    frames: int
    track: Track
    table: SteeringTable
    returning: ReturningSet
    check: DrivenCheck | None = None

    @property
    def share_percent(self) -> float:
        """Return the share of the states within 2 m and 10 degrees, on the asphalt, that come back."""
        return round(100 * float(self.returning.returns[self.box].mean()), 2)

    @property
    def stays_percent(self) -> float:
        """Return the share of the same states from which the car never leaves the road, however far it drives."""
        return round(100 * float(self.returning.stays[self.box].mean()), 2)

    @property
    def box(self) -> Flags:
        """Return which states are within 2 m and 10 degrees, on the asphalt, bool (places, offsets, turns)."""
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

    def narrowest(self, most: int = _WORST_PLACES) -> tuple[NarrowPlace, ...]:
        """Return the places of the smallest margins, the worst first, each at least 20 m from the others.

        Places where the car comes back from either edge are not narrow.
        """
        margins, along = self.returning.margins_m, self.along_m
        offsets, limits = self.returning.grid.offsets_m, self.limits_m
        narrow = margins.min(axis=1) < limits - 2 * (offsets[1] - offsets[0])
        order = np.argsort(margins.min(axis=1), kind="stable")
        chosen: list[int] = []
        for place in order[narrow[order]].tolist():
            apart = [abs(self.track.apart(float(along[place]), float(along[one]))) for one in chosen]
            if len(chosen) < most and all(metres >= _APART_M for metres in apart):
                chosen.append(place)
        return tuple(self._place(place) for place in chosen)

    def _place(self, place: int) -> NarrowPlace:
        margins, along = self.returning.margins_m[place], float(self.along_m[place])
        side = "either" if margins[0] == margins[1] else ("left", "right")[int(np.argmin(margins))]
        bend = self.bend(along)
        radius = round(1 / bend, 1) if abs(bend) > 1 / _STRAIGHT_M else None
        return NarrowPlace(round(along, 1), side, round(float(margins.min()), 3), radius)

    def bend(self, along_m: float) -> float:
        """Return the sharpest curvature of the next 25 m, 1/m, positive to the right."""
        start = self.track.start_m + along_m
        ahead = [float(self.track.curvature[self.track.index(start + metres)]) for metres in range(_AHEAD_M)]
        return max(ahead, key=abs)

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        grid, margins = self.returning.grid, self.returning.margins_m
        return {
            "share_percent": self.share_percent,
            "stays_percent": self.stays_percent,
            "smallest_margin_m": self.smallest_margin_m,
            "mean_margin_m": self.mean_margin_m,
            "frames": self.frames,
            "states": math.prod(grid.shape),
            "narrowest": to_json(self.narrowest()),
            "along_m": [round(each, 2) for each in self.along_m.tolist()],
            "left_m": [round(each, 3) for each in margins[:, 0].tolist()],
            "right_m": [round(each, 3) for each in margins[:, 1].tolist()],
            "check": to_json(self.check),
        }


def map_margins(
    models: Sequence[Path],
    settings: MarginSettings | None = None,
    notify: Callable[[str], None] = lambda line: None,
    pool: TaskPool | None = None,
) -> dict[str, MarginMap]:
    """Return the map of each model by its name; raises UserError.

    Parts that are in settings.kept are not computed again, and finished ones are written there at once. notify: called
    with a line on them; pool: the workers, None to start some.
    """
    settings = settings or MarginSettings()
    if not models:
        raise UserError("no model to map; name one, such as: bcclone margin model.h5")
    named, track = name_models(models), load_track(settings.track, settings.reverse)
    maps, speed = {}, settings.speed_mph * MPH
    with nullcontext(pool) if pool else open_pool(settings.jobs) as workers:

        def run(function: Callable[[Any], Any], tasks: Sequence[Any], kind: type, unit: str) -> list[Any]:
            shown = Shown("mapping", unit, "parts", notify)
            return run_kept(workers, function, tasks, FinishedSteps(settings.kept, kind), shown)

        for name, path in named.items():
            model = InputFile.of(path)
            seen = Seen(model, settings.preprocess, settings.track, settings.reverse, speed)
            maps[name] = map_by_answers(track, speed, partial(_answer, seen, run))
            if settings.check:
                check = check_by_driving(seen, maps[name].returning, settings.check, settings.seed, run)
                maps[name] = replace(maps[name], check=check)
    return maps


def map_by_answers(track: Track, speed: float, answer: AnswerPlaces) -> MarginMap:
    """Return the map of whatever steers. speed: m/s.

    answer: a grid and the indices of some of its places -> the steering there, float32 (places, offsets, turns).
    """
    grid = state_grid(track, RENDERED)
    table = table_of(grid, answer(grid, np.arange(len(grid.places_m))))
    returning = returning_set(state_grid(track, STARTS), shape_of(track), table, speed)
    return MarginMap(table.steering.size, track, table, returning)


def _answer(seen: Seen, run: RunKept, grid: StateGrid, places: npt.NDArray[np.int_]) -> Float32Array:
    """Return the steering of a model at some places of a grid, float32 (places, offsets, turns)."""
    offsets, turns = tuple(grid.offsets_m.tolist()), tuple(grid.turns.tolist())
    parts = [places[first : first + _PLACES_A_TASK] for first in range(0, len(places), _PLACES_A_TASK)]
    tasks = [StatesTask(seen, tuple(grid.places_m[part].tolist()), offsets, turns) for part in parts]
    answers = run(answer_states, tasks, Answers, "frames")
    steering = np.concatenate([np.array(one.steering, np.float32) for one in answers])
    return steering.reshape(len(places), len(offsets), len(turns))


def margin_table(maps: Mapping[str, MarginMap]) -> list[str]:
    """Return the lines of a table with a line for each model, and a line for each of its narrowest places."""
    width = max(map(len, maps))
    lines = [f"{'':<{width}}  comes back  never leaves  smallest margin  mean margin"]
    for name, one in maps.items():
        figures = f"{one.share_percent:>8.1f} %  {one.stays_percent:>10.1f} %  {one.smallest_margin_m:>13.2f} m"
        lines.append(f"{name:<{width}}  {figures}  {one.mean_margin_m:>9.2f} m")
    lines += [
        "comes back: share of the states within 2 m and 10 degrees from which the car comes within 0.5 m of the middle",
        "and does not leave the road in the next 5 s; never leaves: share of all of them from which it stays on",
        "the road, perhaps beside the middle; margin: from how far it comes back that drives along the road",
    ]
    for name, one in maps.items():
        narrow = [f"  {describe_place(place)}" for place in one.narrowest()]
        lines += (
            ["", f"{name}, the narrowest places:", *narrow]
            if narrow
            else ["", f"{name} comes back from either edge, {one.limits_m.min():.2f} m from the middle or more"]
        )
        if one.check:
            lines += ["", f"{name}, {describe_check(one.check)}"]
    return lines


def describe_place(place: NarrowPlace) -> str:
    way = "a straight"
    if place.radius_m is not None:
        way = f"a {'left' if place.radius_m < 0 else 'right'} bend of {abs(place.radius_m):.0f} m"
    side = "either side" if place.side == "either" else f"the {place.side}"
    return f"{place.along_m:6.0f} m: {place.margin_m:.2f} m on {side}, {way}"


def describe_check(check: DrivenCheck) -> str:
    return (
        f"{check.cars:,} cars driven from random states from which they should come back: {check.came_back:,} came "
        f"back, {len(check.left_the_road):,} left the road, {len(check.undecided):,} did neither in time"
    )
