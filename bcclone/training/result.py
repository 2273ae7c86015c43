"""The result of a training: which model the user gets, and how good it is.

A driver is anything that answers with a steering. Several are compared on the validation samples:
the trained model, and one that always steers the mean of the training samples; in a fine-tuning
also the model that it began with, and the mean of that model's weights and the trained weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from bcclone.dataset.answer import LEAST_CORRELATION
from bcclone.dataset.store import RecordingInfo
from bcclone.feed.selection import Selection
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.errors import number_of, shown_command
from bcclone.system.statistics import block_jackknife, correlation, mean_around
from bcclone.system.table import Table, TableColumn
from bcclone.system.values import to_json
from bcclone.training.train_settings import TRAINED, TrainSettings
from bcclone.training.training_state import Epoch, TrainingState

# ---- how good a driver is


def right_side(steering: FloatArray, labels: FloatArray, beyond: float) -> float | None:
    """Return the share of the turns in which the steering is to the label's side, the correct one.

    Returns None if there are no turns.

    steering, labels: (values,) each
    beyond: a row is a turn if the absolute value of its label is larger than this
    """
    turns = np.abs(labels) > beyond
    if not turns.any():
        return None
    return float((steering[turns] * labels[turns] > 0).mean())


@dataclass(frozen=True)
class ValidationScore:
    """How well a driver agrees with the validation samples."""

    loss: float
    mae: float
    # the next two are computed from one sample of each recorded row, without mirror images
    # Pearson's correlation of steering and label; None if one of them is constant
    correlation: float | None
    # among the frames whose label is clearly left or right: fraction steered to the label's side
    right_side: float | None

    @classmethod
    def of_epoch(cls, epoch: Epoch) -> "ValidationScore | None":
        """Return the score of the model after an epoch; None without validation samples."""
        if epoch.val_loss is None or epoch.val_mae is None:
            return None
        return cls(epoch.val_loss, epoch.val_mae, epoch.val_correlation, epoch.val_right_side)

    @classmethod
    def of(
        cls, validation: Selection, loss: float, mae: float, steering: FloatArray
    ) -> "ValidationScore":
        """Return the score of a driver, by its steering for all validation samples.

        loss, mae: mean loss and mean absolute error of that steering
        steering: (samples,)
        """
        if not math.isfinite(loss):
            return cls(loss, mae, None, None)
        # one sample of each row: what the driver steers, and its label
        driven = steering[validation.first_of_row]
        labels = validation.labels[validation.first_of_row, 0]
        # if a label is about straight ahead, neither side is the correct one; so small labels do
        # not count: those up to 0.05, or on straighter roads the smaller half
        small = min(0.05, float(np.median(np.abs(labels))))
        return cls(loss, mae, correlation(driven, labels), right_side(driven, labels, small))

    def is_better_than(self, other: "ValidationScore") -> bool:
        """Return whether this driver is clearly better: by the correlation, else by the loss.

        The loss alone can mislead: on a nearly straight road, a network that stops reacting to
        bends has a lower loss. So the loss decides only when the correlations are about equal.
        """
        mine = self.correlation or 0.0
        others = other.correlation or 0.0
        if abs(mine - others) > 0.05:  # less is noise
            return mine > others
        equal_loss = 0.01  # as a fraction of the other loss; a smaller gain is noise
        return self.loss < (1 - equal_loss) * other.loss


# ---- whether the held-out driving tells that a network has learned to steer

LEARNED = "learned"
NOT_LEARNED = "not learned"
UNKNOWN = "unknown"

# Chosen on half of the networks of the lab log, 2026-12-01, and judged on the other half.
_FOLLOWS = 0.2  # of a network that has learned, the agreement is surely above this
_HARDLY_FOLLOWS = 0.35  # of one that has not, it is surely below this
_FEWEST_PARTS = 6
_LEAST_SPREAD = 0.01  # a quarter of a degree of the front wheels: a bend of 600 m radius
_CLEAR_HARM = 0.04  # one degree of the front wheels
_SMOOTHED_SECONDS = 1.0  # faster changes of the steering are the driver's hand, not the road
_GAP_SECONDS = 1.0  # rows farther apart are of two stretches
_STANDARD_ERRORS = 2.0
_FEWEST_ROWS = 12
_MOST_TIMES = 10  # of more driving than this, the estimate is too rough to be named


@dataclass(frozen=True)
class HeldOut:
    """What the held-out driving tells of a network.

    A mean error does not tell it. On a nearly straight road, always steering the same is hardly
    farther off than a network that drives whole laps; and a network that steers a tenth of each
    bend is nearer to the driver than that, and drives nowhere. So the question is whether the
    network's steering rises and falls with the driver's, and as much.
    """

    # How often the driver has begun to steer to another side of the recording's mean. Neighbouring
    # rows are nearly the same, so that this tells more than their number.
    parts: int
    spread: float  # mean distance of the driver's steering from that mean: what there is to learn
    # mean distance of the recordings' means from one another: in a recording of a single bend, its
    # mean tells more than what changes within it
    between: float
    # Of the network's steering with the driver's, see agreement_of(): 1 if it is the same, 0 if it
    # has nothing to do with it, and of always steering the same
    agreement: float
    agreement_error: float  # its standard error
    # by how much the network's mean error is larger than that of always steering the mean and than
    # that of never steering
    harm: float
    harm_error: float  # its standard error

    @property
    def least(self) -> float:
        """Return the lower end of the interval in which the agreement is."""
        return self.agreement - _STANDARD_ERRORS * self.agreement_error

    @property
    def greatest(self) -> float:
        return self.agreement + _STANDARD_ERRORS * self.agreement_error

    @property
    def is_far_off(self) -> bool:
        """Return whether the network surely steers so wrongly that no road makes it right."""
        return self.harm - _STANDARD_ERRORS * self.harm_error > _CLEAR_HARM

    @property
    def hardly_changes(self) -> bool:
        """Return whether the driver's steering hardly changes within each recording."""
        return self.spread < max(_LEAST_SPREAD, self.between / 2)

    @property
    def verdict(self) -> str:
        """Return LEARNED or NOT_LEARNED if that is shown, else UNKNOWN."""
        if self.is_far_off:
            return NOT_LEARNED
        if self.parts < _FEWEST_PARTS or self.hardly_changes:
            return UNKNOWN
        if self.greatest < _HARDLY_FOLLOWS:
            return NOT_LEARNED
        return LEARNED if self.least > _FOLLOWS else UNKNOWN

    @property
    def needed(self) -> float:
        """Return how many times as much of such driving it takes to tell, about."""
        if self.parts < _FEWEST_PARTS:
            return _FEWEST_PARTS / max(self.parts, 1)
        # the error falls with the square root of the driving
        margin = _STANDARD_ERRORS * self.agreement_error
        away = max(self.agreement - _FOLLOWS, _HARDLY_FOLLOWS - self.agreement)
        return float((margin / away) ** 2)

    def reason(self) -> str:
        """Return in words what the verdict follows from."""
        if self.is_far_off:
            return (
                f"its mean error is {self.harm:.2f} larger than that of always steering the mean, "
                "or straight on"
            )
        if self.hardly_changes:
            return "in each recording, the steering that was held back hardly changes"
        if self.parts < _FEWEST_PARTS:
            turns = number_of(self.parts, "time")
            return (
                f"in the driving that was held back, the driver turns {turns} to a side of the "
                f"mean steering, expected {_FEWEST_PARTS} or more"
            )
        return (
            "in the driving that was held back, its steering agrees with the driver's by "
            f"{self.agreement:.2f} ({self.least:.2f} to {self.greatest:.2f}), where 1 is the same, "
            "and always steering the same is 0"
        )

    def remedy(self) -> str:
        """Return in words what makes an UNKNOWN network one that can be judged."""
        if self.hardly_changes:
            return "record longer drives on a road with bends to both sides"
        times = math.ceil(self.needed)
        much = f"{times} times as much" if 2 <= times <= _MOST_TIMES else "more"
        words = f"record {much} of such driving, or a road with more bends"
        return words if self.parts < _FEWEST_PARTS else f"{words}, or train longer"


def agreement_of(steering: FloatArray, driven: FloatArray, recording: IndexArray) -> float:
    """Return how well a steering agrees with the driver's within each recording.

    This is the concordance correlation of L. I. Lin, "A concordance correlation coefficient to
    evaluate reproducibility", Biometrics 45, 1989, around the means of each recording: a network
    that only knows that one drive turns to the left, and another to the right, does not follow the
    road. A steering that is always the same gives 0.

    steering, driven, recording: (rows,) each; the last is the number of each row's recording
    """
    both = square = 0.0
    for number in np.unique(recording):
        rows = recording == number
        mine, its = steering[rows], driven[rows]
        both += 2 * float(((mine - mine.mean()) * (its - its.mean())).sum())
        spreads = len(mine) * (mine.var() + its.var() + (mine.mean() - its.mean()) ** 2)
        square += float(spreads)
    return both / square if square else 0.0


def judge_held_out(
    validation: Selection, mean_steering: float, steering: FloatArray
) -> HeldOut | None:
    """Return what the held-out driving tells of a network; None if it is next to nothing.

    mean_steering: of the training samples
    steering: the network's, for all validation samples, (samples,)
    """
    first = validation.first_of_row
    if len(first) < _FEWEST_ROWS:
        return None
    labels = validation.labels[first, 0].astype(np.float64)
    steered = steering[first].astype(np.float64)
    rows = validation.data.rows[validation.row[first]]
    recording = rows["recording"].astype(np.int64)
    seconds = rows["time_ms"].astype(np.float64) / 1000
    begins = (np.diff(rows["episode"]) != 0) | (np.abs(np.diff(seconds)) > _GAP_SECONDS)
    stretch = np.append(0, np.cumsum(begins | (np.diff(recording) != 0)))
    # each stretch has times of its own, so that they rise over all of them
    times = seconds - seconds.min() + stretch * (np.ptp(seconds) + 2 * _GAP_SECONDS)
    driven, smooth = (
        mean_around(times, values, _SMOOTHED_SECONDS, np.ones(len(values)), stretch)
        for values in (labels, steered)
    )
    _, place, counts = np.unique(recording, return_inverse=True, return_counts=True)
    means = (np.bincount(place, driven) / counts)[place]
    away = driven - means
    spread = float(np.abs(away).mean())
    between = float(np.abs(means - driven.mean()).mean())
    # near the mean, neither side counts
    sides = np.where(np.abs(away) > spread / 4, np.sign(away), 0.0)
    counted = sides != 0
    side = sides[counted]
    stretch_of_side = stretch[counted]
    changes = (np.diff(side) != 0) | (np.diff(stretch_of_side) != 0)
    parts = int(changes.sum()) + bool(side.size)

    def agreement(kept: IndexArray) -> float:
        return agreement_of(smooth[kept], driven[kept], recording[kept])

    of_network = np.abs(steered - labels)
    of_constants = np.abs(labels - mean_steering), np.abs(labels)

    def harm(kept: IndexArray) -> float:
        farther = max(of_constant[kept].mean() for of_constant in of_constants)
        return float(of_network[kept].mean() - farther)

    every = np.arange(len(first))
    return HeldOut(
        parts=parts,
        spread=round(spread, 5),
        between=round(between, 5),
        agreement=round(agreement(every), 5),
        agreement_error=round(block_jackknife(len(first), agreement), 5),
        harm=round(harm(every), 5),
        harm_error=round(block_jackknife(len(first), harm), 5),
    )


# ---- the result

# names of the drivers in result.json, beside TRAINED
MEAN_STEERING = "mean_steering"
START = "start"
HALFWAY = "halfway"
_MOST_NAMED = 6  # more recordings are too many for a line
FIRST_CHECK = "first see whether the steering belongs to the pictures"
_MODELS = {
    START: "the start model, unchanged",
    HALFWAY: "halfway, the mean of start and trained weights",
}

# file in a run folder that keeps the trained model if START or HALFWAY is handed over instead
TRAINED_NAME = "trained.h5"


@dataclass(frozen=True)
class SampleCounts:
    """How many samples a training had."""

    train: int  # number of training samples in an epoch
    validation: int
    test: int = 0


@dataclass(frozen=True)
class TrainResult:
    """The result of a training."""

    model: str  # path of the model file that was written
    epochs: int  # number of complete epochs
    # the epoch of the model's weights, from 1; 0 for the start model
    epoch: int
    best_epoch: int  # the epoch with the lowest validation loss, or else the lowest training loss
    loss: float | None  # training loss of the model; None unless TRAINED is handed over
    val_loss: float | None  # validation loss of the model; None without validation samples
    val_mae: float | None  # mean absolute error of its steering on the validation samples
    samples_per_second: float  # mean speed of training over all epochs, without validation
    data_wait_share: float  # fraction of the training time that was spent waiting for data
    seconds: float  # duration of the whole training, before and after a resume
    samples: SampleCounts
    feed: str  # name of the feed that loaded the samples
    ended: str = ""  # the limit that ended the training, such as "--epochs 5"
    test_loss: float | None = None  # loss of the model on the test samples; None without them
    test_mae: float | None = None
    onednn: str = ""  # "on" or "off"
    batch_size: int | None = None  # samples of a step; None in a result that does not state it
    # driver -> its scores on the validation samples, empty without them; START and HALFWAY are
    # there only in a fine-tuning
    drivers: Mapping[str, ValidationScore] = field(default_factory=dict)
    handed_over: str = TRAINED  # which of the drivers the model file is
    note: str | None = None  # why it is not TRAINED, and what is wrong with the start model
    held_out: HeldOut | None = None  # what the validation samples tell of it; None for nothing
    verdict: str = UNKNOWN  # whether it has learned to steer: LEARNED, NOT_LEARNED or UNKNOWN
    # the next three are not stored
    recordings: Sequence[RecordingInfo] = ()  # of the store that it was trained on
    run: Path = Path()  # the run folder
    was_complete: bool = False  # a resume found the run complete and trained nothing

    @classmethod
    def of(
        cls,
        state: TrainingState,
        settings: TrainSettings,
        samples: SampleCounts,
        run: Path,
        ended: str,
        drivers: Mapping[str, ValidationScore],
        handed_over: str,
        start_correlation: float | None = None,
        recordings: Sequence[RecordingInfo] = (),
        held_out: HeldOut | None = None,
    ) -> Self:
        """Return the result of a complete training, before its model is scored on test samples.

        start_correlation: of the start model's steering, where the training samples tell it
        """
        kept = state.history[state.model_epoch - 1]
        score = drivers.get(handed_over)
        # speed and waiting of the whole training: sums over the epochs, divided by its seconds
        seconds = sum(epoch.seconds for epoch in state.history)
        trained_samples = sum(epoch.samples_per_second * epoch.seconds for epoch in state.history)
        waited = sum(epoch.data_wait_share * epoch.seconds for epoch in state.history)
        return cls(
            epochs=state.epoch,
            epoch=0 if handed_over == START else kept.epoch,
            best_epoch=state.best.epoch,
            loss=kept.loss if handed_over == TRAINED else None,
            val_loss=score.loss if score else None,
            val_mae=score.mae if score else None,
            samples_per_second=round(trained_samples / seconds, 1),
            data_wait_share=round(waited / seconds, 5),
            seconds=round(state.elapsed, 3),
            model=str(settings.output),
            samples=samples,
            feed=settings.feed,
            ended=ended,
            onednn=settings.onednn,
            batch_size=settings.batch_size,
            drivers=drivers,
            handed_over=handed_over,
            note=_note_of(drivers, handed_over, settings.output, run, start_correlation),
            held_out=held_out,
            verdict=held_out.verdict if held_out else UNKNOWN,
            run=run,
            recordings=recordings,
        )

    @property
    def origin(self) -> str:
        """Return which model was handed over, in words such as "epoch 3 of 5"."""
        return _MODELS.get(self.handed_over, f"epoch {self.epoch} of {self.epochs}")

    @property
    def table(self) -> Table:
        """Return the scores of the drivers on the validation samples, a row each."""
        rows = [(name.replace("_", " "), *astuple(score)) for name, score in self.drivers.items()]
        return Table(_SCORE_COLUMNS, rows)

    @property
    def headline(self) -> str:
        """Return in a sentence whether the model has learned to steer."""
        model = Path(self.model).name
        if self.verdict == LEARNED:
            return f"{model} has learned to steer"
        if self.verdict == NOT_LEARNED:
            return f"{model} has not learned to steer"
        return f"{model} is trained; too little driving was held back to tell whether it steers"

    @property
    def explanation(self) -> list[str]:
        """Return what the headline follows from, and what to do unless it has learned to steer."""
        if self.held_out is None:
            more = "record four minutes or more, on a road with bends to both sides"
            if self.samples.validation:
                samples = number_of(self.samples.validation, "sample")
                return [f"only {samples} held back to validate", more]
            held_back = "leave out --validation 0, so that preprocess holds a part of it back"
            return ["no samples were held back to validate", f"{more}, and {held_back}"]
        reason = self.held_out.reason()
        if self.verdict == LEARNED:
            return [reason]
        remedy = "train longer, or record more driving with bends to both sides"
        if self.verdict == UNKNOWN:
            remedy = self.held_out.remedy()
        return [reason, remedy]

    @property
    def check(self) -> str:
        """Return the command that finds steering that does not belong to its pictures, "" if the
        model has learned to steer.
        """
        if self.verdict == LEARNED:
            return ""
        logs = [str(recording.path) for recording in self.recordings]
        if not 0 < len(logs) <= _MOST_NAMED or not all(Path(log).is_file() for log in logs):
            logs = ["RECORDING"]
        return shown_command("preprocess", *logs, "--check")

    def as_text(self) -> str:
        """Return the result in words."""
        val_loss = "none" if self.val_loss is None else f"{self.val_loss:.4f}"
        test = ""
        if self.test_loss is not None:
            test = f", test_loss {self.test_loss:.4f} on {self.samples.test} samples"
        lines = [
            *([str(self.table)] if self.drivers else []),
            *([f"note: {self.note}"] if self.note else []),
            f"{self.headline}: {'; '.join(self.explanation)}",
            *([f"{FIRST_CHECK}: {self.check}"] if self.check else []),
        ]
        return (
            f"{self.model}: {self.origin}, val_loss {val_loss}{test}, {self.samples.train} "
            f"training and {self.samples.validation} validation samples, {self.seconds:.1f} s, "
            f"{self.samples_per_second:.0f} samples/s; the run is in {self.run}\n"
        ) + "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        values: dict[str, Any] = to_json(self)
        del values["recordings"]
        del values["run"]
        del values["was_complete"]
        return values


_SCORE_COLUMNS = (
    TableColumn("driver", heading="validation"),
    TableColumn("loss", "{:.5f}".format),
    TableColumn("mae", "{:.4f}".format, "mean error"),
    TableColumn("correlation", "{:.3f}".format),
    TableColumn("right_side", "{:.1%}".format, "frames in bends, steered to their side"),
)


def score_mean(training: Selection, validation: Selection) -> ValidationScore:
    """Score the driver that always steers the mean of the training samples.

    For a mirror image it steers the opposite.
    """
    # one sample of each row: the steering as it was recorded, not mirrored
    mean = float(training.labels[training.first_of_row, 0].mean())
    steering = np.where(validation.flipped, -mean, mean)
    errors = steering - validation.labels[:, 0]
    loss = float(np.mean(errors**2))
    return ValidationScore.of(validation, loss, float(np.abs(errors).mean()), steering)


def best_model(
    drivers: Mapping[str, ValidationScore], start_correlation: float | None = None
) -> str:
    """Return the model of a fine-tuning that the user gets: TRAINED, unless another is better.

    start_correlation: of the start model's steering with the training samples; without drivers it
        tells whether that model reads the place
    """
    if not drivers:  # nothing tells what the training has forgotten, and HALFWAY forgets least
        reads = start_correlation is not None and start_correlation >= LEAST_CORRELATION
        return HALFWAY if reads else TRAINED
    best = TRAINED
    for name in (HALFWAY, START):
        if drivers[name].is_better_than(drivers[best]):
            best = name
    return best


def _note_of(
    drivers: Mapping[str, ValidationScore],
    handed_over: str,
    output: Path,
    run: Path,
    start_correlation: float | None,
) -> str | None:
    """Return why another model than TRAINED is handed over, and what is wrong with the start model.

    In words for the user; None if there is nothing to say.
    """
    notes = []
    if handed_over != TRAINED:
        reason = "no validation samples tell what the training has forgotten"
        if drivers:
            reason = "on the validation samples it is clearly better than the trained model"
        notes.append(
            f"the output, {output}, is {_MODELS[handed_over]}: {reason}; "
            f"the trained model is {run / TRAINED_NAME}"
        )
    if START in drivers:
        start_correlation = drivers[START].correlation
    if start_correlation is not None and start_correlation < LEAST_CORRELATION:
        notes.append(
            "the start model does not read this place: its steering correlates with the recorded "
            f"one by {start_correlation:.2f}, expected {LEAST_CORRELATION} or more; whether the "
            "recorded one is right, its pictures tell: "
            f"{shown_command('preprocess', 'RECORDING', '--check')}"
        )
    return "; ".join(notes) or None
