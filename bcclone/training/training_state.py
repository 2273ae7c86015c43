"""The state of a training between two steps, the learning rate and the limits that follow from it,
and the result.

history.csv in a run folder has a row with the figures of each epoch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from bcclone.system.codec import explained, read_table, whole_number
from bcclone.system.errors import shown_command
from bcclone.system.json_values import names_of, to_json
from bcclone.system.table import Table, TableColumn
from bcclone.training.train_settings import TrainSettings

_FINAL_FRACTION = 0.01  # of the highest learning rate, at the end of a falling schedule
_STEPS_OF_ESTIMATE = 20  # of the pace; fewer are too few
_CLEAR_CORRELATION, _CLEAR_LOSS = (
    0.05,
    0.01,
)  # smaller differences, and fractions of the loss, are noise
MEAN, START, HALFWAY, TRAINED = "mean_steering", "start", "halfway", "trained"
_MODELS = {START: "the start model", HALFWAY: "the mean of start and trained weights"}
TRAINED_NAME = (
    "trained.h5"  # in a run folder: the model of the last epoch, or the best, if another was better
)


@dataclass(frozen=True)
class ValidationScore:
    """How well a driver agrees with the validation samples.

    loss, mae: of all of them, as val_loss and val_mae; correlation: Pearson's, of steering and
    label, None if one of them is constant; right_side: fraction of the frames with the steering on
    the label's side, of those whose label is not small. These two are of the recorded frames,
    without mirror images and side cameras.
    """

    loss: float
    mae: float
    correlation: float | None
    right_side: float | None

    def is_better_than(self, other: "ValidationScore") -> bool:
        """Return whether this driver is clearly better: by the correlation, or where that is about
        equal by the loss.

        On a nearly straight road the loss falls, too, when a network unlearns what a bend is.
        """
        more = (self.correlation or 0.0) - (other.correlation or 0.0)
        if abs(more) > _CLEAR_CORRELATION:
            return more > 0
        return self.loss < (1 - _CLEAR_LOSS) * other.loss


_SCORE_COLUMNS = (
    TableColumn("driver", heading="validation"),
    TableColumn("loss", "{:.5f}".format),
    TableColumn("mae", "{:.4f}".format),
    TableColumn("correlation", "{:.3f}".format, "r"),
    TableColumn("right_side", "{:.1%}".format, "right side"),
)


@dataclass(frozen=True)
class Epoch:
    """The errors of one epoch, of steering from -1 to 1, over all samples, and its speed: a row of
    history.csv.

    val_loss, val_mae, val_correlation, val_right_side: a ValidationScore, None without validation
    samples; seconds: of training, without validation; data_wait_share: fraction of them spent
    waiting for data.
    """

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float
    seconds: float
    samples_per_second: float
    data_wait_share: float
    val_correlation: float | None = None
    val_right_side: float | None = None

    @property
    def validation(self) -> ValidationScore | None:
        if self.val_loss is None or self.val_mae is None:
            return None
        return ValidationScore(
            self.val_loss, self.val_mae, self.val_correlation, self.val_right_side
        )

    @property
    def score(self) -> float:
        """Return the number that is smallest in the best epoch: the validation loss, or without one
        the loss.
        """
        return self.loss if self.val_loss is None else self.val_loss


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    return min(history, key=lambda epoch: epoch.score)


def history_csv(history: Sequence[Epoch]) -> str:
    columns = [TableColumn(name) for name in names_of(Epoch)]
    return Table(columns, [astuple(epoch) for epoch in history]).csv()


def read_history(path: Path) -> list[Epoch]:
    """Read a history.csv; raises UserError if it is not one."""
    epochs: list[Epoch] = []
    what, remedy = "the history of a run", "remove the file to continue without it"
    for line, cells in read_table(path, names_of(Epoch), what, remedy):
        with explained(f"{path}: line {line}", "", remedy):
            optional = {name: None for name in cells if name.startswith("val_") and not cells[name]}
            numbers: dict[str, Any] = {
                name: float(cells[name]) for name in cells if name not in (*optional, "epoch")
            }
            epochs.append(Epoch(**numbers | optional, epoch=whole_number("epoch", cells["epoch"])))
    return epochs


@dataclass(frozen=True)
class TrainingState:
    """The complete epochs of a training, and the progress of the current one; only the loop
    replaces it.

    step: steps taken in all; samples: number used in this epoch; elapsed: seconds since the
    training began, with validation and writing; compiling: how many of them the first call of the
    step took, and that after each resume; seconds: spent on this epoch's training; waited: how many
    of them were spent waiting for data.
    """

    history: tuple[Epoch, ...] = ()
    step: int = 0
    samples: int = 0
    elapsed: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    compiling: float = 0.0

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def best(self) -> Epoch:
        return best_epoch(self.history)

    def kept(self, keep: str) -> Epoch:
        return self.best if keep == "best" else self.history[-1]

    def after_epoch(self, figures: Epoch) -> "TrainingState":
        """Return the state at the beginning of the next epoch. figures: of the complete one."""
        return replace(self, history=(*self.history, figures), samples=0, seconds=0.0, waited=0.0)


def epoch_summary(state: TrainingState) -> str:
    last = state.history[-1]
    validation = (
        ""
        if last.val_loss is None
        else f", val_loss {last.val_loss:.4f}, val_mae {last.val_mae:.4f}"
    )
    best = " (best)" if state.best.epoch == last.epoch else ""
    return (
        f"epoch {last.epoch}: loss {last.loss:.4f}{validation}{best}, {last.samples_per_second:.0f} samples/s, "
        f"{last.data_wait_share:.1%} waiting for data"
    )


@dataclass(frozen=True)
class TrainingSchedule:
    """The learning rate and the limits of a training; each method answers for the state that it is
    given.

    samples: number of training samples in an epoch; validation_samples: number evaluated after each
    epoch.
    """

    settings: TrainSettings
    samples: int
    validation_samples: int

    def fraction_done(self, state: TrainingState) -> float:
        """Return the fraction of the training that is complete, by steps or by seconds, whichever
        is larger.

        Of the seconds, those of compiling do not count.
        """
        epochs, seconds = self.settings.epochs, self.settings.time - state.compiling
        steps_per_epoch = -(-self.samples // self.settings.batch_size)
        by_steps = state.step / (epochs * steps_per_epoch) if epochs else 0.0
        by_time = (
            (state.elapsed - state.compiling) / max(seconds, 1e-9) if self.settings.time else 0.0
        )
        return min(max(by_steps, by_time), 1.0)

    def is_time_up(
        self, state: TrainingState, seconds_of_ending: float, first: TrainingState | None = None
    ) -> bool:
        """Return whether --time leaves no more than the end of an epoch needs.

        seconds_of_ending: duration of the end of the last epoch, with its validation; 0 before the
        first, where it is estimated by the pace since `first`, the state after the call that
        compiled the step.
        """
        limit, ending = self.settings.time, seconds_of_ending
        if not limit:
            return False
        if not ending and first and state.step >= first.step + _STEPS_OF_ESTIMATE:
            # validation takes less than half as long as training
            pace = (state.elapsed - first.elapsed) / max(state.samples - first.samples, 1)
            ending = self.validation_samples * pace / 2
        return state.elapsed + ending >= limit

    def reached_limit(self, state: TrainingState, is_time_up: bool) -> str:
        """Return the option whose limit the training has reached, such as "--epochs 5"; "" before
        that.
        """
        settings = self.settings
        if settings.epochs and state.epoch >= settings.epochs:
            return f"--epochs {settings.epochs}"
        if (
            settings.patience
            and state.epoch
            and state.epoch - state.best.epoch >= settings.patience
        ):
            return f"--patience {settings.patience}"
        return f"--time {settings.time:g}s" if state.epoch and is_time_up else ""


def learning_rate(settings: TrainSettings, fraction: float) -> float:
    """Return the learning rate of the next step. fraction: how much of the training is complete, 0
    to 1.

    The rate rises linearly during the warm-up and then falls by the schedule to a hundredth of its
    highest value. "cosine" follows I. Loshchilov and F. Hutter, https://arxiv.org/abs/1608.03983,
    without restarts.
    """
    rise = min((fraction + 1e-3) / settings.warmup, 1.0) if settings.warmup else 1.0
    fallen = max(fraction - settings.warmup, 0.0) / (1.0 - settings.warmup)
    left = {
        "constant": 1.0,
        "linear": 1.0 - fallen,
        "cosine": (1.0 + math.cos(math.pi * fallen)) / 2,
    }
    falling = _FINAL_FRACTION + (1.0 - _FINAL_FRACTION) * left[settings.schedule]
    return settings.learning_rate * rise * (1.0 if settings.schedule == "constant" else falling)


@dataclass(frozen=True)
class SampleCounts:
    """The number of training samples in an epoch, and of validation and of test samples."""

    train: int
    validation: int
    test: int = 0


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    model: the model file; epochs: number of complete epochs; epoch: the epoch of the model's
    weights, 0 for those of the start model, with its loss (None unless TRAINED is handed over),
    val_loss and val_mae (None without validation samples); test_loss, test_mae: of the same model
    on the test samples, None without them; best_epoch: the epoch with the lowest validation loss;
    samples_per_second and data_wait_share (the fraction of the time spent waiting for data): of all
    epochs; seconds: of the whole training, before and after a resume; ended: the limit that ended
    it; onednn: "on" or "off"; drivers: scores of MEAN (always the mean steering of the training
    samples), with --from of START and HALFWAY (the mean of the start's weights and the trained
    ones), and of TRAINED; empty without validation samples; handed_over: which of them the model
    file is; note: what is wrong with the trained model, if anything. Not stored: run, the run
    folder; was_complete: a resume found the run complete and trained nothing.
    """

    model: str
    epochs: int
    epoch: int
    best_epoch: int
    loss: float | None
    val_loss: float | None
    val_mae: float | None
    samples_per_second: float
    data_wait_share: float
    seconds: float
    samples: SampleCounts
    feed: str
    ended: str = ""
    test_loss: float | None = None
    test_mae: float | None = None
    onednn: str = ""
    drivers: Mapping[str, ValidationScore] = field(default_factory=dict)
    handed_over: str = TRAINED
    note: str | None = None
    run: Path = Path()
    was_complete: bool = False

    @classmethod
    def of(
        cls,
        state: TrainingState,
        settings: TrainSettings,
        samples: SampleCounts,
        run: Path,
        others: Mapping[str, ValidationScore],
    ) -> Self:
        """Return the result of a complete training. others: the scores of the drivers but TRAINED."""
        kept = state.kept(settings.keep)
        trained = sum(figures.seconds for figures in state.history)
        taken = sum(figures.samples_per_second * figures.seconds for figures in state.history)
        waited = sum(figures.data_wait_share * figures.seconds for figures in state.history)
        drivers, best, note = (
            {**others, TRAINED: kept.validation} if kept.validation else {},
            TRAINED,
            None,
        )
        for name in (HALFWAY, START):
            if name in drivers and drivers[name].is_better_than(drivers[best]):
                best = name
        if best != TRAINED:
            note = (
                f"on the validation samples {_MODELS[best]} is better than the trained model, so {settings.output} is "
                f"that, and the trained model is {run / TRAINED_NAME}"
            )
        elif drivers and (
            drivers[MEAN].loss < drivers[TRAINED].loss
            or drivers[MEAN].is_better_than(drivers[TRAINED])
        ):
            note = (
                f"on the validation samples {settings.output} is worse than always steering the mean; record more "
                "driving, with more bends, or train longer"
            )
        score = drivers.get(best)
        return cls(
            epochs=state.epoch,
            epoch=0 if best == START else kept.epoch,
            best_epoch=state.best.epoch,
            loss=kept.loss if best == TRAINED else None,
            val_loss=score.loss if score else None,
            val_mae=score.mae if score else None,
            samples_per_second=round(taken / trained, 1),
            data_wait_share=round(waited / trained, 5),
            seconds=round(state.elapsed, 3),
            model=str(settings.output),
            samples=samples,
            feed=settings.feed,
            onednn=settings.onednn,
            drivers=drivers,
            handed_over=best,
            note=note,
            run=run,
        )

    @property
    def origin(self) -> str:
        """Return in words which model was handed over."""
        return _MODELS.get(self.handed_over, f"epoch {self.epoch} of {self.epochs}")

    @property
    def table(self) -> Table:
        """Return the scores of the drivers on the validation samples, a row each."""
        return Table(
            _SCORE_COLUMNS,
            [(name.replace("_", " "), *astuple(each)) for name, each in self.drivers.items()],
        )

    def as_text(self) -> str:
        """Return the result in words, and the command that drives with the model."""
        val_loss = "none" if self.val_loss is None else f"{self.val_loss:.4f}"
        test = (
            ""
            if self.test_loss is None
            else f", test_loss {self.test_loss:.4f} on {self.samples.test} samples"
        )
        table = f"{self.table}\n" if self.drivers else ""
        note = f"note: {self.note}\n" if self.note else ""
        return (
            f"{self.model}: {self.origin}, val_loss {val_loss}{test}, {self.samples.train} "
            f"training and {self.samples.validation} validation samples, {self.seconds:.1f} s, "
            f"{self.samples_per_second:.0f} samples/s; the run is in {self.run}\n{table}{note}"
            f"next: {shown_command('drive', self.model, 'run1')}; of a real car: "
            f"{shown_command('replay', self.model, 'RECORDING')}"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in to_json(self).items()
            if name not in ("run", "was_complete")
        }
