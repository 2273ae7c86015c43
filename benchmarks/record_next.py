"""Count the seconds of driving that a model needs: recorded all along the road, or where `bcclone
margin` names.

The built-in expert drives. Both ways begin with the same recording of a part of a lap, with its
recoveries. Then it drives on (uniform), or from the places and offsets that the map of the last
model names (named), until the model that is trained anew on everything drives a lap, and a lap in
which it is pushed, without leaving the road.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bcclone import (
    Conditions,
    EvaluateSettings,
    ExpertSettings,
    PreprocessSettings,
    RunFiles,
    SpeedSettings,
    TrainSettings,
    WorldSettings,
    convert,
    evaluate,
)
from bcclone.camera.vehicle import MPH
from bcclone.research.margin import MarginSettings
from bcclone.research.margin.margins import RecordNext, map_margins
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.record import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Seed, setting
from bcclone.system.task_pool import TaskPool, open_pool
from bcclone.training.train import train
from benchmarks.measures import Measure, Report, aligned
from benchmarks.rounds import folder_of, once

SPEED_MPH = 30.0
_NARROW = "length=400-600,radius=18-24,hills=5-20,width=6-8"
_BAR = 0.6  # of the seconds of the uniform recording
_FIRST = 1 / 12  # of the seconds of a lap, with which both begin
_GROWTH = 1.3  # of the recording from round to round: two rounds fewer are a share of 0.59
_TAKE_SECONDS = 4.0  # from a named place
_NEAREST = 0.4  # of the named offset: from there to the whole of it, takes begin
_SIZE, _BATCH, _DROPOUT = 64, 32, 0.15
_DRIVES = {"lap": WorldSettings(most_interventions=1),
           "pushed": WorldSettings(perturbation_m=2.0, perturbation_every_m=37.0, most_interventions=1)}  # fmt: skip
WAYS = ("uniform", "named")


@dataclass(frozen=True)
class Settings(Checked):
    """On which roads, with which seeds, and how long a model is trained."""

    roads: tuple[str, ...] = setting(
        ("lake", f"random:1:{_NARROW}", f"random:2:{_NARROW}"),
        "roads, separated by semicolons",
        unit="ROADS",
        parse=lambda text: tuple(text.split(";")),
    )
    seeds: Seed = setting(
        3, "number of recordings and trainings on each road, with seeds from 0", 1, 99
    )
    steps: int = setting(500, "steps of each training", 10, 1_000_000)
    laps: float = setting(1.5, "laps of recording to give up at", _FIRST, 20)
    folder: Path | None = setting(
        None, "folder that keeps the results, to go on after an interruption", unit="DIR"
    )


class Camera:
    """Records what the expert does on a road, a piece at a time, into folders. folder: where they
    are made.

    folders: what is recorded; rows: how many rows are in them.
    """

    def __init__(self, road: str, seed: int, folder: Path) -> None:
        self.track, self._renderer, self._folder = (
            load_track(road),
            Renderer(road, Conditions()),
            folder,
        )
        self._random, self._seed = np.random.default_rng(seed), seed
        self._drive = self._rows_of(TrackedCar(self.track), ExpertSettings(speed_mph=SPEED_MPH))
        self.folders, self.rows = list[Path](), 0

    @property
    def lap_seconds(self) -> float:
        return self.track.lap_m / (SPEED_MPH * MPH)

    @property
    def seconds(self) -> float:
        """Return the seconds of driving that are recorded, at the simulator's rate."""
        return round(self.rows * BETWEEN_ROWS_SECONDS, 1)

    def drive_on(self, seconds: float) -> None:
        """Record so many seconds more of the drive round the road, with its recoveries."""
        self._write(self._drive, seconds)

    def drive_from(self, along_m: float, offset_m: float, seconds: float) -> None:
        """Record how the expert drives back to the middle from somewhere between the middle and an
        offset.
        """
        offset_m *= self._random.uniform(_NEAREST, 1.0)
        tracked = TrackedCar(self.track, offset_m, self.track.start_m + along_m)
        tracked.car.speed = SPEED_MPH * MPH
        self._write(
            self._rows_of(tracked, ExpertSettings(speed_mph=SPEED_MPH, recoveries=0, wander_m=0)),
            seconds,
        )

    def _rows_of(self, tracked: TrackedCar, settings: ExpertSettings) -> Iterator[TrackedCar]:
        """Drive for ever; yield at each row that is recorded."""
        expert, row = Expert(self.track, settings, self._seed), 0
        while True:
            tracked.car.control(*expert.control(tracked.car, tracked.position))
            if tracked.seconds >= row * BETWEEN_ROWS_SECONDS:
                row += 1
                if expert.recording:
                    yield tracked
            tracked.step()

    def _write(self, rows: Iterator[TrackedCar], seconds: float) -> None:
        count, folder = round(seconds / BETWEEN_ROWS_SECONDS), self._folder / f"{len(self.folders)}"
        writer = CarRecording(folder)
        for tracked in itertools.islice(rows, count):
            writer.record(tracked.seconds, tracked.car, self._renderer.frames(tracked.car))
        self.folders.append(folder)
        self.rows += count


def measure(settings: Settings, notify: Notify) -> Report:
    """Return how many seconds each way needs on each road with each seed; raises UserError."""
    results = []
    with folder_of(settings.folder) as folder, open_pool(1) as pool:
        for seed, road, way in itertools.product(range(settings.seeds), settings.roads, WAYS):
            trial = Trial(road, seed, way, settings, pool)
            result = partial(trial.result, notify)
            results.append(
                once(folder / f"{trial.key}.json", result, f"{road}, seed {seed}, {way}", notify)
            )
    return _report(results)


@dataclass(frozen=True)
class Trial:
    """One way to record a road, with one seed. pool: renders the maps."""

    road: str
    seed: int
    way: str
    settings: Settings
    pool: TaskPool

    @property
    def key(self) -> str:
        """Return a name of what the result depends on, beside the sources."""
        of_road = hashlib.sha256(
            repr((self.road, self.settings.steps, self.settings.laps)).encode()
        ).hexdigest()[:8]
        return f"{of_road}-{self.seed}-{self.way}"

    def result(self, notify: Notify) -> dict[str, Any]:
        """Record, train and drive until both laps are clean; return the figures of each round."""
        with TemporaryDirectory(prefix="bcclone-") as name:
            folder = Path(name)
            camera, rounds, added = (
                Camera(self.road, self.seed, folder),
                list[dict[str, Any]](),
                list[str](),
            )
            lap = camera.lap_seconds
            camera.drive_on(lap * _FIRST)
            while True:
                model = self._train(camera, folder)
                laps = self._drive(model)
                clean = len(laps) == len(_DRIVES) and min(laps.values()) >= 1
                rounds.append(
                    {"seconds": camera.seconds, "added": added, "laps": laps, "clean": clean}
                )
                notify(f"  {rounds[-1]}")
                if clean or camera.seconds >= lap * self.settings.laps:
                    break
                added = self._record_more(camera, camera.seconds * (_GROWTH - 1), model)
        return {"road": self.road, "seed": self.seed, "way": self.way, "rounds": rounds}

    def _train(self, camera: Camera, folder: Path) -> Path:
        """Train a network on all that is recorded, for so many steps or a few more; return the
        model file.
        """
        store, model = folder / "data.h5", folder / "model.h5"
        inputs = tuple(map(str, camera.folders))
        conversion = PreprocessSettings(
            inputs, store, force=True, size=(_SIZE, _SIZE), samples={"validation": 0.0}
        )
        passes = math.ceil(self.settings.steps * _BATCH / convert(conversion).train)
        files = RunFiles(data=(str(store),), output=model, force=True, runs=folder / "runs")
        train(
            TrainSettings(
                **vars(files), seed=self.seed, dropout=_DROPOUT, epochs=passes, batch_size=_BATCH
            )
        )
        return model

    def _drive(self, model: Path) -> dict[str, float]:
        """Return the laps of each drive, up to the first that leaves the road."""
        laps: dict[str, float] = {}
        for name, world in _DRIVES.items():
            drive = EvaluateSettings(
                track=self.road, speed=SpeedSettings(SPEED_MPH), world=world, in_process=True
            )
            score = evaluate(model, drive).score
            laps[name] = (
                1.0 if score.complete and not score.interventions else min(score.laps, 0.999)
            )
            if laps[name] < 1:
                break
        return laps

    def _record_more(self, camera: Camera, seconds: float, model: Path) -> list[str]:
        """Record some seconds more: on round the road, or what the map of a model names, in turn;
        return what.
        """
        named: Sequence[RecordNext] = ()
        if self.way == "named":
            (found,) = map_margins(
                [model], MarginSettings(self.road, speed_mph=SPEED_MPH), pool=self.pool
            ).values()
            named = found.record_next
        if not named:
            camera.drive_on(seconds)
            return ["on round the road"]
        takes = max(round(seconds / _TAKE_SECONDS), 1)
        chosen = list(itertools.islice(itertools.cycle(named), takes))
        for one in chosen:
            camera.drive_from(one.start_m, one.start_offset_m, seconds / takes)
        return [f"{one.bend} at {one.start_m:g} m from {one.start_offset_m:g} m" for one in chosen]


def _report(results: Sequence[dict[str, Any]]) -> Report:
    """Return the table and the shares. results: of both ways, for each road and seed.

    Where only the uniform way was not clean in the end, the share is below the one that is given.
    """
    rows, shares = [["", "seed", *(f"{way}, s" for way in WAYS), "share"]], list[float]()
    for uniform, named in zip(results[::2], results[1::2], strict=True):
        ends = uniform["rounds"][-1], named["rounds"][-1]
        share = ends[1]["seconds"] / ends[0]["seconds"]
        shares += [share] * ends[1]["clean"]
        shown = [
            f"{end['seconds']:g}" if end["clean"] else f"over {end['seconds']:g}" for end in ends
        ]
        rows.append(
            [
                uniform["road"],
                str(uniform["seed"]),
                *shown,
                f"{share:.2f}" if ends[1]["clean"] else "",
            ]
        )
    unfinished = len(results) // 2 - len(shares)
    measures = [
        Measure("recordings of named places that did not suffice", unfinished, "", 0, False)
    ]
    if shares:
        measures.append(
            Measure("largest share of the uniform seconds", max(shares), "", _BAR, False)
        )
        measures.append(
            Measure("median share of the uniform seconds", float(np.median(shares)), "")
        )
    return Report(measures, aligned(rows), {"results": list(results)})
