"""Train a model further: once on a person's take-overs, or on the expert until it drives well.

The model keeps its own preprocessing, network, windows and augmentation, as far as its file states
them. A work folder, which one process uses at a time, keeps the complete rounds, so that an
interrupted improvement can be continued.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from bcclone.dataset.conversion import convert
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import (
    GOOD_ROWS,
    MAX_CORRECTION_WEIGHT,
    PreprocessSettings,
    SampleSettings,
)
from bcclone.dataset.shards import MANIFEST_NAME
from bcclone.evaluation.scenarios import Scenario, select_scenarios
from bcclone.evaluation.settings import SuiteSettings
from bcclone.evaluation.suite import drive_scenarios
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.model.model_path import check_keras_path
from bcclone.recording.files import find_logs
from bcclone.recording.row import CAMERAS
from bcclone.research.expert_drives import ExpertDrive, draw_drive, run_drive
from bcclone.research.improve_settings import ImproveSettings
from bcclone.research.rounds import Improvement, Round
from bcclone.research.take_overs import TakeOvers, Trial, read_take_overs, trial_of
from bcclone.simulator.score import Score
from bcclone.simulator.traced import off_road_images
from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError, number_of
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
from bcclone.system.pool import find_kept, keep, open_pool, run_kept
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches
from bcclone.system.values import names_of
from bcclone.training.train import resume, train
from bcclone.training.train_settings import (
    FINE_TUNING_LEARNING_RATE,
    SETTINGS_OF_WEIGHTS,
    TRAINED,
    TrainSettings,
    values_of,
)

# names in the work folder
START = "start.h5"
ROUNDS = "rounds"
RECORDINGS = "recordings"
STORE = "store"
RUNS = "runs"
MODELS = "models"
OPTIONS = "options.json"
# the settings that must be the same in a resumed command as in the interrupted one
_IDENTITY = ("recordings", "expert", "track", "epochs", "seed", "rows", "laps")


def improve(settings: ImproveSettings, notify: Notify = lambda line: None) -> Improvement:
    """Train a model further, score it before and after, and write it if it is better.

    notify: called with each line of progress

    Raises UserError, and KeyboardInterrupt on Ctrl-C. After Ctrl-C, or after a kill at any point,
    the same call with `resume` continues.
    """
    # these raise UserError, before any work, for rows or recordings that cannot be used
    select_scenarios(SuiteSettings(settings.rows))
    if not settings.resume:  # then work_folder() checks the model
        check_keras_path(settings.model)
    take_overs = None
    if not settings.expert:
        notify(f"reading {', '.join(settings.recordings)}")
        take_overs = read_take_overs(settings.recordings, CAMERAS)
    elif settings.recordings:
        find_logs(settings.recordings)
    with work_folder(settings) as folder, open_pool(settings.jobs) as pool:
        notify(f"everything on the way is in {folder}; loading TensorFlow")
        learning = _Learning(settings, take_overs, pool, notify)
        rounds = tuple(learning.learn())
        result = Improvement(rounds, settings.model, settings.output, folder, learning.trial)
        if result.is_improved:
            model = read_bytes(folder / result.chosen.model, "model")
            write_bytes(settings.output, model, follow=True)
        return result


# ---- the work folder


@contextmanager
def work_folder(settings: ImproveSettings) -> Iterator[Path]:
    """Yield the work folder, locked: a new one, or with --resume the interrupted command's.

    The folder keeps a copy of the model to begin with, so that a resumed command does not need the
    original, and the settings that must be the same in a resumed command. Raises UserError if the
    folder or the output cannot be used.
    """
    path = settings.folder
    options_file = path / OPTIONS
    is_earlier = options_file.exists()
    if is_earlier and not (settings.resume or settings.force):
        raise UserError(
            f"{path} holds an earlier improvement; continue it with --resume, begin anew with "
            "--force, which deletes it, or name another --output"
        )
    continues = is_earlier and settings.resume
    options: dict[str, Any] = {name: getattr(settings, name) for name in _IDENTITY}
    if not continues:
        check_keras_path(settings.model)
    if settings.model.is_file():  # the copy is enough to continue
        options["model"] = sha256_of(settings.model)
    with (
        writing(settings.output, MODEL, settings.force or continues, inputs_of(settings)),
        locked(path, "wait until it ends, or name another --output"),
    ):
        if continues:
            _check_options(path, options)
        else:
            # options.json is deleted first: if the process is killed here, what is left in the
            # folder is not taken for an improvement that can be resumed
            options_file.unlink(missing_ok=True)
            for part in (ROUNDS, RECORDINGS, STORE, RUNS, MODELS):  # other files stay
                shutil.rmtree(path / part, ignore_errors=True)
            make_folder(path / MODELS, "another --output")
            write_bytes(path / START, read_bytes(settings.model, "model"))
            write_text(options_file, json.dumps(options, indent=1) + "\n")
        yield path


def _check_options(path: Path, options: dict[str, Any]) -> None:
    """Raise UserError if the work folder was made by a command with other options."""
    stored = read_json(
        path / OPTIONS, dict[str, Any], "the options of an improvement", "name another --output"
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
            f"instead of --resume, or name another --output:{''.join(differing)}"
        )


# ---- the model to begin with

# names of the settings that a training takes over from the training before it
_INHERITED = ("network", "batch_size", "zero_fraction", *names_of(AugmentSettings))


def read_start(path: Path) -> tuple[Preprocessing, SampleSettings, TrainSettings]:
    """Return how a model was trained, as far as later trainings keep to it.

    Raises UserError for a file that another program has written.
    """
    load_tensorflow(onednn=onednn_for_batches())  # the trainings run in this process
    from bcclone.model.model_file import load_own_model

    file = load_own_model(path)
    try:
        samples = SampleSettings()
        if file.training.samples:
            samples = SampleSettings.stored(file.training.samples)
        values = file.training.settings
        inherited = {name: values[name] for name in _INHERITED if name in values}
        training = TrainSettings(**inherited, seq_length=file.seq_length)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: its training is described wrongly: {error}; train the model again"
        ) from None
    return file.preprocessing, replace(samples, seq_length=file.seq_length), training


# ---- the rounds

_EPOCHS = 4  # passes over the samples in a training on take-overs

# with the expert
_DRIVES = 2  # in a round, each in the other direction
_LEARNING_RATE = 5e-4
_ROWS_SEEN = 40_000  # rows times epochs of a round; 2 epochs of 5,500 rows are too few
_MAX_EPOCHS = 8  # most epochs of a round


class _Learning:
    """The rounds of an improvement.

    take_overs: those of all cameras; None with the expert
    pool: the workers that drive
    """

    def __init__(
        self,
        settings: ImproveSettings,
        take_overs: TakeOvers | None,
        pool: Executor,
        notify: Notify,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._notify = notify
        self._folder = settings.folder
        self._preprocessing, self._samples, self._training = read_start(self._folder / START)
        if take_overs and self._samples.cameras != CAMERAS:  # the model is trained on fewer
            take_overs = read_take_overs(settings.recordings, self._samples.cameras)
        self._take_overs = take_overs
        if take_overs:
            self._tell(take_overs)
        self.trial = self._make_trial()
        length_m = sum(scenario.length_m for scenario in self.trial.scenarios)
        drives = number_of(len(self.trial.scenarios), "drive")
        notify(f"a model is judged by {drives} of {length_m / 1000:.1f} km: {self.trial.roads}")

    def _tell(self, found: TakeOvers) -> None:
        """Tell what was found in the recordings, and what of it is not used."""
        if found.off_road:
            self._notify(
                f"note: {found.off_road} of {found.rows} rows of take-overs are left out, because "
                "the car was off the road"
            )
        if found.assumed:
            self._notify(
                f"note: {', '.join(found.assumed)} does not tell light and weather; the usual "
                "ones are taken to judge the model"
            )
        if found.placeless:
            self._notify(
                f"note: {number_of(found.placeless, 'take-over')} without a place in trace.csv, "
                "where the model is not judged"
            )

    def _make_trial(self) -> Trial:
        """Return the drives that judge the rounds."""
        settings = self._settings
        # with the expert, a drive ends at the first intervention, because a weak model would
        # otherwise drive for very long; 0 is no limit
        most = 1 if settings.expert else 0
        rows = select_scenarios(
            SuiteSettings(settings.rows, laps=settings.laps, most_interventions=most)
        )
        if self._take_overs and self._take_overs.places:
            rows = rows if settings.rows else ()
            return trial_of(self._take_overs.places, rows, settings.laps)
        if settings.expert:
            if not settings.rows:
                rows = tuple(row for row in rows if row.settings.track == settings.track)
            return Trial(rows, (), f"rows of the suite: {_named_roads(rows)}")
        return Trial(
            rows,
            (),
            f"rows of the suite, {_named_roads(rows)}, other roads than those of the take-overs, "
            "whose places no trace.csv tells",
        )

    def learn(self) -> list[Round]:
        """Return the rounds; those that are complete already are not done again. Raises UserError.

        Round 0 is the score of the model to begin with. There is one round of learning from
        take-overs. With the expert there are rounds until no row of the suite needs an
        intervention, or until they are used up.
        """
        rounds: list[Round] = []
        names = {scenario.name for scenario in self.trial.scenarios}
        while complete := find_kept(self._folder / ROUNDS, Round, _key(len(rounds))):
            if complete.scores.keys() != names:  # another version drove others
                break
            rounds.append(complete)
        if rounds:
            self._notify(f"continuing after round {rounds[-1].number}, which is complete")
        most = self._settings.rounds if self._settings.expert else 1
        while len(rounds) <= most:
            begin = time.monotonic()
            if not rounds:
                self._notify("round 0: the model drives as it is")
                learned = Round(number=0, model=START)
            elif self._take_overs:
                learned = self._learn_from_corrections(rounds[-1], self._take_overs)
            elif rounds[-1].interventions:
                learned = self._learn_from_expert(rounds[-1])
            else:
                break
            scores = self._scores_of(learned.model)
            seconds = round(time.monotonic() - begin, 1)
            scored = replace(learned, scores=scores, seconds=seconds)
            self._notify(scored.sentence())
            rounds.append(keep(self._folder / ROUNDS, _key(scored.number), scored))
        return rounds

    def _scores_of(self, model: str) -> dict[str, Score]:
        """Return row -> score of a model of the work folder."""
        scenarios = self.trial.scenarios
        result = drive_scenarios(
            [self._folder / model], scenarios, SuiteSettings(), self._notify, self._pool
        )
        (name,) = result.models
        return {row: drives[name].score for row, drives in result.drives.items()}

    def _learn_from_corrections(self, last: Round, take_overs: TakeOvers) -> Round:
        """Train on take-overs, mixed with earlier recordings and rows that the model drove well."""
        settings = self._settings
        corrections, others = take_overs.corrections, take_overs.others
        # each correction is seen so often that half of the samples are corrections
        weight = min(max(round(others / corrections), 1), MAX_CORRECTION_WEIGHT)
        self._notify(
            f"{corrections} images of take-overs, each seen {weight} times an epoch, "
            f"and {others} others"
        )
        all_rows = self._convert(settings.recordings, weight)
        epochs = settings.epochs or _EPOCHS
        # the round has recorded no rows of its own: its rows are all rows
        return self._train(last, all_rows, epochs, FINE_TUNING_LEARNING_RATE, rows=all_rows)

    def _learn_from_expert(self, last: Round) -> Round:
        """Drive, label the rows as the expert would steer, add them to all earlier ones, train."""
        settings = self._settings
        folder = self._folder / RECORDINGS
        model = (self._folder / last.model).absolute()
        tasks = []
        for index in range(_DRIVES):
            recording = folder.absolute() / f"{_key(last.number + 1)}-{index}"
            number = last.number * _DRIVES + index
            tasks.append(
                draw_drive(recording, settings.track, settings.laps, settings.seed, number)
            )
        drives = run_kept(
            self._pool,
            partial(run_drive, model, sha256_of(model)),
            tasks,
            folder,
            ExpertDrive,
            label="recording",
            unit="m",
            noun="drives",
        )

        # The user's recordings are in the store from the first round on. The tasks' folders are
        # absolute, for the workers; the store gets the path as the user has written it.
        recordings = [str(folder / task.folder.name) for task in tasks]
        if last.number == 0:
            recordings = [*settings.recordings, *recordings]
        add = (self._folder / STORE / MANIFEST_NAME).exists()
        all_rows = self._convert(recordings, 1, add)
        epochs = min(max(round(_ROWS_SEEN / all_rows), 1), _MAX_EPOCHS)
        return self._train(
            last,
            all_rows,
            settings.epochs or epochs,
            _LEARNING_RATE,
            rows=sum(drive.rows for drive in drives),
            rescues=sum(drive.rescues for drive in drives),
            distance_m=round(sum(drive.distance_m for drive in drives), 1),
        )

    def _convert(self, recordings: Sequence[str], correction_weight: int, add: bool = False) -> int:
        """Write recordings into the store, or add them to it; return how many rows the store has.

        The same call continues an interrupted one.
        """
        samples = asdict(self._samples)
        samples |= {"rows": GOOD_ROWS, "correction_weight": correction_weight}
        settings = PreprocessSettings(
            tuple(recordings),
            self._folder / STORE,
            add=add,
            resume=True,
            preprocessing=self._preprocessing,
            explicit=tuple(samples),  # they hold even where they are the default
            **samples,
        )
        return convert(settings, self._notify, off_road_images).rows

    def _train(
        self, last: Round, all_rows: int, epochs: int, learning_rate: float, **recorded: Any
    ) -> Round:
        """Train the model of the last round further, or continue an interrupted training.

        all_rows: number of rows in the store
        recorded: figures of what the round recorded, fields of Round by name
        """
        number = last.number + 1
        name = _key(number)
        model = f"{MODELS}/{name}.h5"
        settings = replace(
            self._training,
            data=(str(self._folder / STORE),),
            output=self._folder / model,
            start=self._folder / last.model,
            runs=self._folder / RUNS,
            name=name,
            epochs=epochs,
            learning_rate=learning_rate,
            seed=self._settings.seed + number,
            hand_over=TRAINED,  # the drives of the suite judge the model
        )
        if (settings.runs / name).exists():
            # resume() refuses them if they differ from those of the interrupted training
            fixed = values_of(settings, SETTINGS_OF_WEIGHTS)
            trained = resume(settings, fixed, self._notify)
        else:
            trained = train(settings, self._notify)
        return Round(
            number=number,
            all_rows=all_rows,
            epochs=epochs,
            val_loss=trained.val_loss,
            model=model,
            **recorded,
        )


def _named_roads(scenarios: Sequence[Scenario]) -> str:
    return ", ".join(sorted({scenario.settings.track for scenario in scenarios}))


def _key(number: int) -> str:
    """Return the name under which a round is kept in the work folder."""
    return f"{number:02d}"
