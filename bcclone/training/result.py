"""The result of a training: which model the user gets, and how good it is.

A driver is anything that answers with a steering. Several are compared on the validation samples:
the trained model, and one that always steers the mean of the training samples; in a fine-tuning
also the model that it began with, and the mean of that model's weights and the trained weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Self

from bcclone.dataset.answer import LEAST_CORRELATION
from bcclone.dataset.store import RecordingInfo
from bcclone.system.errors import number_of, shown_command
from bcclone.system.table import Table, TableColumn
from bcclone.system.values import to_json
from bcclone.training.held_out import LEARNED, NOT_LEARNED, UNKNOWN, HeldOut
from bcclone.training.score import ValidationScore
from bcclone.training.train_settings import TRAINED, TrainSettings
from bcclone.training.training_state import TrainingState

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
