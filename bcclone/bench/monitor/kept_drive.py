"""Drive a scenario and keep the frames, so that any monitor can score the same drive later."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.arrays import FloatArray, IndexArray
from bcclone.atomic import write_bytes, write_text
from bcclone.drive.driver import Decision
from bcclone.evaluate.scenarios import Scenario
from bcclone.evaluate.single import Supervision, drive_policy
from bcclone.evaluate.suite_worker import InputFile, cached_policy, open_scenario
from bcclone.images import Image, decode_jpeg
from bcclone.monitor import load_monitor
from bcclone.monitor.points import doubt_figures
from bcclone.simulator.score import OFF_ROAD
from bcclone.task_pool import report_progress


@dataclass(frozen=True)
class KeptDrive:
    """A drive, frame by frame.

    seconds, steering, cross_track_m: (frames,), simulated time, the model's steering and the distance from the centre
    line; departures: when a wheel left the asphalt, in seconds; jpegs: all frames, one after the other; ends: where
    each one ends.
    """

    seconds: FloatArray
    steering: FloatArray
    cross_track_m: FloatArray
    departures: FloatArray
    jpegs: bytes
    ends: IndexArray

    def __len__(self) -> int:
        return len(self.seconds)

    def frame(self, index: int) -> Image:
        """Return a frame, RGB uint8 (160, 320, 3)."""
        begin = self.ends[index - 1] if index else 0
        return decode_jpeg(self.jpegs[begin : self.ends[index]])

    def save(self, path: Path) -> None:
        """Write the drive, completely or not at all."""
        content = io.BytesIO()
        arrays = {name: getattr(self, name) for name in ("seconds", "steering", "cross_track_m", "departures", "ends")}
        np.savez(content, jpegs=np.frombuffer(self.jpegs, np.uint8), **arrays)
        write_bytes(path, content.getbuffer())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what save() wrote."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls(**arrays | {"jpegs": arrays["jpegs"].tobytes()})


@dataclass(frozen=True)
class DriveTask:
    """A model, the scenario that it drives, and the file for the drive."""

    model: InputFile
    scenario: Scenario
    output: Path

    def __str__(self) -> str:
        return f"{self.scenario.name} with {self.model.path}"


def drive_and_keep(task: DriveTask) -> None:
    """Drive a scenario in a worker of a pool, and write the drive."""
    task.model.check()
    world = open_scenario(task.scenario, report_progress)
    decisions: list[Decision] = []
    policy = cached_policy(task.model, None)
    drive_policy(policy, world, task.scenario.settings, on_decision=decisions.append)
    jpegs = [decision.telemetry.jpeg for decision in decisions]
    KeptDrive(
        seconds=np.array([shown.point.seconds for shown in world.shown]),
        steering=np.array([decision.control.steering for decision in decisions]),
        cross_track_m=np.array([shown.point.cross_track_m for shown in world.shown]),
        departures=np.array([event.seconds for event in world.scorer.events if event.cause == OFF_ROAD]),
        jpegs=b"".join(jpegs),
        ends=np.cumsum([len(jpeg) for jpeg in jpegs]),
    ).save(task.output)


@dataclass(frozen=True)
class DoubtTask:
    """A drive with a monitor, what the car does in doubt, and the file for the figures."""

    model: InputFile
    scenario: Scenario
    monitor: InputFile
    on_doubt: str
    output: Path

    def __str__(self) -> str:
        return f"{self.scenario.name} with {self.model.path}, --on-doubt {self.on_doubt}"


def drive_in_doubt(task: DoubtTask) -> None:
    """Drive a scenario with a monitor in a worker of a pool, and write how often the car left the road."""
    for file in (task.model, task.monitor):
        file.check()
    world = open_scenario(task.scenario, report_progress)
    policy = cached_policy(task.model, None)
    supervision = Supervision(load_monitor(task.monitor.path, task.model.path), task.on_doubt)
    result = drive_policy(policy, world, task.scenario.settings, supervision)
    figures = {
        "departures": sum(event.cause == OFF_ROAD for event in result.events),
        "laps": result.laps,
        "seconds": result.score.seconds,
        "ended": result.ended,
        "doubt": doubt_figures(result.doubts),
    }
    write_text(task.output, json.dumps(figures) + "\n")
