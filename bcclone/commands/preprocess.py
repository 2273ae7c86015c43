"""Turn recordings of the simulator into one HDF5 store for training.

RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as 'recordings/*/'.
Without it, the command reads driving_log.csv of the current folder, or else the recordings in ./recordings/ or ./data/.
"""

import argparse

from bcclone.commands import wings
from bcclone.commands.options import (
    add_output_options,
    add_settings,
    build,
    describe_unchanged,
    given_for,
    notify,
    number_of,
    print_json,
)
from bcclone.dataset.preprocess_settings import Conversion
from bcclone.dataset.sample_settings import SampleSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "recordings",
        nargs="*",
        metavar="RECORDING",
        help="folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern "
        "(default: driving_log.csv, or else the recordings in ./recordings/ or ./data/)",
    )
    add_settings(parser, wings.conversion_settings())
    parser.add_argument(
        "--check", action="store_true", help="only inspect the recordings and report problems; write nothing"
    )
    add_settings(parser, SampleSettings)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert or check the recordings; return the exit code."""
    inputs = tuple(arguments.recordings) or _default_inputs()
    return _check(inputs, arguments.json) if arguments.check else _convert(inputs, arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Describe what is left after Ctrl-C."""
    if arguments.check:
        return "--check writes nothing"
    output = arguments.output or wings.conversion_settings().output
    if count := wings.unfinished_shards(output):
        begun = f"{output} holds {number_of(count, 'shard')} that are not part of a complete store yet"
        return f"{begun}; continue with the same command and --resume"
    return describe_unchanged(output)


def _default_inputs() -> tuple[str, ...]:
    from bcclone.recording.files import default_inputs

    found = default_inputs()
    notify(f"no RECORDING named; taking {', '.join(found)}")
    return tuple(found)


def _convert(inputs: tuple[str, ...], arguments: argparse.Namespace) -> int:
    values = given_for(SampleSettings, arguments)
    samples = build(SampleSettings, **values)
    kind = wings.conversion_settings()
    settings = build(kind, inputs, samples=samples, given=frozenset(values), **given_for(kind, arguments))
    made: Conversion = wings.converter()(settings, notify)
    for notice in made.notices:
        notify(f"note: {notice}")
    for skip in made.skips:
        notify(f"skipped: {skip}")
    if arguments.json:
        print_json(made.as_json())
    else:
        print(_summary(made))
    return 0


def _summary(made: Conversion) -> str:
    return (
        f"{made.output}: {number_of(made.recordings, 'recording')}, {made.rows} rows in "
        f"{number_of(made.episodes, 'episode')}, "
        f"{made.frames} frames, {made.train} training and {made.validation} validation samples, "
        f"{len(made.skips)} skipped, {made.seconds:.1f} s\n"
        f"next: python model.py {made.output} -o model.h5"
    )


def _check(inputs: tuple[str, ...], as_json: bool) -> int:
    from bcclone.dataset.check import check

    reports = check(inputs)
    if as_json:
        print_json([report.as_json() for report in reports])
    else:
        print("\n\n".join(report.as_text() for report in reports))
    return 2 if any(report.log is None for report in reports) else 0
