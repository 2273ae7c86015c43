"""Models and a road -> the map of each model's margins: frames answered in parallel, then the states that come back."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.dataset.vehicle import MPH
from bcclone.evaluate.suite import name_models
from bcclone.evaluate.worker_model import InputFile
from bcclone.lab.margin.answers import Answers, RunKept, Seen, StatesTask, answer_states
from bcclone.lab.margin.driven_states import check_by_driving
from bcclone.lab.margin.margin_map import MarginMap
from bcclone.lab.margin.margin_settings import MarginSettings
from bcclone.lab.margin.motion import RENDERED, STARTS, StateGrid, shape_of, state_grid, table_of
from bcclone.lab.margin.returning import returning_set
from bcclone.simulator.track import Track, load_track
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, open_pool, run_kept

_PLACES_A_TASK = 12

AnswerPlaces = Callable[[StateGrid, npt.NDArray[np.int_]], Float32Array]


def map_margins(
    models: Sequence[Path],
    settings: MarginSettings | None = None,
    notify: Callable[[str], None] = lambda line: None,
    pool: TaskPool | None = None,
) -> dict[str, MarginMap]:
    """Return the map of each model by its name; raises UserError.

    Parts that are in settings.kept are not computed again, and finished ones are written there at once. notify: called
    with a line on them; pool: the workers, None to start some.
    """
    settings = settings or MarginSettings()
    if not models:
        raise UserError("no model to map; name one, such as: bcclone margin model.h5")
    named, track = name_models(models), load_track(settings.track, settings.reverse)
    maps, speed = {}, settings.speed_mph * MPH
    with nullcontext(pool) if pool else open_pool(settings.jobs) as workers:

        def run(function: Callable[[Any], Any], tasks: Sequence[Any], kind: type, unit: str) -> list[Any]:
            shown = Shown("mapping", unit, "parts", notify)
            return run_kept(workers, function, tasks, FinishedSteps(settings.kept, kind), shown)

        for name, path in named.items():
            model = InputFile.of(path)
            seen = Seen(model, settings.preprocess, settings.track, settings.reverse, speed)
            maps[name] = map_by_answers(track, speed, partial(_answer, seen, run))
            if settings.check:
                check = check_by_driving(seen, maps[name].returning, settings.check, settings.seed, run)
                maps[name] = replace(maps[name], check=check)
    return maps


def map_by_answers(track: Track, speed: float, answer: AnswerPlaces) -> MarginMap:
    """Return the map of whatever steers. speed: m/s.

    answer: a grid and the indices of some of its places -> the steering there, float32 (places, offsets, turns).
    """
    grid = state_grid(track, RENDERED)
    table = table_of(grid, answer(grid, np.arange(len(grid.places_m))))
    returning = returning_set(state_grid(track, STARTS), shape_of(track), table, speed)
    return MarginMap(table.steering.size, track, table, returning)


def _answer(seen: Seen, run: RunKept, grid: StateGrid, places: npt.NDArray[np.int_]) -> Float32Array:
    """Return the steering of a model at some places of a grid, float32 (places, offsets, turns)."""
    offsets, turns = tuple(grid.offsets_m.tolist()), tuple(grid.turns.tolist())
    parts = [places[first : first + _PLACES_A_TASK] for first in range(0, len(places), _PLACES_A_TASK)]
    tasks = [StatesTask(seen, tuple(grid.places_m[part].tolist()), offsets, turns) for part in parts]
    answers = run(answer_states, tasks, Answers, "frames")
    steering = np.concatenate([np.array(one.steering, np.float32) for one in answers])
    return steering.reshape(len(places), len(offsets), len(turns))
