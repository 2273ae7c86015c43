"""Turn recordings of the simulator into one HDF5 store.

RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as 'recordings/*/'.
Without one, it takes driving_log.csv of the current folder, or else the recordings in ./recordings/ or ./data/.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.options import (
    PRESET_NAMES,
    add_output_options,
    as_before,
    build,
    differences,
    given_for,
    number_of,
    print_json,
    say,
)
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.preprocess import Conversion


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those that shape samples default to None, so that --add can take the store's."""
    parser.add_argument(
        "recordings",
        nargs="*",
        metavar="RECORDING",
        help="folder with a driving_log.csv or other CSV logs, CSV file, or pattern "
        "(driving_log.csv, or else the recordings in ./recordings/ or ./data/)",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("data.h5"), help="the store to write (data.h5)")
    _add_samples(parser)
    _add_split(parser)
    parser.add_argument("--allow-skips", action="store_true", help="go on when more than 5 %% cannot be used")
    parser.add_argument("--force", action="store_true", help="write over an existing store")
    parser.add_argument("--add", action="store_true", help="keep what the store holds and add to it")
    parser.add_argument("--check", action="store_true", help="only inspect the recordings and report; write nothing")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert or check; return the exit code."""
    inputs = tuple(arguments.recordings) or _found_here()
    return _check(arguments, inputs) if arguments.check else _convert(arguments, inputs)


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "nothing is written by --check" if arguments.check else as_before(arguments.output)


def _add_samples(parser: argparse.ArgumentParser) -> None:
    shape = parser.add_argument_group("samples")
    shape.add_argument("--cameras", type=_cameras, help="which cameras to use (center,left,right)")
    _add_labels(shape)
    shape.add_argument(
        "--frame-offsets",
        type=int,
        metavar="N",
        help="earlier frames of the same camera, paired with the current steering (0)",
    )
    shape.add_argument(
        "--seq-length",
        type=int,
        metavar="N",
        help="how many consecutive frames model.py shows its network at a time, where it is not told otherwise (1)",
    )
    shape.add_argument("--no-flip", dest="flip", action="store_false", default=None, help="leave out the mirror images")
    shape.add_argument("--size", type=_size, help="size of the stored images, N or WIDTHxHEIGHT (128)")
    shape.add_argument(
        "--preprocess",
        metavar="NAME",
        choices=PRESET_NAMES,
        help="how the images are prepared, for training on from an older model, or in grey: " + ", ".join(PRESET_NAMES),
    )


def _add_labels(shape: argparse._ArgumentGroup) -> None:
    """Add what steering a frame calls for, made of that which was recorded."""
    shape.add_argument(
        "--correction",
        type=_correction,
        metavar="X",
        help="steering added for the left camera, subtracted for the right; auto: what brings the car back "
        "to its line, from the cameras' places and the speed (auto)",
    )
    shape.add_argument(
        "--lookahead-seconds",
        type=float,
        metavar="S",
        help="how far ahead on its line a car that is aside aims, at its speed: shorter is a stronger "
        "correction (0.85)",
    )
    shape.add_argument(
        "--smooth-seconds",
        type=float,
        metavar="S",
        help="what the recorded steering is smoothed by, standard deviation: a keyboard's jumps become the bend (0.2)",
    )
    shape.add_argument(
        "--lead-seconds",
        type=float,
        metavar="S",
        help="how much later the steering is that a frame calls for, to make up for a delay (0)",
    )


def _add_split(parser: argparse.ArgumentParser) -> None:
    split = parser.add_argument_group("split into training and validation")
    split.add_argument("--validation", type=float, help="share of the samples that training never sees (0.2)")
    split.add_argument("--block-seconds", type=float, help="length of the blocks of time that are kept together (10)")
    split.add_argument(
        "--split",
        choices=("blocks", "random"),
        help="blocks of time, or random: single rows, which leaks, for neighbours are near-duplicates (blocks)",
    )
    split.add_argument("--seed", type=int, help="seed of the split (0)")


def _found_here() -> tuple[str, ...]:
    """Return the recordings that are here, and say which; raises UserError without any."""
    from bcclone.recording import default_inputs

    found = default_inputs()
    say(f"no RECORDING named; taking {', '.join(found)}")
    return tuple(found)


def _convert(arguments: argparse.Namespace, inputs: tuple[str, ...]) -> int:
    from bcclone.preprocess import PreprocessSettings, convert

    preprocessing, samples = _shape(arguments)
    settings = PreprocessSettings(
        inputs,
        arguments.output,
        preprocessing,
        samples,
        force=arguments.force,
        add=arguments.add,
        allow_skips=arguments.allow_skips,
    )
    _tell(convert(settings, lambda log: say(f"read {log}")), arguments.json)
    return 0


def _tell(made: "Conversion", as_json: bool) -> None:
    for notice in made.notices:
        say(f"note: {notice}")
    for skip in made.skips:
        say(f"skipped: {skip.file}, row {skip.row}: {skip.reason}")
    if as_json:
        print_json({
            "recordings": made.recordings, "rows": made.rows, "episodes": made.episodes, "frames": made.frames,
            "logs": [asdict(log) for log in made.logs],
            "samples": {"train": made.train, "validation": made.validation}, "torn": made.torn,
            "skipped": len(made.skips),
            "seconds": round(made.seconds, 3), "output": str(made.output),
        })  # fmt: skip
    else:
        print(
            f"{made.output}: {number_of(made.recordings, 'recording')}, {made.rows} rows in "
            f"{number_of(made.episodes, 'episode')}, "
            f"{made.frames} frames, {made.train} training and {made.validation} validation samples, "
            f"{len(made.skips)} skipped, {made.seconds:.1f} s\n"
            f"next: python model.py {made.output}"
        )


def _check(arguments: argparse.Namespace, inputs: tuple[str, ...]) -> int:
    from bcclone.check import check

    reports = check(inputs)
    if arguments.json:
        print_json([report.as_json() for report in reports])
    else:
        print("\n\n".join(report.as_text() for report in reports))
    return 2 if any(report.log is None for report in reports) else 0


def _shape(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Return the preprocessing and the sample settings: the defaults, or the store's when adding to one."""
    from bcclone.images import PRESETS, Preprocessing
    from bcclone.preprocess import stored_settings
    from bcclone.sample_settings import SampleSettings

    adding = arguments.add and arguments.output.exists()
    base = stored_settings(arguments.output) if adding else (Preprocessing(), SampleSettings())
    if arguments.size and arguments.preprocess:
        raise UserError(f"--preprocess {arguments.preprocess} says the size, too; leave out --size")
    size = {"width": arguments.size[0], "height": arguments.size[1]} if arguments.size else {}
    preprocessing = build(replace, PRESETS.get(arguments.preprocess, base[0]), **size)
    samples = build(replace, base[1], **given_for(SampleSettings, arguments))
    if adding and (preprocessing, samples) != base:
        raise UserError(
            f"{arguments.output} was made with other options; leave them out to add to it alike, or make a new store:"
            f"{differences(base[0], preprocessing)}{differences(base[1], samples)}"
        )
    return preprocessing, samples


def _cameras(text: str) -> tuple[str, ...]:
    return tuple(camera.strip() for camera in text.split(","))


def _correction(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number or auto") from None


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None
