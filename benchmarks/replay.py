"""Compare replays with drives: networks from hopeless to good -> what a replay tells of each.

For each road, networks are trained on more or less driving of the built-in expert, in more or fewer
passes. Each drives a lap of the road, which is the truth, and is replayed through a lap that the
expert has recorded there in the same light and at the same speed, and on which no network was
trained. Compared are the departures of both, their distances from the middle, and the open loop:
the difference between a network's steering on the recorded frames and the recorded steering.
"""

import hashlib
import io
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone import (
    EvaluateSettings,
    PreprocessSettings,
    RecordSettings,
    ReplaySettings,
    TrainSettings,
    convert,
    evaluate,
    record,
    train,
)
from bcclone.camera.images import cv2
from bcclone.camera.vehicle import MPH
from bcclone.evaluation.replay import replay
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import TRACKS
from bcclone.system.arrays import FloatArray
from bcclone.system.hardware import usable_cores
from bcclone.system.pool import Jobs, open_pool, run_kept
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Laps, Names, setting
from bcclone.system.statistics import correlation
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.system.values import to_json
from benchmarks.measures import Report, aligned, rounded
from benchmarks.rounds import check_names, folder_of

# limits of a replay
USUAL_LIMIT = "2"  # metres
ROAD_LIMIT = "road"  # the same as in the drive: a wheel leaves the asphalt


@dataclass(frozen=True)
class Rung:
    """How much a network learns."""

    laps: float  # of the recording that it is trained on
    epochs: int
    augment: bool = False

    @property
    def name(self) -> str:
        words = f"{self.laps:g} laps, {self.epochs} epochs"
        return f"{words}, augmented" if self.augment else words


# from hopeless to good; chosen by the departures of drives, before anything was replayed
RUNGS = (
    Rung(0.05, 2),
    Rung(0.15, 2),
    Rung(0.15, 8),
    Rung(0.15, 8, augment=True),
    Rung(0.45, 2),
    Rung(0.45, 8),
    Rung(0.45, 8, augment=True),
    Rung(1.4, 2),
    Rung(1.4, 4, augment=True),
    Rung(1.4, 10, augment=True),
)


@dataclass(frozen=True)
class Condition:
    """Light and speed of a recorded lap and of the drives there."""

    # By road. In its sharpest bends the expert has to slow down a little at the higher speed of
    # each road; the networks hold theirs.
    speeds_mph: Mapping[str, float]
    light: float = 1.0
    sun_elevation: float = RecordSettings().sun_elevation


_USUAL_SPEEDS_MPH = {"lake": 25.0, "mountain": 20.0}
CONDITIONS = {
    "usual": Condition(_USUAL_SPEEDS_MPH),
    "low sun": Condition(_USUAL_SPEEDS_MPH, light=0.6, sun_elevation=20.0),
    "other speed": Condition({"lake": 15.0, "mountain": 15.0}),
}


@dataclass(frozen=True)
class Settings(Checked):
    """On which roads, how many networks, and how far each drives."""

    roads: Names = setting((), "compare on these roads, separated by commas", shown="all")
    networks: Count = setting(20, "number of networks of each road", 2, 200)
    laps: Laps = setting(1.0)
    jobs: Jobs = setting(0)
    folder: Path | None = setting(
        None,
        "folder that keeps recordings, models and results, to go on after an interruption",
        unit="DIR",
    )

    def validate(self) -> None:
        check_names(self.roads, TRACKS)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return how well replays tell what the networks do on each road; raises UserError."""
    roads = settings.roads or TRACKS
    rungs = list(itertools.islice(_networks(), settings.networks))
    with folder_of(settings.folder) as folder, open_pool(settings.jobs) as pool:

        def run(function: Callable[[Any], Any], tasks: Sequence[Any], kind: Any, noun: str) -> Any:
            return run_kept(
                pool,
                function,
                tasks,
                folder / "results",
                kind,
                label=f"{noun}:",
                unit=noun,
                noun=noun,
                notify=notify,
            )

        stores = []
        laps = []
        for road in roads:
            for amount in sorted({rung.laps for rung, _ in rungs}):
                stores.append(Lap.to_learn(road, amount, folder))
            for condition in CONDITIONS:
                laps.append(Lap.to_replay(road, condition, settings.laps, folder))
        run(record_lap, [*stores, *laps], Recorded, "recordings")
        trainings = [
            Training(road, rung, seed, Lap.to_learn(road, rung.laps, folder).store, folder)
            for (rung, seed), road in itertools.product(rungs, roads)
        ]
        run(train_network, trainings, Trained, "trainings")
        comparisons = [
            Comparison(training, lap, settings.laps)
            for training, lap in itertools.product(trainings, laps)
            if training.road == lap.settings.track
        ]
        rows = run(compare, comparisons, Row, "comparisons")
    return make_report(rows)


def _networks() -> Iterator[tuple[Rung, int]]:
    """Yield the rung and the seed of each network."""
    for seed in itertools.count():
        for rung in RUNGS:
            yield rung, seed


def _key(name: str, *parts: object) -> str:
    """Return the name of a kept result, and a hash of what it depends on beside the sources."""
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
    return f"{name.replace(', ', '-').replace(' ', '-')}-{digest}"


# ---- recordings


@dataclass(frozen=True)
class Lap:
    """What the expert records, to learn from or to replay."""

    name: str
    settings: RecordSettings
    folder: Path  # in which the recording is made
    is_to_learn: bool = False  # then it is stored as well
    size: float = 1

    @classmethod
    def to_learn(cls, road: str, laps: float, folder: Path) -> "Lap":
        settings = RecordSettings(
            track=road, laps=laps, seed=1, speed_mph=_USUAL_SPEEDS_MPH[road], rows_per_second=5.0
        )
        return cls(f"{road}-learn-{laps:g}", settings, folder, is_to_learn=True)

    @classmethod
    def to_replay(cls, road: str, condition: str, laps: float, folder: Path) -> "Lap":
        world = CONDITIONS[condition]
        settings = RecordSettings(
            track=road,
            laps=laps,
            seed=100,
            recoveries=0.0,
            speed_mph=world.speeds_mph[road],
            light=world.light,
            sun_elevation=world.sun_elevation,
        )
        return cls(f"{road}-{condition}", settings, folder)

    @property
    def key(self) -> str:
        return _key(self.name, self.settings)

    @property
    def recording(self) -> Path:
        return self.folder / self.key

    @property
    def store(self) -> Path:
        return self.folder / f"{self.key}.h5"


@dataclass(frozen=True)
class Recorded:
    """What was recorded."""

    rows: int


def record_lap(lap: Lap) -> Recorded:
    """Record, and write the store of what is learned from."""
    size = (64, 64)
    shutil.rmtree(lap.recording, ignore_errors=True)  # of an interrupted measurement
    with _as_worker():
        recorded = record(lap.recording, lap.settings)
        if lap.is_to_learn:
            inputs = (str(lap.recording),)
            convert(PreprocessSettings(inputs, lap.store, force=True, size=size, validation=0.0))
    return Recorded(recorded.rows)


# ---- trainings


@dataclass(frozen=True)
class Training:
    """A network of a road."""

    road: str
    rung: Rung
    seed: int
    store: Path
    folder: Path
    size: float = 1

    @property
    def name(self) -> str:
        return f"{self.rung.name}, seed {self.seed}"

    @property
    def key(self) -> str:
        return _key(f"{self.road}, {self.name}", self.road, self.rung, self.seed)

    @property
    def model(self) -> Path:
        return self.folder / f"{self.key}.h5"


@dataclass(frozen=True)
class Trained:
    """How long a training took."""

    seconds: float


def train_network(training: Training) -> Trained:
    """Train a network; write its model file."""
    settings = TrainSettings(
        data=(str(training.store),),
        output=training.model,
        force=True,
        runs=training.folder / "runs",
        name=training.key,
        seed=training.seed,
        epochs=training.rung.epochs,
        augment=training.rung.augment,
        dropout=0.15,
    )
    shutil.rmtree(training.folder / "runs" / training.key, ignore_errors=True)
    with _as_worker():
        return Trained(train(settings).seconds)


@contextmanager
def _as_worker() -> Iterator[None]:
    """Compute on one core, as each worker does, and show no progress, which the command does."""
    cv2.setNumThreads(1)
    load_tensorflow(threads=1, use_gpus=False)
    with redirect_stderr(io.StringIO()):
        yield


# ---- drives and replays


@dataclass(frozen=True)
class Comparison:
    """A network and the lap that is replayed and driven."""

    training: Training
    lap: Lap
    driven_laps: float
    size: float = 1

    @property
    def key(self) -> str:
        parts = (self.training.key, self.lap.key, self.driven_laps)
        return _key(f"{self.lap.name}, {self.training.name}", *parts)


@dataclass(frozen=True)
class Row:
    """What a network did in a drive, and what its replay tells.

    A replay has a drive for each limit in metres, and one for ROAD_LIMIT.
    """

    road: str
    condition: str
    network: str
    departures_per_km: float  # of the drive: a wheel left the asphalt
    beyond_per_km: dict[str, float]  # of the drive: metres -> how often it was farther off
    from_middle_m: float  # of the drive, mean
    driven_mph: float  # of the drive, mean
    recorded_mph: float  # of the recorded lap, mean
    replay_per_km: dict[str, float]  # limit -> interventions
    replay_from_path_m: dict[str, float]  # limit -> mean distance from the recorded path
    steering_error: float  # of the open loop, mean absolute
    steering_correlation: float | None  # of the open loop


def compare(comparison: Comparison) -> Row:
    """Drive and replay."""
    training = comparison.training
    lap = comparison.lap
    drive = EvaluateSettings(
        training.road,
        laps=comparison.driven_laps,
        speed_mph=lap.settings.speed_mph,
        light=lap.settings.light,
        sun_elevation=lap.settings.sun_elevation,
    )
    limit_m = float(load_track(training.road).limits_m.min())
    with _as_worker():
        score = evaluate(training.model, drive).score
        replayed = replay([training.model], lap.recording, ReplaySettings(limit_m=limit_m))
    driven_km = score.distance_m / 1000
    figures = replayed.figures()
    (driven,) = replayed.results.values()
    limits = {f"{limit:g}": rollout for limit, rollout in driven.rollouts.items()}
    limits[ROAD_LIMIT] = limits.pop(f"{limit_m:g}")
    return Row(
        road=training.road,
        condition=lap.name.removeprefix(f"{training.road}-"),
        network=training.name,
        departures_per_km=score.interventions / driven_km,
        beyond_per_km={limit: count / driven_km for limit, count in score.departures.items()},
        from_middle_m=score.mean_abs_cross_track_m,
        driven_mph=score.mean_speed_mph,
        recorded_mph=replayed.reference.distance_m / figures["seconds"] / MPH,
        replay_per_km={name: drive.score["interventions_per_km"] for name, drive in limits.items()},
        replay_from_path_m={
            name: float(np.abs(drive.deviations_m).mean()) for name, drive in limits.items()
        },
        steering_error=figures["steering_mae"],
        steering_correlation=figures["steering_correlation"],
    )


# ---- the report

ALL = "all"  # conditions of a road together
OPEN_LOOP = "open loop"
DEPARTURES = "departures"
BETTER_HALF = "departures of the better half"
DISTANCE = "distance"
DISTANCE_ON_ROAD = "distance on the road"
_RESAMPLES = 1000


def make_report(rows: Sequence[Row]) -> Report:
    """Return how well figures of replays and of the open loop tell those of the drives."""
    agreements: list[dict[str, Any]] = []
    for road in dict.fromkeys(row.road for row in rows):
        of_road = [row for row in rows if row.road == road]
        conditions = dict.fromkeys(row.condition for row in of_road)
        for condition in conditions:
            chosen = [row for row in of_road if row.condition == condition]
            agreements += _agreements(road, condition, chosen, (USUAL_LIMIT, ROAD_LIMIT))
        agreements += _agreements(road, ALL, of_road, tuple(of_road[0].replay_per_km))
    values = {
        "machine": f"{usable_cores()} cores",
        "networks": len({row.network for row in rows}),
        "agreements": agreements,
        "rows": to_json(rows),
    }
    return Report(tables=_table(agreements), values=rounded(values))


def _agreements(
    road: str, condition: str, rows: Sequence[Row], limits: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield how well each figure tells what networks do.

    limits: of the replays that count departures; each distance is compared with two of them
    """
    departures = _grid(rows, [row.departures_per_km for row in rows])
    # hopeless networks are easily told from the others
    is_better = departures <= np.nanmedian(departures, axis=0)
    from_middle_m = _grid(rows, [row.from_middle_m for row in rows])
    # departures lead far from the middle, so that both are told alike; here are the other drives
    on_road_m = np.where(departures == 0, from_middle_m, np.nan)
    open_loop = _grid(rows, [row.steering_error for row in rows])
    for what, truth in {
        DEPARTURES: departures,
        BETTER_HALF: np.where(is_better, departures, np.nan),
        DISTANCE: from_middle_m,
        DISTANCE_ON_ROAD: on_road_m,
    }.items():
        guesses = {OPEN_LOOP: open_loop}
        is_count = what in (DEPARTURES, BETTER_HALF)
        for limit in limits if is_count else (USUAL_LIMIT, ROAD_LIMIT):
            if is_count:
                values = [row.replay_per_km[limit] for row in rows]
            else:
                values = [row.replay_from_path_m[limit] for row in rows]
            guesses[limit] = _grid(rows, values)
        for by, guess in guesses.items():
            figures = {"r2": _r2, "spearman": _spearman, "pairs_percent": _pairs_percent}
            if by != OPEN_LOOP:  # which has another unit
                figures["slope"] = _slope
                if is_count:
                    figures["none_percent"] = _none_percent
            yield {
                "road": road,
                "condition": condition,
                "what": what,
                "by": by,
                "drives": int(np.isfinite(truth).sum()),
                **{name: _with_interval(find, truth, guess) for name, find in figures.items()},
            }


def _grid(rows: Sequence[Row], values: Sequence[float]) -> FloatArray:
    """Return the values of rows by network and condition, (networks, conditions)."""
    networks = list(dict.fromkeys(row.network for row in rows))
    conditions = list(dict.fromkeys(row.condition for row in rows))
    grid = np.full((len(networks), len(conditions)), np.nan)
    for row, value in zip(rows, values, strict=True):
        grid[networks.index(row.network), conditions.index(row.condition)] = value
    return grid


# takes what networks do, and a guess of it, (networks, conditions) each, with NaN where a drive is
# left out; returns None where too few networks differ
Find = Callable[[FloatArray, FloatArray], float | None]


def _with_interval(
    find: Find, truth: FloatArray, guess: FloatArray
) -> tuple[float, float, float] | None:
    """Return a figure and its interval of 95 %: percentiles over networks drawn with replacement.

    A network is drawn with its drives in all conditions.
    """
    value = find(truth, guess)
    if value is None:
        return None
    draws = np.random.default_rng(0).integers(0, len(truth), (_RESAMPLES, len(truth)))
    drawn = [find(truth[draw], guess[draw]) for draw in draws]
    low, high = np.percentile([one for one in drawn if one is not None], [2.5, 97.5]).tolist()
    return value, low, high


def _known(truth: FloatArray, guess: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return truth and guess of the drives that are not left out, (drives,) each."""
    known = np.isfinite(truth) & np.isfinite(guess)
    return truth[known], guess[known]


def _r2(truth: FloatArray, guess: FloatArray) -> float | None:
    """Return the share of the variance that a straight line explains."""
    r = correlation(*_known(truth, guess))
    return None if r is None else r * r


def _slope(truth: FloatArray, guess: FloatArray) -> float | None:
    """Return by how much the guess grows for each unit of the truth."""
    known, guessed = _known(truth, guess)
    if len(known) < 2 or not np.ptp(known):
        return None
    away = known - known.mean()
    return float(away @ guessed / (away @ away))


def _spearman(truth: FloatArray, guess: FloatArray) -> float | None:
    """Return the correlation of the ranks; equal values share the mean of their ranks."""
    first, second = map(_ranks, _known(truth, guess))
    return correlation(first, second)


def _ranks(values: FloatArray) -> FloatArray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], np.float64)


def _pairs_percent(truth: FloatArray, guess: FloatArray) -> float | None:
    """Return of which share of the pairs of networks the guess names the better one.

    Both drive in the same condition, and differ there. A guess that is equal counts as half.
    """
    true_order = np.sign(truth[:, None] - truth)
    order = np.sign(guess[:, None] - guess)
    compared = np.isfinite(true_order) & np.isfinite(order) & (true_order != 0)
    if not compared.any():
        return None
    return float(50 + 50 * np.mean((true_order * order)[compared]))


def _none_percent(truth: FloatArray, guess: FloatArray) -> float | None:
    """Return of which share of the drives the guess tells rightly whether it has no departure."""
    known, guessed = _known(truth, guess)
    return float(100 * np.mean((known == 0) == (guessed == 0))) if len(known) else None


def _table(agreements: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all agreements; their intervals are in the JSON alone."""
    rows = [["", "drives", "R2", "slope", "Spearman", "pairs, %", "none, %"]]
    for found in agreements:
        words = (found["road"], found["condition"], found["what"], _by_words(found["by"]))
        row = [
            ", ".join(words),
            str(found["drives"]),
            _text(found["r2"], ".2f"),
            _text(found.get("slope"), ".2f"),
            _text(found["spearman"], ".2f"),
            _text(found["pairs_percent"], ".0f"),
            _text(found.get("none_percent"), ".0f"),
        ]
        rows.append(row)
    return aligned(rows)


def _by_words(by: str) -> str:
    if by == OPEN_LOOP:
        return by
    return "replay at the road's limit" if by == ROAD_LIMIT else f"replay at {by} m"


def _text(figure: Sequence[float] | None, form: str) -> str:
    return "-" if figure is None else format(figure[0], form)
