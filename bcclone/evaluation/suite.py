"""Score models by the drives of a suite -> figures and a table.

A scenario is a drive, and a row of the table. The drives run side by side, in processes here or on
a cluster. A worker uses one thread of TensorFlow on the CPU, so that the results do not depend on
the number of workers.
"""

import hashlib
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, cv2
from bcclone.camera.vehicle import MPH
from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedController, SpeedSettings
from bcclone.evaluation.evaluate import BlindControl, Evaluation, drive_blind, drive_policy
from bcclone.evaluation.scenarios import Scenario, select_scenarios
from bcclone.evaluation.settings import EvaluateSettings, SuiteSettings
from bcclone.model.model_path import SHIPPED, check_model_path, is_shipped, shipped_model
from bcclone.model.policy import Policy, load_policy, not_finite
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.roads import read_road_file
from bcclone.simulator.score import autonomy_text
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.simulator.world_settings import ExpertSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import sha256_of
from bcclone.system.pool import find_kept, open_pool, run_kept, run_tasks
from bcclone.system.process import is_own_process
from bcclone.system.progress import Notify
from bcclone.system.table import Table, TableColumn
from bcclone.system.tensorflow_quietly import load_tensorflow

# ---- the drives


def suite(
    models: Sequence[Path | str],
    settings: SuiteSettings | None = None,
    notify: Notify = lambda line: None,
    pool: Executor | None = None,
) -> "SuiteResult":
    """Score models on the scenarios of the suite; raises UserError.

    Each finished drive is written into the folder settings.kept at once. A drive whose result is
    there already is not driven again. A model that cannot be read is found before anything drives;
    it is an error only if no other is left.

    notify: called with a line on the drives that were found there
    pool: the workers that drive, None to start worker processes
    """
    settings = settings or SuiteSettings()
    return drive_scenarios(models, select_scenarios(settings), settings, notify, pool)


def drive_scenarios(
    models: Sequence[Path | str],
    scenarios: Sequence[Scenario],
    settings: SuiteSettings,
    notify: Notify = lambda line: None,
    pool: Executor | None = None,
) -> "SuiteResult":
    """Score models on scenarios, which need not be those of a suite, as suite() does."""
    if not models:
        example = shown_command("suite", "model.h5")
        raise UserError(f"no model to score; name one, such as: {example}")
    paths = name_models(list(map(Path, models)))
    drivers = {
        name: ModelDriver(path.absolute(), sha256_of(path), settings.preprocess)
        for name, path in paths.items()
    }
    with nullcontext(pool) if pool else open_pool(settings.jobs) as workers:
        unreadable = _find_unreadable(drivers, scenarios, settings.kept, workers)
        if unreadable.keys() == drivers.keys():
            raise UserError("\n".join(unreadable.values()))
        for reason in unreadable.values():
            notify(f"not driven: {reason}")
        readable = {name: path for name, path in paths.items() if name not in unreadable}
        drivers = {name: drivers[name] for name in readable}
        drives = _drive(drivers, scenarios, settings, notify, workers)
    failed = {name: Unreadable(paths[name], reason) for name, reason in unreadable.items()}
    return SuiteResult(readable, tuple(scenarios), drives, failed)


def _find_unreadable(
    drivers: "Mapping[str, ModelDriver]",
    scenarios: Sequence[Scenario],
    kept: Path | None,
    pool: Executor,
) -> dict[str, str]:
    """Return why models cannot drive, by their names; those whose drives are all kept can."""
    checked = {
        name: driver
        for name, driver in drivers.items()
        if not all(
            find_kept(kept, Evaluation, SuiteTask(driver, scenario).key) for scenario in scenarios
        )
    }
    names = list(checked)
    reasons = {names[at]: reason for at, reason in run_tasks(pool, fault_of, checked.values())}
    return {name: reasons[name] for name in names if reasons[name]}


def drive_beside(
    result: "SuiteResult",
    settings: SuiteSettings,
    notify: Notify,
    pool: Executor | None = None,
) -> dict[str, dict[str, Evaluation]]:
    """Drive the same scenarios for comparison: the shipped network, the built-in expert, and a car
    that is never steered.

    It takes about as long as a model, or, if the shipped network is one of the models, seconds.
    Returns the name of the scenario -> name of the driver -> its drive. Arguments are as in
    suite().
    """
    drivers: dict[str, SuiteDriver] = {
        "the built-in expert": BlindDriver(steers=True),
        "no steering": BlindDriver(steers=False),
    }
    if not any(map(is_shipped, result.models.values())):
        shipped = ShippedDriver(sha256_of(shipped_model(SHIPPED)))
        drivers = {f"{SHIPPED}, shipped": shipped, **drivers}
    return _drive(drivers, result.scenarios, settings, notify, pool, "drives to compare with")


def _drive(
    drivers: "Mapping[str, SuiteDriver]",
    scenarios: Sequence[Scenario],
    settings: SuiteSettings,
    notify: Notify,
    pool: Executor | None,
    noun: str = "drives",
) -> dict[str, dict[str, Evaluation]]:
    """Let each driver drive each scenario.

    Returns the name of the scenario -> name of the driver -> its drive.
    """
    # the longest drives first, so that at the end no worker drives on while the others wait
    pairs = list(product(sorted(scenarios, key=lambda one: -one.seconds), drivers))
    tasks = [SuiteTask(drivers[name], scenario) for scenario, name in pairs]
    workers = settings.jobs if pool is None else pool
    results = run_kept(
        workers,
        run_task,
        tasks,
        settings.kept,
        Evaluation,
        label="driving",
        unit="m",
        noun=noun,
        notify=notify,
    )

    # the results come in the order of the tasks; a table shows them in the order of its rows
    drives: dict[str, dict[str, Evaluation]] = {scenario.name: {} for scenario in scenarios}
    for (scenario, name), result in zip(pairs, results, strict=True):
        drives[scenario.name][name] = result
    return drives


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return name -> path: the file's name without its ending, or all paths if two have one name.

    Raises UserError for a model that does not exist or is given twice.
    """
    for number, path in enumerate(models):
        check_model_path(path)
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is given twice; name each model once")
    by_name = {path.stem: path for path in models}
    return by_name if len(by_name) == len(models) else {str(path): path for path in models}


# ---- in a worker


def result_key(name: str, track: str, *parts: object) -> str:
    """Return the name under which a result is kept for a later run.

    It is `name`, and a hash of all that the result depends on: the parts, bcclone's sources, and
    the content of a road's JSON file.

    track: name of a track, or path of a road's JSON file
    parts: settings and hashes of files, whose repr() is hashed
    """
    content = read_road_file(Path(track)) if track.endswith(".json") else b""
    hashed = repr((_source_digest(), parts, content)).encode()
    return f"{name}-{hashlib.sha256(hashed).hexdigest()[:24]}"


@cache
def _source_digest() -> str:
    """Return a digest of bcclone's code and tables, as the files were at the first call.

    The digest changes with every change of the code; the version number does not.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in (".py", ".csv")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


# held while a task computes: a worker of a cluster may run tasks in several threads, but TensorFlow
# and OpenCV have one setting for the whole process
one_at_a_time = threading.Lock()


def load_on_one_core(model: Path, sha256: str, preprocess: str | None) -> Policy:
    """Load a model's policy in a worker process, which then computes with one thread.

    The process uses no GPU, since results of GPUs may differ. This lasts until the worker ends,
    because TensorFlow cannot take it back. Raises UserError if the worker does not find the file,
    or finds other content.

    sha256: hash of the file on the machine that gave the task
    preprocess: the preprocessing for a model file that does not state its own
    """
    try:
        found = sha256_of(model)
    except OSError as error:
        raise UserError(
            f"{model}: a worker cannot read it ({error.strerror}); share or copy it"
        ) from None
    if found != sha256:
        raise UserError(f"{model}: has other content on a worker; copy it again")
    if is_own_process():  # as each worker is
        cv2.setNumThreads(1)
    load_tensorflow(threads=1, use_gpus=False)
    # the pictures of simulated roads are frames already, so even a model with a framing, for
    # another camera's pictures, must not frame them again
    return load_policy(model, preprocess, must_agree=False).without_framing()


@dataclass(frozen=True)
class ModelDriver:
    """A model file that drives."""

    model: Path
    sha256: str  # of the model file
    preprocess: str | None  # for a model that does not store its own

    @property
    def key(self) -> tuple[object, ...]:
        """Return what its drives depend on."""
        return self.sha256, self.preprocess

    def drive(self, world: SimulatedWorld, settings: EvaluateSettings) -> Evaluation:
        """Raises UserError, also for a model that this worker does not find.

        The model is loaded anew for each drive: that takes 0.2 s, and a drive takes half a minute.
        """
        policy = load_on_one_core(self.model, self.sha256, self.preprocess)
        return drive_policy(policy, world, settings, str(self.model))


def fault_of(driver: ModelDriver) -> str:
    """Return why a worker cannot read a model or get a steering from it, "" if it can."""
    frame = np.random.default_rng(0).integers(0, 256, (FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    with one_at_a_time:
        try:
            policy = load_on_one_core(driver.model, driver.sha256, driver.preprocess)
            if not math.isfinite(policy.answer(frame).steering):
                raise not_finite(str(driver.model), "for a picture")
        except UserError as error:
            return str(error)
    return ""


@dataclass(frozen=True)
class ShippedDriver:
    """The shipped network, which each worker finds in its own bcclone."""

    sha256: str

    @property
    def key(self) -> tuple[object, ...]:
        return (self.sha256,)

    def drive(self, world: SimulatedWorld, settings: EvaluateSettings) -> Evaluation:
        policy = load_on_one_core(shipped_model(SHIPPED), self.sha256, None)
        return drive_policy(policy, world, settings, SHIPPED)


@dataclass(frozen=True)
class BlindDriver:
    """A driver who knows where the car is, and needs no picture: a drive takes a second.

    steers: whether it steers as the built-in expert, or not at all
    """

    steers: bool

    @property
    def key(self) -> tuple[object, ...]:
        return ("blind", self.steers)

    def drive(self, world: SimulatedWorld, settings: EvaluateSettings) -> Evaluation:
        control = _expert(world.track, settings) if self.steers else _straight_on(settings)
        return drive_blind(control, world)


def _expert(track: Track, settings: SpeedSettings) -> BlindControl:
    """Return the control of the expert as it drives along the middle."""
    along = ExpertSettings(speed_mph=settings.speed_mph, wander_m=0.0, recoveries=0.0)
    return Expert(track, along, seed=0).control


def _straight_on(settings: SpeedSettings) -> BlindControl:
    """Return the control of a car that holds its speed, and is not steered."""
    speed = SpeedController(settings)
    straight = Answer(steering=0.0)
    return lambda car, position: (0.0, speed.throttle(car.speed / MPH, straight))


SuiteDriver = ModelDriver | ShippedDriver | BlindDriver


@dataclass(frozen=True)
class SuiteTask:
    """A scenario to drive, and who drives it."""

    driver: SuiteDriver
    scenario: Scenario

    @property
    def size(self) -> float:
        """Return the length in metres, the unit of the progress bar."""
        return self.scenario.length_m

    @property
    def key(self) -> str:
        scenario = self.scenario
        track = scenario.settings.track
        return result_key(scenario.name, track, *self.driver.key, scenario)


def run_task(task: SuiteTask) -> Evaluation:
    """Drive a scenario; raises UserError as the driver does.

    The result has no latency, so that it is the same on each machine.
    """
    settings = task.scenario.settings
    with one_at_a_time:
        track = load_track(settings.track, settings.reverse)
        world = SimulatedWorld(Renderer(settings.track, settings), track, settings)
        driven = task.driver.drive(world, settings)
    return replace(driven, latency_ms=None, views=())


# ---- the result


def clean_rows(drives: Mapping[str, Mapping[str, Evaluation]], driver: str) -> int:
    """Return how many scenarios a driver drove without an intervention.

    drives: name of the scenario -> name of the driver -> its drive
    """
    return sum(not by_driver[driver].score.interventions for by_driver in drives.values())


_BEST = "*"  # mark behind the figures of the best model in a row


@dataclass(frozen=True)
class Unreadable:
    """A model that did not drive."""

    path: Path
    reason: str


@dataclass(frozen=True)
class SuiteResult:
    """The results of a suite."""

    models: Mapping[str, Path]  # name -> file, of those that drove
    scenarios: tuple[Scenario, ...]
    drives: Mapping[str, Mapping[str, Evaluation]]  # name of the scenario -> model -> its drive
    unreadable: Mapping[str, Unreadable] = field(default_factory=dict)  # those that did not

    def clean_rows(self, model: str) -> int:
        return clean_rows(self.drives, model)

    def interventions(self, model: str) -> int:
        return sum(drives[model].score.interventions for drives in self.drives.values())

    def from_middle_m(self, model: str) -> float:
        """Return how far a model's car was from the centre line, the mean of its drives."""
        of_drives = [drives[model].score.mean_abs_cross_track_m for drives in self.drives.values()]
        return float(np.mean(of_drives))

    @property
    def best(self) -> str:
        """Return the best model; of several that are equally good, the first."""
        return self.ranked[0]

    @property
    def ranked(self) -> list[str]:
        """Return the models, the best first: most rows without an intervention, then fewest
        interventions, then nearest to the centre line.
        """
        return sorted(self.models, key=self._rank)

    def _rank(self, model: str) -> tuple[float, ...]:
        from_middle_m = round(self.from_middle_m(model), 3)
        return -self.clean_rows(model), self.interventions(model), from_middle_m

    def is_equal(self, model: str, other: str) -> bool:
        """Return whether two models are equally good."""
        return self._rank(model) == self._rank(other)

    @property
    def verdict(self) -> str:
        """Return in words which of several models is the best."""
        best = self.best
        rows = f"{self.clean_rows(best)} of {len(self.scenarios)} rows without an intervention"
        equal = [model for model in self.models if self.is_equal(model, best)]
        if len(equal) > 1:
            return f"equally good: {', '.join(equal)}, with {rows}"
        return f"best: {best}, with {rows}"

    def hardest(self, models: Iterable[str]) -> list[Scenario]:
        """Return the scenarios in which these models left the road, the worst first."""
        times = {
            row.name: sum(self.drives[row.name][model].score.interventions for model in models)
            for row in self.scenarios
        }
        imperfect = [row for row in self.scenarios if times[row.name]]
        return sorted(imperfect, key=lambda row: -times[row.name])

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        models = {
            name: {
                "path": str(path),
                "clean_rows": self.clean_rows(name),
                "interventions": self.interventions(name),
                "mean_abs_cross_track_m": round(self.from_middle_m(name), 3),
            }
            for name, path in self.models.items()
        }
        models |= {
            name: {"path": str(one.path), "error": one.reason}
            for name, one in self.unreadable.items()
        }
        rows = []
        for scenario in self.scenarios:
            drives = self.drives[scenario.name]
            row = {
                "row": scenario.name,
                "description": scenario.description,
                "best": sorted(best_of(drives)),
                "models": {model: drive.figures() for model, drive in drives.items()},
            }
            rows.append(row)
        return {"best": self.best, "models": models, "rows": rows}

    def table(self) -> Table:
        """Return a table with a row for each scenario, one of totals, and a column for each model.

        Of several models, the best of each row is marked.
        """
        columns = [TableColumn("row", heading=""), TableColumn("description", heading="")]
        columns += map(TableColumn, self.models)
        rows = [["", "", *["autonomy  off  mean   most"] * len(self.models)]]
        for scenario in self.scenarios:
            drives = self.drives[scenario.name]
            best = best_of(drives) if len(drives) > 1 else set()
            cells = []
            for model, drive in drives.items():
                score = drive.score
                cell = (
                    f"{autonomy_text(score.autonomy_percent):>8}{score.interventions:5d}"
                    f"{score.mean_abs_cross_track_m:6.2f}{score.max_abs_cross_track_m:7.2f}"
                )
                cells.append(cell + _BEST * (model in best))
            rows.append([scenario.name, scenario.description, *cells])

        totals = [
            f"{self.clean_rows(model)} of {len(self.scenarios)} rows, {self.interventions(model)}"
            for model in self.models
        ]
        rows.append(["", "rows without an intervention, all interventions", *totals])
        return Table(columns, rows)

    @property
    def is_of_several(self) -> bool:
        return len(self.models) + len(self.unreadable) > 1

    def ranking(self) -> Table:
        """Return a table with a row for each model, the best first, and last those that did not
        drive, with the reason.
        """
        columns = [
            TableColumn("model"),
            TableColumn("clean_rows", heading="rows without an intervention"),
            TableColumn("interventions"),
            TableColumn("from_middle_m", "{:.2f} m".format, "from the middle, on average"),
            TableColumn("reason", heading="not driven, because"),
        ]
        if not self.unreadable:
            columns = columns[:-1]
        rows = [
            [model, self.clean_rows(model), self.interventions(model), self.from_middle_m(model)]
            for model in self.ranked
        ]
        rows = [[*row, *([""] if self.unreadable else [])] for row in rows]
        rows += [
            [name, None, None, None, one.reason.splitlines()[0]]
            for name, one in self.unreadable.items()
        ]
        return Table(columns, rows)

    def sentences(self) -> list[str]:
        """Return what the table shows, the notes on drives, and which model is the best."""
        lines = [
            "off: interventions (wheels off the asphalt, or an incomplete drive); "
            "mean, most: distance from the centre line, m",
            *self.notes(),
        ]
        if len(self.models) > 1:
            lines.append(
                f"{_BEST} best of its row: complete, then more autonomy, then nearer to the line"
            )
        if self.is_of_several:
            lines += ["", str(self.ranking()), ""]
            if len(self.models) > 1:
                lines.append(self.verdict)
        return lines

    def notes(self) -> list[str]:
        """Return a sentence for each model with notes on its drives."""
        lines = []
        for model in self.models:
            noted = [row for row, drives in self.drives.items() if drives[model].notes]
            if noted:
                first_note = self.drives[noted[0]][model].notes[0]
                lines.append(f"{model} in {', '.join(noted)}: {first_note}")
        return lines


def best_of(drives: Mapping[str, Evaluation]) -> set[str]:
    """Return the models with the best drive of a scenario: several if equal.

    A complete drive is better than an incomplete one; then the drive with more autonomy is better;
    then the drive nearer to the centre line on average.
    """
    ranks = {}
    for model, drive in drives.items():
        score = drive.score
        ranks[model] = (
            not score.complete,
            -score.autonomy_percent,
            score.mean_abs_cross_track_m,
        )
    return {model for model, rank in ranks.items() if rank == min(ranks.values())}
