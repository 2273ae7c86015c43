"""Keep the finished drives of a suite, so that one that was interrupted goes on where it was.

A drive is the same whenever it is driven, so one of the same model, scenario and version of bcclone is not driven
again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bcclone.evaluate.scenarios import Scenario, ScenarioDrive
from bcclone.evaluate.suite_worker import SuiteTask
from bcclone.lab.monitor.points import DoubtPoint
from bcclone.simulator.score import DriveEvent, Intervention, LinePoint, Score
from bcclone.system.atomic import write_text
from bcclone.system.sources import source_digest


class KeptDrives:
    """The finished drives in a folder, one file each; None keeps nothing. Replays of recordings are not kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, task: SuiteTask) -> ScenarioDrive | None:
        """Return the drive of a task that was finished before, None if there is none that can be read."""
        if self._folder is None or not isinstance(task.work, Scenario):
            return None
        try:
            return _read(json.loads(self._path(task, task.work).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, task: SuiteTask, drive: ScenarioDrive) -> None:
        """Write a finished drive."""
        if self._folder is not None and isinstance(task.work, Scenario):
            self._folder.mkdir(exist_ok=True)
            write_text(self._path(task, task.work), json.dumps(asdict(drive)) + "\n")

    def _path(self, task: SuiteTask, scenario: Scenario) -> Path:
        """Return the file of a task's drive, whose name tells all that determines the drive."""
        road = Path(scenario.settings.track)
        parts = (
            source_digest(),
            task.model.sha256,
            task.preprocess,
            scenario.settings,
            road.read_bytes() if road.suffix == ".json" else b"",
            task.monitor.sha256 if task.monitor else "",
            task.on_doubt,
        )
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        return Path(self._folder or "", f"{scenario.name}-{digest}.json")


def _read(stored: Mapping[str, Any]) -> ScenarioDrive:
    """Return a drive from the values of its JSON object; raises TypeError or KeyError for others."""
    return ScenarioDrive(
        score=Score(**stored["score"]),
        laps=stored["laps"],
        ended=stored["ended"],
        trace=tuple(LinePoint(**one) for one in stored["trace"]),
        interventions=tuple(Intervention(**one) for one in stored["interventions"]),
        events=tuple(DriveEvent(**one) for one in stored["events"]),
        doubts=tuple(DoubtPoint(**one) for one in stored["doubts"]),
    )
