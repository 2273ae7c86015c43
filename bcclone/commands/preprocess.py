"""Turn recordings of the simulator into one HDF5 store for training.

RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as 'recordings/*/'.
Without it, the command reads driving_log.csv of the current folder, or else the recordings in ./recordings/ or ./data/.
"""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from bcclone.commands.options import (
    PRESET_NAMES,
    add_output_options,
    add_settings,
    build,
    describe_unchanged,
    given_for,
    notify,
    number_of,
    print_json,
)
from bcclone.errors import UserError
from bcclone.preprocess import Conversion, PreprocessSettings, SampleSettings

if TYPE_CHECKING:
    from bcclone.images import Preprocessing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "recordings",
        nargs="*",
        metavar="RECORDING",
        help="folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern "
        "(default: driving_log.csv, or else the recordings in ./recordings/ or ./data/)",
    )
    parser.set_defaults(output=PreprocessSettings.output)
    add_settings(parser, PreprocessSettings)
    parser.add_argument(
        "--check", action="store_true", help="only inspect the recordings and report problems; write nothing"
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="SIZE",
        help="size of the stored images in pixels, N or WIDTHxHEIGHT (8 to 1024; default: 128)",
    )
    parser.add_argument(
        "--preprocess",
        metavar="NAME",
        choices=PRESET_NAMES,
        help="preset of crop, size and colours for the stored images, to fine-tune an older model or to train in "
        f"grey, instead of --size: {', '.join(PRESET_NAMES)} (default: carnd-128-rgb)",
    )
    add_settings(parser, SampleSettings)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert or check the recordings; return the exit code."""
    inputs = tuple(arguments.recordings) or _default_inputs()
    return _check(inputs, arguments.json) if arguments.check else _convert(arguments, inputs)


def interrupted(arguments: argparse.Namespace) -> str:
    """Describe what is left after Ctrl-C."""
    if arguments.check:
        return "--check writes nothing"
    return describe_unchanged(arguments.output or PreprocessSettings.output)


def _default_inputs() -> tuple[str, ...]:
    from bcclone.recording import default_inputs

    found = default_inputs()
    notify(f"no RECORDING named; taking {', '.join(found)}")
    return tuple(found)


def _convert(arguments: argparse.Namespace, inputs: tuple[str, ...]) -> int:
    from bcclone.preprocess import convert

    made = convert(_settings(arguments, inputs), notify)
    for notice in made.notices:
        notify(f"note: {notice}")
    for skip in made.skips:
        notify(f"skipped: {skip}")
    if arguments.json:
        print_json(made.as_json())
    else:
        print(_summary(made))
    return 0


def _settings(arguments: argparse.Namespace, inputs: tuple[str, ...]) -> PreprocessSettings:
    """Return the settings: where an option is not given, its default, or the value in the store that is added to."""
    from bcclone.images import Preprocessing
    from bcclone.preprocess import stored_settings

    settings = build(PreprocessSettings, inputs, **given_for(PreprocessSettings, arguments))
    images, samples = stored_settings(settings.output) if settings.adding else (Preprocessing(), SampleSettings())
    return replace(
        settings,
        preprocessing=_preprocessing(arguments, images),
        samples=build(replace, samples, **given_for(SampleSettings, arguments)),
    )


def _preprocessing(arguments: argparse.Namespace, otherwise: "Preprocessing") -> "Preprocessing":
    """Return the preprocessing of --size or --preprocess, or else the other one."""
    from bcclone.images import PRESETS

    if arguments.size and arguments.preprocess:
        raise UserError(f"--preprocess {arguments.preprocess} includes a size; leave out --size")
    if arguments.size:
        width, height = arguments.size
        resized: Preprocessing = build(replace, otherwise, width=width, height=height)
        return resized
    return PRESETS[arguments.preprocess] if arguments.preprocess else otherwise


def _summary(made: Conversion) -> str:
    return (
        f"{made.output}: {number_of(made.recordings, 'recording')}, {made.rows} rows in "
        f"{number_of(made.episodes, 'episode')}, "
        f"{made.frames} frames, {made.train} training and {made.validation} validation samples, "
        f"{len(made.skips)} skipped, {made.seconds:.1f} s\n"
        f"next: python model.py {made.output}"
    )


def _check(inputs: tuple[str, ...], as_json: bool) -> int:
    from bcclone.check import check

    reports = check(inputs)
    if as_json:
        print_json([report.as_json() for report in reports])
    else:
        print("\n\n".join(report.as_text() for report in reports))
    return 2 if any(report.log is None for report in reports) else 0


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of pixels or WIDTHxHEIGHT") from None
