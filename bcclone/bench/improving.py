"""Measure how fast a weak model learns from the built-in expert, against cloning as many rows of the expert's drives.

The weak model learned from one lap of the expert, in a few passes. Both ways then see drives of the same number,
length, direction, speed and appearance, begin with the weak model, and are trained on as many samples.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from bcclone.atomic import write_text
from bcclone.bench.settings import ImproveBenchSettings
from bcclone.improve import ImproveSettings, improve
from bcclone.improve.course import train_resumably
from bcclone.improve.expert import LEARNING_RATE
from bcclone.improve.expert_drives import LOOKAHEAD_SECONDS, draw_drive
from bcclone.improve.rounds import RoundsSoFar
from bcclone.improve.scoring import RowScore, rows_to_drive, score_rows
from bcclone.plots.teaching import Lesson, Teaching, plot_teaching
from bcclone.preprocess import PreprocessSettings, convert
from bcclone.simulator.record import record
from bcclone.simulator.settings import ExpertSettings, RecordSettings
from bcclone.task_pool import open_pool
from bcclone.train import RunSettings, TrainSettings

Notify = Callable[[str], None]

_CLONING, _PICTURE = "cloning.json", "teaching.png"


@dataclass(frozen=True)
class Cloning:
    """How the model drives that cloned the expert. rows: that it learned from; scores: of the rows of the suite."""

    rows: int
    scores: tuple[RowScore, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what was written as JSON."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(stored["rows"], tuple(RowScore(**score) for score in stored["scores"]))


@dataclass(frozen=True)
class ImproveReport:
    """The result for one seed: the rounds with the expert's labels, and plain cloning of its drives."""

    seed: int
    so_far: RoundsSoFar
    cloning: Cloning

    @property
    def teaching(self) -> Teaching:
        """Return what a picture shows of it."""
        rounds = [Lesson(one.all_rows, len(_failed(one.scores))) for one in self.so_far.rounds]
        return Teaching(self.seed, rounds, Lesson(self.cloning.rows, len(_failed(self.cloning.scores))))

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"seed": self.seed, **self.so_far.as_json(), "cloning": asdict(self.cloning)}

    def to_rows(self) -> list[str]:
        """Return the lines of a table."""
        first, last = self.so_far.rounds[0], self.so_far.rounds[-1]
        return [
            f"seed {self.seed}",
            f"  the weak model                {_failures(first.scores)}",
            f"  taught in {last.number:>2} rounds           {_failures(last.scores)}; {last.all_rows} rows, "
            f"{self.so_far.seconds / 60:.0f} minutes",
            f"  cloned from the expert        {_failures(self.cloning.scores)}; {self.cloning.rows} rows",
        ]


def _failures(scores: Sequence[RowScore]) -> str:
    failed = _failed(scores)
    return f"{len(failed)} of {len(scores)} rows of the suite fail{': ' if failed else ''}{', '.join(failed)}"


def _failed(scores: Sequence[RowScore]) -> list[str]:
    return [score.row for score in scores if score.interventions]


def measure_improve(settings: ImproveBenchSettings, notify: Notify = lambda line: None) -> list[ImproveReport]:
    """Teach and clone with each seed, and draw the result into the folder; raises UserError.

    What is complete in the folder is kept.
    """
    reports = [_measure(settings, seed, notify) for seed in range(settings.seed, settings.seed + settings.seeds)]
    plot_teaching([one.teaching for one in reports], len(reports[0].cloning.scores), settings.folder / _PICTURE)
    return reports


def _measure(settings: ImproveBenchSettings, seed: int, notify: Notify) -> ImproveReport:
    folder = settings.folder / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    lap, weak = folder / "lap", folder / "weak.h5"
    if not weak.exists():
        if not (folder / "lap.h5").exists():
            _once(lap, lambda: record(lap, RecordSettings(settings.track, seed=seed)))
            convert(PreprocessSettings((str(lap),), folder / "lap.h5", size=(settings.size, settings.size)), notify)
        training = TrainSettings(epochs=settings.epochs, seed=seed)
        _train(folder / "lap.h5", weak, None, training, notify)
    taught = ImproveSettings(
        weak, (str(lap),), folder / "taught.h5", expert=True, track=settings.track, resume=True, seed=seed,
        rounds=settings.rounds, rows=settings.rows, laps=settings.laps, drive_laps=settings.drive_laps,
    )  # fmt: skip
    so_far = improve(taught, notify).so_far
    if not (folder / _CLONING).exists():
        rows = _clone(settings, taught, so_far, notify)
        with open_pool("") as pool:
            scores = score_rows(folder / "cloned.h5", taught, rows_to_drive(taught), pool)
        write_text(folder / _CLONING, json.dumps(asdict(Cloning(rows, scores))))
    return ImproveReport(seed, so_far, Cloning.read(folder / _CLONING))


def _clone(settings: ImproveBenchSettings, taught: ImproveSettings, so_far: RoundsSoFar, notify: Notify) -> int:
    """Train the weak model on the expert's own drives, as many as it was taught on; return the number of their rows."""
    folder, drives = taught.output.parent, taught.drives * so_far.rounds[-1].number
    recordings = []
    for number in range(drives):
        drawn, _, _ = draw_drive(taught.track, taught.drive_laps, taught.seed, number)
        expert = ExpertSettings(drawn.speed_mph, lookahead_seconds=LOOKAHEAD_SECONDS)
        recorded = RecordSettings(
            drawn.track, drawn.reverse, taught.drive_laps, taught.seed + number, expert, drawn.conditions
        )
        recordings.append(folder / "cloned" / f"{number:02d}")
        _once(recordings[-1], partial(record, recordings[-1], recorded))
    inputs = (*taught.recordings, *map(str, recordings))
    store = PreprocessSettings(inputs, folder / "cloned.store.h5", size=(settings.size, settings.size), force=True)
    made = convert(store, notify)
    seen = sum(one.epochs * one.all_rows for one in so_far.rounds)
    epochs = max(round(seen / made.rows), 1)
    training = TrainSettings(epochs=epochs, learning_rate=LEARNING_RATE, seed=taught.seed)
    _train(folder / "cloned.store.h5", folder / "cloned.h5", taught.model, training, notify)
    return made.rows


def _once(folder: Path, make: Callable[[], object]) -> None:
    """Make a recording unless it is complete already; the file that says so is written last."""
    done = folder.with_suffix(".complete")
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # what a killed one has left
    make()
    write_text(done, "")


def _train(store: Path, output: Path, start: Path | None, training: TrainSettings, notify: Notify) -> None:
    runs = output.parent / "runs"
    train_resumably(RunSettings((str(store),), output, start, runs, output.stem, training=training), notify)
