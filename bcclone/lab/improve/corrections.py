"""Learn from a person's take-overs, mixed with earlier recordings and with what the model does well."""

from dataclasses import dataclass, replace

from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.dataset.sample_settings import GOOD_ROWS, MAX_CORRECTION_WEIGHT
from bcclone.dataset.take_overs import choose_rows
from bcclone.lab.improve.course import Course
from bcclone.lab.improve.rounds import Round, RoundsSoFar
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


def learn_from_corrections(course: Course) -> RoundsSoFar:
    """Train on from the model, once; a round that is complete already is kept."""
    so_far = course.begin()
    return so_far if len(so_far.rounds) > 1 else course.add(so_far, lambda: _train(course))


def _train(course: Course) -> Round:
    settings, start = course.settings, course.start
    images = count_images(settings.recordings, start.samples.cameras)
    weight = settings.correction_weight or images.balance
    course.notify(
        f"{images.corrections} images of take-overs, each seen {weight} times an epoch, and {images.others} others"
    )
    made = convert(
        ShardingSettings(
            settings.recordings,
            course.folder.store,
            resume=True,
            preprocessing=start.preprocessing,
            samples=replace(start.samples, rows=GOOD_ROWS, correction_weight=weight),
        ),
        course.notify,
    )
    epochs = settings.epochs or _EPOCHS
    trained = course.train(1, course.folder.start, epochs, settings.learning_rate or FINE_TUNING_LEARNING_RATE)
    return course.scored(
        Round(1, made.rows, made.rows, 0, 0.0, epochs, trained.val_loss, 0.0, course.model_name(1), ())
    )
