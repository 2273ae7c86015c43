"""Improve a model by take-overs or an expert, in a work folder that one process uses at a time.

In: `ImproveSettings`. Out: the model file of the best round, and an `Improvement` that tells how
each round drove. The work folder keeps the complete rounds, so that an interrupted improvement can
be continued.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bcclone.evaluation.evaluate_settings import SuiteSettings
from bcclone.evaluation.scenarios import select_scenarios
from bcclone.model.model_path import check_keras_path
from bcclone.recording.files import find_logs
from bcclone.recording.row import CAMERAS
from bcclone.research.improve import ImproveSettings
from bcclone.research.improve.learning import (
    MODELS,
    RECORDINGS,
    ROUNDS,
    RUNS,
    START,
    STORE,
    Learning,
    count_images,
)
from bcclone.research.improve.rounds import Improvement, chosen_round, plot_rounds
from bcclone.research.improve.start_model import StartModel
from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError
from bcclone.system.files import (
    MODEL,
    inputs_of,
    locked,
    make_folder,
    sha256_of,
    write_bytes,
    write_text,
    writing,
)
from bcclone.system.pool import open_pool
from bcclone.system.process import Notify

OPTIONS = "options.json"
# the settings that must be the same in a resumed command as in the interrupted one
_IDENTITY = (
    "recordings",
    "expert",
    "track",
    "drives",
    "drive_laps",
    "epochs",
    "learning_rate",
    "correction_weight",
    "seed",
    "rows",
    "laps",
)


def improve(settings: ImproveSettings, notify: Notify = lambda line: None) -> Improvement:
    """Train a model further, score it before and after, and write the better one.

    notify: called with each line of progress

    Raises UserError, and KeyboardInterrupt on Ctrl-C. After Ctrl-C, or after a kill at any point,
    the same call with `resume` continues.
    """
    # these raise UserError, before any work, for rows or recordings that cannot be used
    select_scenarios(SuiteSettings(settings.rows))
    if not settings.resume:  # then work_folder() checks the model
        check_keras_path(settings.model)
    if not settings.expert:
        count_images(settings.recordings, CAMERAS)
    elif settings.recordings:
        find_logs(settings.recordings)
    with work_folder(settings) as folder, open_pool(settings.jobs) as pool:
        notify(f"everything on the way is in {folder}")
        rounds = Learning(settings, StartModel.read(folder / START), pool, notify).learn()
        plot_rounds(rounds, folder / "rounds.png")
        model = read_bytes(folder / chosen_round(rounds).model, "model")
        write_bytes(settings.output, model, follow=True)
        return Improvement(rounds, settings.model, settings.output, folder)


@contextmanager
def work_folder(settings: ImproveSettings) -> Iterator[Path]:
    """Yield the work folder, locked: a new one, or with --resume the interrupted command's.

    The folder keeps a copy of the model to begin with, so that a resumed command does not need the
    original, and the settings that must be the same in a resumed command. Raises UserError if the
    folder or the output cannot be used.
    """
    path = settings.folder
    model = settings.model
    options_file = path / OPTIONS
    options: dict[str, Any] = {name: getattr(settings, name) for name in _IDENTITY}
    if not options_file.exists():
        check_keras_path(model)
    # on a resume, the model may be missing, or replaced by a result; only another model is refused
    if model.is_file() and not _is_result(model, path):
        options["model"] = sha256_of(model)
    if options_file.exists() and not (settings.resume or settings.force):
        raise UserError(
            f"{path} holds an earlier improvement; continue it with --resume, begin anew with "
            "--force, which deletes it, or name another --work"
        )
    may_replace = settings.force or (settings.resume and _is_result(settings.output, path))
    with (
        writing(settings.output, MODEL, may_replace, inputs_of(settings)),
        locked(path, "wait until it ends, or name another --work"),
    ):
        make_folder(path / MODELS, "another --work")
        # options.json is deleted first: if the process is killed here, what is left in the folder
        # is not taken for an improvement that can be resumed
        if options_file.exists() and not settings.resume:
            options_file.unlink()
            for part in (ROUNDS, RECORDINGS, STORE, RUNS, MODELS):  # other files stay
                shutil.rmtree(path / part, ignore_errors=True)
            (path / MODELS).mkdir()
        if options_file.exists():
            _check_options(path, options)
        else:
            write_bytes(path / START, read_bytes(model, "model"))
            write_text(options_file, json.dumps(options, indent=1) + "\n")
        yield path


def _check_options(path: Path, options: dict[str, Any]) -> None:
    """Raise UserError if the work folder was made by a command with other options."""
    stored = read_json(
        path / OPTIONS, dict[str, Any], "the options of an improvement", "name another --work"
    )
    present = json.loads(json.dumps(options))  # tuples become lists, as in the file
    differing = [
        f"\n  {name}: {stored.get(name)}, but now {value}"
        for name, value in present.items()
        if stored.get(name) != value
    ]
    if differing:
        raise UserError(
            f"{path} has other options; resume it with the same ones, begin anew with --force "
            f"instead of --resume, or name another --work:{''.join(differing)}"
        )


def _is_result(file: Path, work: Path) -> bool:
    """Return whether a file has the content of a model in the work folder."""
    models = [model for model in (work / START, *(work / MODELS).glob("*.h5")) if model.is_file()]
    return file.is_file() and sha256_of(file) in map(sha256_of, models)
