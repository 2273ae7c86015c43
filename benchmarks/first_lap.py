"""Compare recipes: a simulated recording -> a model that drives its first lap, and what that costs.

A recipe is a way from nothing to a model: which laps the built-in expert records, how they are
stored, and how the network is trained. Each model then drives a lap in both directions. The recipes
take turns, seed by seed, so that a slow moment of the machine affects all of them.
"""

import itertools
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bcclone import UserError
from bcclone.commands.demo import EXPERT, LOOKS, ROWS, STORE, TRAINING, DemoSettings
from bcclone.evaluation.evaluate import evaluate
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Laps, Mph, Names, Seed, setting
from benchmarks.measures import Measure, Report, aligned
from benchmarks.rounds import check_names, folder_of, in_fresh_process, once, run_bcclone

Figures = dict[str, Any]  # name -> value, as JSON has it


@dataclass(frozen=True)
class Recipe:
    """A way from nothing to a model, as options of commands."""

    recordings: tuple[str, ...]  # options of `simulate record`, without --laps, of each
    passes: int  # over the training samples
    training: str  # further options of model.py
    recorded_laps: float = 1.0  # length of each recording
    store: str = "--size 64"  # options of preprocess.py


RECIPES = {
    # of the demo until 2026-11-28
    "november": Recipe(
        (
            f"{EXPERT} --seed 1 --texture-seed 1",
            f"{EXPERT} --seed 2 --texture-seed 2 --light 1.2 --fog 2 --sun-azimuth 200",
            f"{EXPERT} --seed 3 --texture-seed 3 --light 0.8 --sun-elevation 30 --reverse",
        ),
        passes=12,
        training="--network cnn --dropout 0.15",
    ),
    "demo": Recipe(
        tuple(f"{EXPERT} {ROWS} {look}" for look in LOOKS),
        passes=DemoSettings().epochs,
        training=TRAINING,
        store=f"--size 64 {STORE}",
    ),
}


def parse_passes(text: str) -> tuple[int, ...]:
    """Return the numbers of "1,2,4", rising; raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError(f"{text!r}, expected numbers of 1 or more, such as 1,2,4")
    return tuple(sorted(map(int, parts)))


@dataclass(frozen=True)
class Settings(Checked):
    """Which recipes are compared, and how their models drive."""

    only: Names = setting((), "compare only these recipes, separated by commas", shown="all")
    seeds: Seed = setting(3, "number of trainings of each recipe, with seeds from 0", 1, 100)
    passes: tuple[int, ...] = setting(
        (),
        "train with these numbers of passes, such as 1,2,4, fewest first, until a model drives "
        "both laps without an intervention",
        unit="N,N,...",
        shown="those of the recipe",
        parse=parse_passes,
    )
    laps: Laps = setting(1.0)
    speed_mph: Mph = setting(25.0, "speed that each model holds", above=0, option="speed")
    folder: Path | None = setting(
        None,
        "folder that keeps stores, models and results; what is complete there is not made again",
        unit="DIR",
    )

    def validate(self) -> None:
        check_names(self.only, RECIPES)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the seconds, passes and drives of each recipe with each seed; raises UserError."""
    recipes = settings.only or tuple(RECIPES)
    trainings: list[Figures] = []
    failed: dict[str, str] = {}
    with folder_of(settings.folder) as folder:
        stores = {}
        for name in recipes:
            path = folder / f"{name}.json"
            make = Store(name, folder).make
            stores[name] = once(path, make, f"recording and storing: {name}", notify)
        for seed, name in itertools.product(range(settings.seeds), recipes):
            try:
                trainings += _trained(name, seed, folder, settings, notify)
            except UserError as error:
                failed[f"{name}, seed {seed}"] = str(error)
    return make_report(stores, trainings, failed)


@dataclass(frozen=True)
class Store:
    """The recordings and the store of a recipe."""

    recipe: str
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{self.recipe}.h5"

    def make(self) -> Figures:
        """Record and preprocess; return the seconds of both, and the number of rows."""
        recipe = RECIPES[self.recipe]
        start = time.monotonic()
        laps = []
        rows = 0
        for number, options in enumerate(recipe.recordings, 1):
            lap = self.folder / f"{self.recipe}-lap{number}"
            shutil.rmtree(lap, ignore_errors=True)  # of an interrupted measurement
            line = ("simulate", "record", lap, "--laps", recipe.recorded_laps)
            recorded, _ = run_bcclone(*line, *options.split())
            rows += recorded["rows"]
            laps.append(lap)
        recorded_at = time.monotonic()
        run_bcclone("preprocess", *laps, "-o", self.path, "--force", *recipe.store.split())
        return {
            "record_seconds": recorded_at - start,
            "store_seconds": time.monotonic() - recorded_at,
            "rows": rows,
        }


def _trained(
    recipe: str, seed: int, folder: Path, settings: Settings, notify: Notify
) -> list[Figures]:
    """Train with a seed, with more passes each time, until both laps are clean.

    Return the figures of each training; raises UserError.
    """
    trainings: list[Figures] = []
    for passes in settings.passes or (RECIPES[recipe].passes,):
        trial = Trial(recipe, seed, passes, folder)
        path = folder / f"{trial.name}.json"
        figures = partial(trial.figures, settings)
        trainings.append(once(path, figures, f"training and driving: {trial.name}", notify))
        if trainings[-1]["clean"]:
            break
    return trainings


@dataclass(frozen=True)
class Trial:
    """A training by a recipe, and the drives of its model."""

    recipe: str
    seed: int
    passes: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.recipe}-{self.passes}-passes-{self.seed}"

    def figures(self, settings: Settings) -> Figures:
        """Train, and drive both ways; return the figures. Raises UserError."""
        model = self.folder / f"{self.name}.h5"
        store = Store(self.recipe, self.folder).path
        line: list[object] = ["model", store, "-o", model, "--force", "--no-plots"]
        line += ["--runs", self.folder / "runs", "--seed", self.seed, "--epochs", self.passes]
        start = time.monotonic()
        trained, _ = run_bcclone(*line, *RECIPES[self.recipe].training.split())
        seconds = time.monotonic() - start

        drives = {}
        for way in ("forward", "reverse"):
            drive = EvaluateSettings(
                reverse=way == "reverse",
                laps=settings.laps,
                speed_mph=settings.speed_mph,
            )
            drives[way] = in_fresh_process(drive_model, model, drive)
        clean = all(drive["complete"] and not drive["interventions"] for drive in drives.values())
        return {
            "recipe": self.recipe,
            "seed": self.seed,
            "passes": self.passes,
            "seconds": seconds,  # from the start of the command to its end
            "training_seconds": trained["seconds"],  # of the passes alone
            "val_loss": trained["val_loss"],
            "drives": drives,
            "clean": clean,
        }


def drive_model(model: Path, settings: EvaluateSettings) -> Figures:
    """Drive a lap; return its figures. Loads TensorFlow."""
    score = evaluate(model, settings).score
    return {
        "complete": score.complete,
        "interventions": score.interventions,
        "mean_abs_cross_track_m": score.mean_abs_cross_track_m,
        "max_abs_cross_track_m": score.max_abs_cross_track_m,
    }


# ---- the report


def make_report(
    stores: Mapping[str, Figures],
    trainings: Sequence[Figures],
    failed: Mapping[str, str] | None = None,
) -> Report:
    """Return the table of all trainings, and how the last recipe compares with the first.

    stores: seconds of recording and of preprocessing, by the name of a recipe
    trainings: as Trial.figures() returns them
    """
    heads = ["recipe", "seed", "passes", "record, s", "store, s", "train, s", "interventions"]
    rows = [[*heads, "mean, m", "farthest, m", "first lap, s"]]
    for figures in trainings:
        store = stores[figures["recipe"]]
        drives = figures["drives"].values()
        first_lap_text = "-"
        if figures["clean"]:
            first_lap_text = f"{_seconds(store, figures):.0f}"
        row = [
            figures["recipe"],
            str(figures["seed"]),
            str(figures["passes"]),
            f"{store['record_seconds']:.0f}",
            f"{store['store_seconds']:.0f}",
            f"{figures['seconds']:.0f}",
            " ".join(str(drive["interventions"]) for drive in drives),
            " ".join(f"{drive['mean_abs_cross_track_m']:.2f}" for drive in drives),
            " ".join(f"{drive['max_abs_cross_track_m']:.2f}" for drive in drives),
            first_lap_text,
        ]
        rows.append(row)
    values = {
        "machine": f"{usable_cores()} cores",
        "stores": dict(stores),
        "trainings": list(trainings),
    }
    return Report(_measures(stores, trainings), aligned(rows), values, failed or {})


def _seconds(store: Figures, training: Figures) -> float:
    """Return the seconds from nothing to the model: recording, storing and training."""
    return float(store["record_seconds"] + store["store_seconds"] + training["seconds"])


def _measures(stores: Mapping[str, Figures], trainings: Sequence[Figures]) -> list[Measure]:
    """Return how many trainings gave no clean laps, and the ratios of the last recipe to the first.

    A ratio is the median over the seeds with which both recipes have led to clean laps.
    """
    last_trainings = {(figures["recipe"], figures["seed"]): figures for figures in trainings}
    measures = []
    for name in stores:
        ends = [figures for (recipe, _), figures in last_trainings.items() if recipe == name]
        unclean = sum(not figures["clean"] for figures in ends)
        measures.append(Measure(f"{name}: seeds without clean laps", unclean, "", 0, least=False))
    names = list(stores)
    first = names[0]
    last = names[-1]
    if first == last:  # there is one recipe only
        return measures

    training_ratios = []
    ratios = []
    for (recipe, seed), figures in last_trainings.items():
        before = last_trainings.get((first, seed))
        if recipe != last or before is None or not (figures["clean"] and before["clean"]):
            continue
        training_ratios.append(figures["seconds"] / before["seconds"])
        ratios.append(_seconds(stores[last], figures) / _seconds(stores[first], before))
    if ratios:
        words = f"{last} / {first}"
        measures.append(Measure(f"{words}: seconds of training", median(training_ratios), ""))
        measures.append(Measure(f"{words}: seconds to the model", median(ratios), ""))
    return measures
