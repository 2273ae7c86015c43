"""Draw pictures of a trained model, of the samples it was trained on, and of what it does with them.

Into the folder `plots` of the run that the model came from, where that is found, else into MODEL-plots. Pictures
that this model or these samples do not give are left out, and the reason is said.
"""

import argparse
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.augment.settings import AugmentSettings
from bcclone.commands.options import add_output_options, add_preprocess, make_folder, print_json, say
from bcclone.commands.training_data import opened

if TYPE_CHECKING:
    from bcclone.feed.open import TrainingData
    from bcclone.model_file import ModelFile
    from bcclone.plots.draw_all import Picture

# those of plots.whole.PICTURES, which would load matplotlib; a test compares
NAMES = (
    "history", "crop", "recovery", "recovery-frames", "steering", "samples", "activations", "saliency", "predictions",
    "network",
)  # fmt: skip
_STORE = "data.h5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    parser.add_argument(
        "data", nargs="*", metavar="STORE",
        help="what it was trained on: a store (data.h5, where it is there); or recordings: folders or logs",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="where the pictures go (the run's plots/)")
    parser.add_argument("--only", type=_names, default=(), metavar="NAMES", help=f"some of {','.join(NAMES)} (all)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders lie (runs)")
    parser.add_argument("--seed", type=_seed, default=0, help="seed of which samples balancing leaves out (0)")
    parser.add_argument(
        "--zero-share", type=_share, metavar="SHARE",
        help="balance the histogram so that at most this share goes straight on (what the model was trained with)",
    )  # fmt: skip
    add_preprocess(parser)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw the pictures; return the exit code."""
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.history import read_history
    from bcclone.model_file import load_model_file
    from bcclone.plots.draw_all import draw_pictures
    from bcclone.plots.subject import Subject

    file = load_model_file(arguments.model, arguments.preprocess)
    run_folder = _run_of(arguments.model, arguments.runs)
    folder = arguments.output or (run_folder / "plots" if run_folder else _beside(arguments.model))
    history = read_history(run_folder / "history.csv") if run_folder else []
    with _opened(arguments.data) as data:
        _note_other_samples(file, data)
        make_folder(folder, "another --output")
        share = _zero_share(file) if arguments.zero_share is None else arguments.zero_share
        subject = Subject(file, data, history, arguments.seed, share, _augment(file))
        pictures = draw_pictures(subject, folder, arguments.only)
    _show(pictures, folder, arguments.json)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "the pictures that were finished are kept"


def _run_of(model: Path, runs: Path) -> Path | None:
    """Return the run folder whose model this is, the newest of several; None where there is none."""
    if model.name == "model.h5" and (model.parent / "history.csv").is_file():
        return model.parent
    content = model.read_bytes()
    for kept in sorted(runs.glob("*/model.h5"), key=lambda path: path.stat().st_mtime, reverse=True):
        same_size = kept.stat().st_size == len(content)
        if same_size and (kept.parent / "history.csv").is_file() and kept.read_bytes() == content:
            return kept.parent
    return None


def _beside(model: Path) -> Path:
    return model.with_name(f"{model.stem}-plots")


def _opened(paths: list[str]) -> "AbstractContextManager[TrainingData | None]":
    """Open what is named, or data.h5 where it is there, or nothing."""
    if not paths and not Path(_STORE).is_file():
        return nullcontext()
    return opened(paths or [_STORE])


def _note_other_samples(file: "ModelFile", data: "TrainingData | None") -> None:
    trained = file.training.get("store_content_hash")
    if data is not None and trained is not None and data.content_hash != trained:
        say(f"note: {data.path} is not what the model was trained on, or has changed since")


def _zero_share(file: "ModelFile") -> float:
    """Return which share of the samples could go straight on when the model was trained; 1 where it does not say."""
    settings = file.training.get("settings", {})
    return float(settings.get("zero_share", 1.0))


def _augment(file: "ModelFile") -> AugmentSettings:
    """Return how samples were augmented when the model was trained; not at all where it does not say."""
    settings = file.training.get("settings", {})
    names = [field.name for field in fields(AugmentSettings)]
    return AugmentSettings(**({"augment": False} | {name: settings[name] for name in names if name in settings}))


def _show(pictures: "list[Picture]", folder: Path, as_json: bool) -> None:
    if as_json:
        drawn = {picture.name: str(picture.path) for picture in pictures if picture.path}
        skipped = {picture.name: picture.reason for picture in pictures if not picture.path}
        print_json({"output": str(folder), "drawn": drawn, "skipped": skipped})
        return
    for picture in pictures:
        print(f"{picture.name:<12} {picture.path or f'left out: {picture.reason}'}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{','.join(unknown)}: no such picture; there are {','.join(NAMES)}")
    return names


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}, expected 0 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a share from 0 to 1")
    return share
