"""The steps of the benchmark in a work folder; a step whose file is complete is skipped."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.atomic import write_bytes, write_text
from bcclone.bench.monitor.kept_drive import DoubtTask, DriveTask, drive_and_keep, drive_in_doubt
from bcclone.bench.settings import MonitorBenchSettings
from bcclone.evaluate.scenarios import SCENARIOS, Scenario, ScenarioChanges, select_scenarios
from bcclone.evaluate.suite_worker import InputFile
from bcclone.improve.course import train_resumably
from bcclone.preprocess import PreprocessSettings, convert
from bcclone.progress import ProgressBar
from bcclone.simulator.record import record
from bcclone.simulator.settings import Conditions, ExpertSettings, RecordSettings
from bcclone.task_pool import TaskPool
from bcclone.train import AugmentSettings, RunSettings, TrainSettings

Notify = Callable[[str], None]

DOUBT_RULES = ("slow", "stop")

# the laps that models/lake.h5 was trained on, see models/README.md
_LAPS = (
    RecordSettings(seed=1, conditions=Conditions(texture_seed=1)),
    RecordSettings(seed=2, conditions=Conditions(texture_seed=2, light=0.8, sun_elevation=30.0), reverse=True),
    RecordSettings(seed=3, conditions=Conditions(texture_seed=3, light=1.2, fog=2.0, sun_azimuth=200.0)),
)
_EXPERT = ExpertSettings(wander_m=0.2, recoveries=0.0)
# textures of undisturbed drives: those that the threshold is set on, and those that false alarms are counted in
_CALIBRATION_SEEDS, _NOMINAL_SEEDS = (100, 101), (102, 103)


@dataclass(frozen=True)
class SeedFolder:
    """The files of one seed in the work folder."""

    settings: MonitorBenchSettings
    seed: int

    @property
    def folder(self) -> Path:
        """Return the folder of this seed."""
        return self.settings.folder / f"seed-{self.seed}"

    @property
    def store(self) -> Path:
        """Return the store of the laps, which all seeds share."""
        return self.settings.folder / "laps.h5"

    @property
    def model(self) -> Path:
        """Return the model that drives."""
        return self.folder / "model.h5"

    def drive(self, name: str) -> Path:
        """Return the file of a drive."""
        return self.folder / "drives" / f"{name}.npz"

    def monitor(self, kind: str) -> Path:
        """Return the file of a monitor."""
        return self.folder / f"{kind}.monitor"

    def scores(self, kind: str, name: str) -> Path:
        """Return the file of a monitor's scores of a drive."""
        return self.folder / "scores" / kind / f"{name}.npz"

    def doubt(self, kind: str, rule: str, name: str) -> Path:
        """Return the file of a drive that slowed down or stopped in doubt."""
        return self.folder / "doubt" / kind / rule / f"{name}.json"


def prepare(work: SeedFolder, notify: Notify) -> None:
    """Record the laps, convert them and train the model that drives, or copy the one that is given."""
    settings = work.settings
    work.folder.mkdir(parents=True, exist_ok=True)
    if not work.store.exists():
        recordings = []
        for number, lap in enumerate(_LAPS, 1):
            folder = settings.folder / f"lap{number}"
            recordings.append(str(folder))
            if not folder.with_suffix(".complete").exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a killed one has left
                record(folder, replace(lap, expert=_EXPERT))
                write_text(folder.with_suffix(".complete"), "")
        convert(PreprocessSettings(tuple(recordings), work.store, size=(settings.size, settings.size)), notify)
    if work.model.exists():
        return
    if settings.model is not None:
        write_bytes(work.model, settings.model.read_bytes())
        return
    augmentation = AugmentSettings(augment=settings.augment)
    training = TrainSettings(epochs=settings.epochs, seed=work.seed, augmentation=augmentation)
    train_resumably(
        RunSettings((str(work.store),), work.model, None, work.folder / "runs", "model", training=training), notify
    )


def scenarios(settings: MonitorBenchSettings) -> tuple[Scenario, ...]:
    """Return the conditions to drive in, each drive ending at the greatest number of departures."""
    chosen = select_scenarios(settings.rows, ScenarioChanges("testing", laps=settings.laps))
    return tuple(one.ended_at(settings.departures) for one in chosen)


def nominal_scenarios(settings: MonitorBenchSettings, calibration: bool) -> list[Scenario]:
    """Return undisturbed drives on textures that no model was trained on."""
    (plain,) = (one for one in SCENARIOS if one.name == "lake-20")
    seeds = _CALIBRATION_SEEDS if calibration else _NOMINAL_SEEDS
    return [
        replace(ScenarioChanges(laps=settings.nominal_laps, texture_seed=seed).apply(plain), name=f"nominal-{seed}")
        for seed in seeds
    ]


def drive_all(work: SeedFolder, pool: TaskPool) -> None:
    """Drive all conditions, and the undisturbed drives, that are not complete in the work folder."""
    settings, model = work.settings, InputFile.of(work.model)
    wanted = [*nominal_scenarios(settings, True), *nominal_scenarios(settings, False), *scenarios(settings)]
    missing = [one for one in wanted if not work.drive(one.name).exists()]
    work.drive("x").parent.mkdir(parents=True, exist_ok=True)
    metres = round(sum(one.length_m for one in missing))
    with ProgressBar("driving", metres, "m") as progress:
        tasks = [DriveTask(model, one, work.drive(one.name)) for one in missing]
        for _ in pool.run(drive_and_keep, tasks, progress.advance):
            pass


def drive_all_in_doubt(work: SeedFolder, kind: str, pool: TaskPool) -> None:
    """Drive all conditions again, slowing down or stopping while this kind of monitor doubts."""
    tasks = []
    model, monitor = InputFile.of(work.model), InputFile.of(work.monitor(kind))
    for one in scenarios(work.settings):
        for rule in DOUBT_RULES:
            output = work.doubt(kind, rule, one.name)
            output.parent.mkdir(parents=True, exist_ok=True)
            if not output.exists():
                tasks.append(DoubtTask(model, one, monitor, rule, output))
    metres = round(sum(task.scenario.length_m for task in tasks))
    with ProgressBar("driving in doubt", metres, "m") as progress:
        for _ in pool.run(drive_in_doubt, tasks, progress.advance):
            pass
