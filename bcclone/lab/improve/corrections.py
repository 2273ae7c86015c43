"""Learn from a person's take-overs, mixed with earlier recordings and with what the model does well."""

from dataclasses import dataclass, replace

from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.dataset.sample_settings import GOOD_ROWS, MAX_CORRECTION_WEIGHT
from bcclone.dataset.take_overs import choose_rows
from bcclone.lab.improve.rounds import Round
from bcclone.lab.improve.training_rounds import Rounds, TrainingRounds
from bcclone.recording.files import find_logs
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from bcclone.train.train_settings import FINE_TUNING_LEARNING_RATE

_EPOCHS = 4


@dataclass(frozen=True)
class RecordedImages:
    """How many images of the chosen cameras recordings have: of take-overs, and of the other rows that are used."""

    corrections: int
    others: int

    @property
    def balance(self) -> int:
        """Return how often to repeat a correction so that corrections are about half of what is seen."""
        return min(max(round(self.others / self.corrections), 1), MAX_CORRECTION_WEIGHT)


def count_images(recordings: tuple[str, ...], cameras: tuple[str, ...]) -> RecordedImages:
    """Count the images of recordings; raises UserError if nobody has taken over in any of them."""
    corrections = others = 0
    for path in find_logs(recordings):
        rows = choose_rows(read_log(path), GOOD_ROWS).rows
        has_image, is_correction = rows[list(cameras)].to_numpy() != "", rows["take_over"].to_numpy()
        corrections += int(has_image[is_correction].sum())
        others += int(has_image[~is_correction].sum())
    if not corrections:
        raise UserError(
            f"{', '.join(recordings)}: no row in which a person has taken over from a model, so there is nothing to "
            "learn from; name a recording whose drivers.csv has take-overs, or learn from the built-in expert: --expert"
        )
    return RecordedImages(corrections, others)


def learn_from_corrections(improvement: TrainingRounds) -> Rounds:
    """Train on from the model, once; a round that is complete already is kept."""
    rounds = improvement.begin()
    return rounds if len(rounds) > 1 else improvement.add(rounds, lambda: _train(improvement))


def _train(improvement: TrainingRounds) -> Round:
    settings, start, folder = improvement.settings, improvement.start, improvement.folder
    images = count_images(settings.recordings, start.samples.cameras)
    weight = settings.correction_weight or images.balance
    improvement.notify(
        f"{images.corrections} images of take-overs, each seen {weight} times an epoch, and {images.others} others"
    )
    converted = convert(
        ShardingSettings(
            settings.recordings,
            folder.store,
            resume=True,
            preprocessing=start.preprocessing,
            samples=replace(start.samples, rows=GOOD_ROWS, correction_weight=weight),
        ),
        improvement.notify,
    )
    epochs = settings.epochs or _EPOCHS
    trained = improvement.train(1, folder.start, epochs, settings.learning_rate or FINE_TUNING_LEARNING_RATE)
    rows, model = converted.rows, improvement.model_name(1)
    return improvement.scored(Round(1, rows, rows, 0, 0.0, epochs, trained.val_loss, 0.0, model, {}))
