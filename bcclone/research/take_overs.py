"""Recordings with take-overs -> what a model learns from them, and the drives that judge it.

A person took over where the model went wrong. Whether a training has helped is seen there: on the
same road, in the same direction, light and weather. So a drive begins before such a place, and ends
behind it. Where nothing tells the place, as in recordings of other simulators, there is none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from string import ascii_lowercase

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.dataset.plan import choose_rows
from bcclone.dataset.sample_settings import GOOD_ROWS
from bcclone.evaluation.scenarios import Scenario
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.recording.files import find_logs
from bcclone.recording.log import Log, read_log
from bcclone.recording.run_tables import MODEL, read_drivers
from bcclone.simulator.traced import RecordedWorld, TracedRows, read_world, trace_rows
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import TOP_SPEED_MPH, Conditions
from bcclone.system.errors import UserError, shown_command

# ---- what is learned from


@dataclass(frozen=True)
class TakeOvers:
    """What recordings with take-overs hold for a training and its judgement.

    Images are those of the cameras that the model is trained on.
    """

    corrections: int  # images that a person steered in take-overs, on the road
    others: int  # images of other rows that the training uses
    rows: int  # rows of take-overs
    off_road: int  # of these, rows that are left out because the car was off the road
    places: "tuple[Place, ...]"  # where a person took over, as far as traces tell it
    placeless: int  # take-overs whose place nothing tells
    assumed: tuple[str, ...]  # recordings that do not tell how their world looked


def read_take_overs(recordings: Sequence[str], cameras: Sequence[str]) -> TakeOvers:
    """Read the recordings; raises UserError if there is no take-over to learn from."""
    corrections = others = take_over_rows = off_road = placeless = 0
    places: list[Place] = []
    assumed = []
    for path in find_logs(recordings):
        log = read_log(path)
        traced = trace_rows(log)
        unfit = set(log.rows["center"][traced.off_road]) if traced else set()
        all_good = choose_rows(log, GOOD_ROWS).rows["take_over"]
        rows = choose_rows(log, GOOD_ROWS, unfit).rows
        has_image = rows[list(cameras)].to_numpy() != ""
        is_correction = rows["take_over"].to_numpy()
        corrections += int(has_image[is_correction].sum())
        others += int(has_image[~is_correction].sum())
        take_over_rows += int(all_good.sum())
        off_road += int(all_good.sum()) - int(is_correction.sum())

        spans = list(_spans(log))
        world = read_world(path.parent) if spans and traced else None
        if spans and traced and not world:
            assumed.append(str(path.parent))
        found = list(_places(log, traced, spans, world)) if traced else []
        placeless += len(spans) - len(found)
        places += found
    named = ", ".join(recordings)
    if not take_over_rows:
        raise UserError(
            f"{named}: no row in which a person has taken over from a model, so "
            "there is nothing to learn from; name a recording whose drivers.csv has take-overs, or "
            "learn from the built-in expert: --expert"
        )
    if not corrections and off_road < take_over_rows:
        raise UserError(
            f"{named}: none of the {take_over_rows - off_road} rows of take-overs on the road has "
            f"an image of {', '.join(cameras)}, expected one in each row; check the recording: "
            f"{shown_command('preprocess', *recordings, '--check')}"
        )
    if not corrections:
        raise UserError(
            f"{named}: the car was off the road in all {take_over_rows} rows of take-overs, which "
            "teach no driving; take over earlier, while the wheels are on the road, and record that"
        )
    return TakeOvers(
        corrections,
        others,
        take_over_rows,
        off_road,
        tuple(_merged(places)),
        placeless,
        tuple(assumed),
    )


def _spans(log: Log) -> Iterator[tuple[int, int]]:
    """Yield the first and the last row of each take-over of a log."""
    drivers = read_drivers(log.path.parent)
    driven = [drivers.get(image) for image in log.rows["center"]]
    numbers = np.array([(by.take_over or 0) if by else 0 for by in driven], np.int64)
    begins = np.flatnonzero((numbers > 0) & (numbers != np.append(0, numbers[:-1])))
    for first in begins.tolist():
        after = np.flatnonzero(numbers[first:] != numbers[first])
        yield first, first + int(after[0]) - 1 if after.size else len(numbers) - 1


# ---- where it is judged

_BEFORE_SECONDS = 5.0  # in which the model had gone wrong, see choose_rows()
_AFTER_SECONDS = 3.0
_MOST_SECONDS = 10.0  # of a take-over: a person may have driven on for minutes
_LEAST_BEFORE_M = 20.0  # in which a car that stands comes up to speed
_SAME_PLACE_M = 20.0  # take-overs that begin nearer to each other are of one place
_SLOWEST_MPH = 5.0  # of a drive that judges


@dataclass(frozen=True)
class Place:
    """A stretch of a road on which a person took over, and how it was driven."""

    track: str
    world: RecordedWorld
    speed_mph: float
    begin_m: float  # where the person took over, along the track in the direction of the drive
    end_m: float  # where the model drove again; on a closed road it may be beyond the lap's end


def _places(
    log: Log,
    traced: TracedRows,
    spans: Sequence[tuple[int, int]],
    world: RecordedWorld | None,
) -> Iterator[Place]:
    """Yield the places of the take-overs of a log whose trace tells them.

    spans: the first and the last row of each take-over
    world: None for an older recording, which is taken as one of the usual world
    """
    world = world or RecordedWorld(traced.reverse, Conditions())
    speed_mph = _held_speed(log)
    for first, last in spans:
        name = traced.track[first]
        if not name:
            continue
        track = _load_once(name, False)
        along_m = traced.along_m[first : last + 1]
        same_road = np.array([other == name for other in traced.track[first : last + 1]])
        begin_m = float(along_m[0])
        if world.reverse:
            begin_m = track.length_m - begin_m
        forward = -1 if world.reverse else 1
        driven_m = max(
            forward * track.apart(float(along_m[0]), metre) for metre in along_m[same_road].tolist()
        )
        most_m = _MOST_SECONDS * speed_mph * MPH
        yield Place(name, world, speed_mph, begin_m, begin_m + min(max(driven_m, 0.0), most_m))


def _held_speed(log: Log) -> float:
    """Return the speed of a drive: the median while the model drove, or else of the whole drive."""
    drivers = read_drivers(log.path.parent)
    speeds = log.rows["speed_mph"].to_numpy(np.float64)
    driven = [drivers.get(image) for image in log.rows["center"]]
    by_model = np.array([by is None or by.driver == MODEL for by in driven])
    moving = speeds > 1.0
    of_model = speeds[by_model & moving]
    chosen = of_model if of_model.size else speeds[moving]
    speed = float(np.median(chosen)) if chosen.size else _SLOWEST_MPH
    return round(min(max(speed, _SLOWEST_MPH), TOP_SPEED_MPH), 1)


def _merged(places: Sequence[Place]) -> Iterator[Place]:
    """Yield the places, those as one that begin near each other in the same world."""
    kept: list[Place] = []
    for place in places:
        track = _track_of(place)
        for number, other in enumerate(kept):
            if (other.track, other.world) != (place.track, place.world):
                continue
            apart_m = track.apart(other.begin_m, place.begin_m)
            if abs(apart_m) < _SAME_PLACE_M:
                end_m = max(other.end_m, other.begin_m + apart_m + place.end_m - place.begin_m)
                kept[number] = replace(other, end_m=end_m)
                break
        else:
            kept.append(place)
    yield from kept


def _track_of(place: Place) -> Track:
    return _load_once(place.track, place.world.reverse)


@cache
def _load_once(name: str, reverse: bool) -> Track:
    return load_track(name, reverse)


# ---- the drives

# Where a drive starts, as a share of the way from the middle of the road to its edge, to the right:
# the drives that decide, and those that confirm. Few places are driven from more starts
_STARTS = ((-0.2, 0.2), (0.0,))
_STARTS_AT_FEW = ((-0.2, 0.0, 0.2), (-0.1, 0.1))
_FEW_PLACES = 3
_MOST_PLACES = 12  # that are driven; of more, some that are spread evenly over the recordings


@dataclass(frozen=True)
class Trial:
    """The drives that judge a training: those that decide, and others that have to confirm it."""

    deciding: tuple[Scenario, ...]
    confirming: tuple[Scenario, ...]  # empty where the deciding ones are all there are
    roads: str  # which roads they are, in words

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        return (*self.deciding, *self.confirming)

    @property
    def shown(self) -> tuple[Scenario, ...]:
        """Return the drives by which the result is told."""
        return self.confirming or self.deciding


def trial_of(places: Sequence[Place], rows: Sequence[Scenario], laps: float) -> Trial:
    """Return the drives at these places, and those that show whether something was unlearned.

    rows: rows of the suite for the latter; empty for the whole of each road
    laps: how much of each road is driven then
    """
    chosen = list(places)
    if len(chosen) > _MOST_PLACES:
        picked = np.linspace(0, len(chosen) - 1, _MOST_PLACES).round().astype(int)
        chosen = [chosen[number] for number in picked.tolist()]
    deciding = []
    confirming = []
    starts, others = _STARTS_AT_FEW if len(chosen) <= _FEW_PLACES else _STARTS
    for number, place in enumerate(chosen, 1):
        names = (f"place-{number}{letter}" for letter in ascii_lowercase)
        deciding += [_drive_at(place, next(names), share) for share in starts]
        confirming += [_drive_at(place, next(names), share) for share in others]
    roads = _roads_in_words(chosen, len(places))
    if rows:
        return Trial(tuple(deciding), (*confirming, *rows), roads)
    wholes: dict[tuple[object, ...], Scenario] = {}
    for place in chosen:
        wholes.setdefault((place.track, place.world), _whole_road(place, len(wholes), laps))
    return Trial(tuple(deciding), (*confirming, *wholes.values()), roads)


def _way(place: Place) -> str:
    return f"{place.track}{' in reverse' if place.world.reverse else ''}"


def _roads_in_words(driven: Sequence[Place], count: int) -> str:
    roads = sorted({_way(place) for place in driven})
    of_all = "" if len(driven) == count else f" of {count}"
    noun = "place" if len(driven) == 1 else "places"
    return f"{len(driven)}{of_all} {noun} of take-overs on {', '.join(roads)}"


def _drive_at(place: Place, name: str, share: float) -> Scenario:
    """Return a drive past a place.

    share: where it starts, as in _STARTS
    """
    track = _track_of(place)
    before_m = max(_BEFORE_SECONDS * place.speed_mph * MPH, _LEAST_BEFORE_M)
    start_m = place.begin_m - track.start_m - before_m
    goal_m = place.end_m - place.begin_m + before_m + _AFTER_SECONDS * place.speed_mph * MPH
    if track.closed:
        start_m %= track.lap_m
    else:
        start_m = min(max(start_m, 0.0), track.lap_m - _LEAST_BEFORE_M)
        goal_m = min(goal_m, track.lap_m - start_m)
    limit_m = float(track.limits_m[track.index(track.start_m + start_m)])
    offset_m = round(share * limit_m, 2)
    at_m = (place.begin_m - track.start_m) % track.lap_m
    side = "in the middle"
    if offset_m:
        side = f"{abs(offset_m):g} m to the {'right' if offset_m > 0 else 'left'}"
    settings = EvaluateSettings(
        place.track,
        reverse=place.world.reverse,
        speed_mph=place.speed_mph,
        laps=min(goal_m, track.lap_m) / track.lap_m,
        start_m=start_m,
        start_offset_m=offset_m,
        **vars(place.world.conditions),
    )
    words = f"{_way(place)} at {at_m:,.0f} m, {place.speed_mph:g} mph, start {side}"
    return Scenario(name, words, settings)


def _whole_road(place: Place, before: int, laps: float) -> Scenario:
    """Return a drive of the whole road of a place; before: how many roads come before it."""
    track = _track_of(place)
    settings = EvaluateSettings(
        place.track,
        reverse=place.world.reverse,
        speed_mph=place.speed_mph,
        laps=laps if track.closed else min(laps, 1.0),
        **vars(place.world.conditions),
    )
    name = f"road-{before + 1}"
    return Scenario(name, f"{_way(place)}, the whole road, {place.speed_mph:g} mph", settings)
