"""Draw all pictures of a trained model; loads TensorFlow and matplotlib only when it draws."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.augment.settings import AugmentSettings
from bcclone.errors import UserError
from bcclone.feed.settings import current_names
from bcclone.history import read_history
from bcclone.settings import check_settings, preprocess_setting, setting

if TYPE_CHECKING:
    from bcclone.feed.selection import TrainingData
    from bcclone.model_file import ModelFile
    from bcclone.plots.pictures import Picture

# those of bcclone.plots.pictures, which loads matplotlib; a test compares
PICTURE_NAMES = (
    "history", "crop", "recovery", "recovery-frames", "steering", "samples", "activations", "saliency", "predictions",
    "network",
)  # fmt: skip
_HISTOGRAM = "histogram of the steering"


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a list separated by commas; raises ValueError for one that is no picture's."""
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in PICTURE_NAMES]
    if unknown:
        raise ValueError(f"{','.join(unknown)}: no such picture, expected some of {','.join(PICTURE_NAMES)}")
    return names


@dataclass(frozen=True)
class PlotSettings:
    """Which pictures to draw, of which model. preprocess: for a model whose file does not state its preprocessing."""

    model: Path
    output: Path | None = setting(
        None,
        "folder to draw into",
        unit="FOLDER",
        short="-o",
        shown="plots/ in the run folder of the model, or MODEL-plots if it has none",
    )
    only: tuple[str, ...] = setting(
        (),
        f"pictures to draw, separated by commas: {', '.join(PICTURE_NAMES)}",
        unit="NAMES",
        shown="all",
        parse=parse_names,
    )
    runs: Path = setting(Path("runs"), "folder with the run folders, in which to find the history of the model")
    preprocess: str | None = preprocess_setting()
    zero_fraction: float | None = setting(
        None,
        "largest fraction of samples with zero steering in the balanced histogram",
        unit="FRACTION",
        minimum=0,
        maximum=1,
        shown="that of the training",
        group=_HISTOGRAM,
    )
    seed: int = setting(0, "seed of which samples balancing leaves out", minimum=0, group=_HISTOGRAM)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class PlotResult:
    """The pictures in a folder. notes: what a reader of the pictures should know."""

    folder: Path
    pictures: "tuple[Picture, ...]"
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        drawn = {picture.name: str(picture.path) for picture in self.pictures if picture.path}
        skipped = {picture.name: picture.reason for picture in self.pictures if not picture.path}
        return {"output": str(self.folder), "drawn": drawn, "skipped": skipped}


def draw_all(settings: PlotSettings, data: "TrainingData | None" = None) -> PlotResult:
    """Draw the pictures of a model. Those that the model or its samples do not allow are left out, with a reason.

    data: what the model was trained on, a store or samples of recordings; some pictures need it. Raises UserError for
    a file that is no model, or a folder that cannot be made.
    """
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model_file import load_model_file
    from bcclone.plots.pictures import draw_pictures
    from bcclone.plots.subject import Subject

    file = load_model_file(settings.model, settings.preprocess)
    run = _find_run(settings.model, settings.runs)
    folder = settings.output or (run / "plots" if run else settings.model.with_name(f"{settings.model.stem}-plots"))
    history = read_history(run / "history.csv") if run else []
    _make_folder(folder)
    trained = current_names(file.training.settings)
    zero_fraction = (
        float(trained.get("zero_fraction", 1.0)) if settings.zero_fraction is None else settings.zero_fraction
    )
    subject = Subject(file, data, history, settings.seed, zero_fraction, _augmentation(trained))
    return PlotResult(folder, tuple(draw_pictures(subject, folder, settings.only)), _notes(file, data))


def _find_run(model: Path, runs: Path) -> Path | None:
    """Return the newest run folder that holds this model and a history, None if there is none."""
    if model.name == "model.h5" and (model.parent / "history.csv").is_file():
        return model.parent
    content = model.read_bytes()
    for saved in sorted(runs.glob("*/model.h5"), key=lambda path: path.stat().st_mtime, reverse=True):
        same_size = saved.stat().st_size == len(content)
        if same_size and (saved.parent / "history.csv").is_file() and saved.read_bytes() == content:
            return saved.parent
    return None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot make that folder: {error.strerror}; choose another --output") from None


def _augmentation(trained: dict[str, Any]) -> AugmentSettings:
    """Return how samples were augmented when the model was trained; off if its file does not state it."""
    names = [field.name for field in fields(AugmentSettings)]
    return AugmentSettings(**({"augment": False} | {name: trained[name] for name in names if name in trained}))


def _notes(file: "ModelFile", data: "TrainingData | None") -> tuple[str, ...]:
    trained_on = file.training.store_content_hash
    if data is None or trained_on is None or data.content_hash == trained_on:
        return ()
    return (f"{data.path} is not what the model was trained on, or has changed since",)
