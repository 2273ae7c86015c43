"""Count the seconds of driving that a model needs, recorded in two ways -> a Report.

uniform: recorded all along the road. named: recorded where `bcclone margin` names.

The built-in expert drives. Both ways begin with the same recording of a part of a lap, with its
recoveries. Then it drives on (uniform), or from the places and offsets that the map of the last
model names (named), until the model that is trained anew on everything drives a lap, and a lap in
which it is pushed, without leaving the road.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
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
    TrainSettings,
    convert,
    evaluate,
)
from bcclone.camera.vehicle import MPH
from bcclone.research.margin_map import RecordNext
from bcclone.research.margin_settings import MarginSettings
from bcclone.research.margins import map_margins
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import BETWEEN_ROWS_SECONDS, CarRecording, Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.system.pool import open_pool
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Seed, setting
from bcclone.training.train import train
from benchmarks.measures import Measure, Report, aligned
from benchmarks.rounds import folder_of, once

SPEED_MPH = 30.0
WAYS = ("uniform", "named")
_NARROW = "length=400-600,radius=18-24,hills=5-20,width=6-8"  # random roads
_FIRST_LAPS = 1 / 12  # that both ways begin with


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
    laps: float = setting(1.5, "laps of recording to give up at", _FIRST_LAPS, 20)
    folder: Path | None = setting(
        None, "folder that keeps the results, to go on after an interruption", unit="DIR"
    )


def measure(settings: Settings, notify: Notify) -> Report:
    """Return how many seconds each way needs on each road with each seed; raises UserError."""
    results = []
    with folder_of(settings.folder) as folder, open_pool(1) as pool:
        for seed, road, way in itertools.product(range(settings.seeds), settings.roads, WAYS):
            trial = Trial(road, seed, way, settings, pool)
            path = folder / f"{trial.key}.json"
            result = partial(trial.result, notify)
            results.append(once(path, result, f"{road}, seed {seed}, {way}", notify))
    return make_report(results)


# ---- recording


class Camera:
    """Records what the expert does on a road, a piece at a time, into folders.

    folder: where the folders are made
    """

    def __init__(self, road: str, seed: int, folder: Path) -> None:
        self.track = load_track(road)
        self.folders: list[Path] = []  # what is recorded
        self.rows = 0  # in these folders
        self._renderer = Renderer(road, Conditions())
        self._folder = folder
        self._random = np.random.default_rng(seed)
        self._seed = seed
        self._drive = self._rows_of(TrackedCar(self.track), ExpertSettings(speed_mph=SPEED_MPH))

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
        """Record how the expert drives back to the middle.

        It begins between 0.4 of an offset and the whole of it, so that takes of a place differ.
        """
        begin_m = offset_m * self._random.uniform(0.4, 1.0)
        tracked = TrackedCar(self.track, begin_m, self.track.start_m + along_m)
        tracked.car.speed = SPEED_MPH * MPH
        straight_back = ExpertSettings(speed_mph=SPEED_MPH, recoveries=0, wander_m=0)
        self._write(self._rows_of(tracked, straight_back), seconds)

    def _rows_of(self, tracked: TrackedCar, settings: ExpertSettings) -> Iterator[TrackedCar]:
        """Drive for ever; yield at each row that is recorded."""
        expert = Expert(self.track, settings, self._seed)
        row = 0
        while True:
            tracked.car.control(*expert.control(tracked.car, tracked.position))
            if tracked.seconds >= row * BETWEEN_ROWS_SECONDS:
                row += 1
                if expert.recording:
                    yield tracked
            tracked.step()

    def _write(self, rows: Iterator[TrackedCar], seconds: float) -> None:
        """Record the next rows into a new folder."""
        count = round(seconds / BETWEEN_ROWS_SECONDS)
        folder = self._folder / f"{len(self.folders)}"
        with CarRecording(folder) as writer:
            for tracked in itertools.islice(rows, count):
                writer.record(tracked.seconds, tracked.car, self._renderer.frames(tracked.car))
        self.folders.append(folder)
        self.rows += count


# ---- rounds of recording, training and driving


@dataclass(frozen=True)
class Trial:
    """One way to record a road, with one seed."""

    road: str
    seed: int
    way: str
    settings: Settings
    pool: Executor  # renders the maps

    @property
    def key(self) -> str:
        """Return a name of what the result depends on, beside the sources."""
        words = repr((self.road, self.settings.steps, self.settings.laps))
        digest = hashlib.sha256(words.encode()).hexdigest()[:8]
        return f"{digest}-{self.seed}-{self.way}"

    def result(self, notify: Notify) -> dict[str, Any]:
        """Record, train and drive until both laps are clean; return the figures of each round."""
        # of the recording from round to round: two rounds fewer are a share of 0.59
        growth = 1.3
        rounds: list[dict[str, Any]] = []
        added: list[str] = []  # what was recorded for a round
        with TemporaryDirectory(prefix="bcclone-") as name:
            folder = Path(name)
            camera = Camera(self.road, self.seed, folder)
            most_seconds = camera.lap_seconds * self.settings.laps
            camera.drive_on(camera.lap_seconds * _FIRST_LAPS)
            while True:
                model = self._train(camera, folder)
                laps = self._drive(model)
                # the drives end with the first that leaves the road
                is_clean = all(value >= 1 for value in laps.values())
                figures = {
                    "seconds": camera.seconds,
                    "added": added,
                    "laps": laps,
                    "clean": is_clean,
                }
                rounds.append(figures)
                notify(f"  {figures}")
                if is_clean or camera.seconds >= most_seconds:
                    break
                added = self._record_more(camera, camera.seconds * (growth - 1), model)
        return {"road": self.road, "seed": self.seed, "way": self.way, "rounds": rounds}

    def _train(self, camera: Camera, folder: Path) -> Path:
        """Train a network on all that is recorded; return the model file.

        It takes as many whole passes as the wanted steps need.
        """
        image_px = 64  # width and height
        batch_size = 32
        store = folder / "data.h5"
        model = folder / "model.h5"
        conversion = PreprocessSettings(
            tuple(map(str, camera.folders)),
            store,
            force=True,
            size=(image_px, image_px),
            validation=0.0,
        )
        samples = convert(conversion).train
        files = RunFiles(data=(str(store),), output=model, force=True, runs=folder / "runs")
        settings = TrainSettings(
            **vars(files),
            seed=self.seed,
            dropout=0.15,
            epochs=math.ceil(self.settings.steps * batch_size / samples),
            batch_size=batch_size,
        )
        train(settings)
        return model

    def _drive(self, model: Path) -> dict[str, float]:
        """Return the laps of each drive, up to the first that leaves the road.

        A clean drive has 1.0, and one that leaves the road less.
        """
        lap = EvaluateSettings(self.road, speed_mph=SPEED_MPH, most_interventions=1)
        pushed = replace(lap, perturbation_m=2.0, perturbation_every_m=37.0)
        laps: dict[str, float] = {}
        for name, drive in {"lap": lap, "pushed": pushed}.items():
            score = evaluate(model, drive).score
            if not score.complete or score.interventions:
                laps[name] = min(score.laps, 0.999)
                break
            laps[name] = 1.0
        return laps

    def _record_more(self, camera: Camera, seconds: float, model: Path) -> list[str]:
        """Record some seconds more; return what.

        The drive goes on round the road, or begins at what the map of a model names, in turn.
        """
        take_seconds = 4.0  # about, of each beginning at a named place
        named: Sequence[RecordNext] = ()
        if self.way == "named":
            settings = MarginSettings(self.road, speed_mph=SPEED_MPH)
            (margins,) = map_margins([model], settings, pool=self.pool).values()
            named = margins.record_next
        if not named:
            camera.drive_on(seconds)
            return ["on round the road"]
        takes = max(round(seconds / take_seconds), 1)
        added = []
        for place in itertools.islice(itertools.cycle(named), takes):
            camera.drive_from(place.start_m, place.start_offset_m, seconds / takes)
            added.append(f"{place.bend} at {place.start_m:g} m from {place.start_offset_m:g} m")
        return added


# ---- the report


def make_report(results: Sequence[dict[str, Any]]) -> Report:
    """Return the table and the shares.

    Where only the uniform way was not clean in the end, the share is below the one that is given.

    results: of both ways, for each road and seed
    """
    most_share = 0.6  # of the seconds of the uniform recording
    rows = [["", "seed", *(f"{way}, s" for way in WAYS), "share"]]
    shares: list[float] = []
    for uniform, named in zip(results[::2], results[1::2], strict=True):
        uniform_end = uniform["rounds"][-1]
        named_end = named["rounds"][-1]
        share_text = ""
        if named_end["clean"]:
            share = named_end["seconds"] / uniform_end["seconds"]
            shares.append(share)
            share_text = f"{share:.2f}"
        seconds = [_seconds_text(uniform_end), _seconds_text(named_end)]
        rows.append([uniform["road"], str(uniform["seed"]), *seconds, share_text])

    unfinished = len(results) // 2 - len(shares)
    unfinished_name = "recordings of named places that did not suffice"
    measures = [Measure(unfinished_name, unfinished, "", 0, least=False)]
    if shares:
        largest = max(shares)
        middle = float(np.median(shares))
        measures += [
            Measure("largest share of the uniform seconds", largest, "", most_share, least=False),
            Measure("median share of the uniform seconds", middle, ""),
        ]
    return Report(measures, aligned(rows), {"results": list(results)})


def _seconds_text(last_round: Mapping[str, Any]) -> str:
    if last_round["clean"]:
        return f"{last_round['seconds']:g}"
    return f"over {last_round['seconds']:g}"
