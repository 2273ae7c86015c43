"""Turn recordings of the simulator into one HDF5 store for training.

RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as 'recordings/*/'.
Without it, the command reads driving_log.csv of the current folder, or else the recordings in ./recordings/ or ./data/.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands import wings
from bcclone.commands.options import (
    add_settings,
    add_settings_file,
    describe_unchanged,
    given_for,
    notify,
    number_of,
    print_result,
    refuse,
)
from bcclone.dataset.preprocess_settings import Conversion
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.system.errors import UserError
from bcclone.system.settings_file import read_settings_file

if TYPE_CHECKING:
    from bcclone.dataset.check import RecordingReport

SUMMARY = "turn recordings into a store"
_ONE_VIEW = "--view draws one recording with images, of 200 rows or more; name one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "recordings",
        nargs="*",
        metavar="RECORDING",
        help="folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern "
        "(default: driving_log.csv, or else the recordings in ./recordings/ or ./data/)",
    )
    add_settings_file(parser)
    add_settings(parser, wings.conversion_settings())
    parser.add_argument(
        "--check",
        action="store_true",
        help="only inspect the recordings and report their faults, with a remedy for each; exit code 1 if there are "
        "some",
    )
    parser.add_argument(
        "--view",
        type=Path,
        metavar="PICTURE",
        help="with --check of one recording, PNG to draw: the steering, the turns of the camera, frames with faults "
        "(default: none)",
    )
    add_settings(parser, SampleSettings)


def run(arguments: argparse.Namespace) -> int:
    """Convert or check the recordings; return the exit code."""
    inputs = tuple(arguments.recordings)
    if arguments.view and not arguments.check:
        raise UserError("--view draws what --check finds; give both", exit_code=2)
    return _check(inputs or _default_inputs(), arguments) if arguments.check else _convert(inputs, arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Describe what is left after Ctrl-C."""
    if arguments.check:
        return "--check changes nothing"
    output = arguments.output or wings.conversion_settings().output
    if count := wings.unfinished_shards(output):
        unfinished = f"{output} holds {number_of(count, 'shard')} that are not part of a complete store yet"
        return f"{unfinished}; continue with the same command and --resume"
    return describe_unchanged(output)


def _default_inputs() -> tuple[str, ...]:
    from bcclone.recording.files import default_inputs

    recordings = default_inputs()
    notify(f"no RECORDING named; taking {', '.join(recordings)}")
    return tuple(recordings)


def _convert(inputs: tuple[str, ...], arguments: argparse.Namespace) -> int:
    kind = wings.conversion_settings()
    in_file = read_settings_file(arguments.settings, kind, SampleSettings) if arguments.settings else {}
    of_samples = {each.name for each in fields(SampleSettings)}
    samples = {name: value for name, value in in_file.items() if name in of_samples}
    samples |= given_for(SampleSettings, arguments)
    of_store = {name: value for name, value in in_file.items() if name not in of_samples} | given_for(kind, arguments)
    if not (inputs or (of_store.get("add") and {"validation_recordings", "test_recordings"} & set(of_store))):
        inputs = _default_inputs()
    settings = kind(**of_store | {"inputs": inputs, "samples": samples})
    result = wings.convert(settings, notify)
    for notice in result.notices:
        notify(f"note: {notice}")
    for skip in result.skips:
        notify(f"skipped: {skip}")
    print_result(arguments, result.as_json(), _summary(result))
    return 0


def _summary(result: Conversion) -> str:
    return (
        f"{result.output}: {number_of(result.recordings, 'recording')}, {result.rows} rows in "
        f"{number_of(result.episodes, 'episode')}, "
        f"{result.frames} frames, {result.train} training, {result.validation} validation and {result.test} test "
        "samples, "
        f"{len(result.skips)} skipped, {result.seconds:.1f} s\n"
        f"next: bcclone model {result.output} -o model.h5"
    )


def _check(inputs: tuple[str, ...], arguments: argparse.Namespace) -> int:
    from bcclone.dataset.check import check
    from bcclone.dataset.diagnosis.advice import advise
    from bcclone.recording.files import find_logs
    from bcclone.system.atomic import check_output

    for kind in (wings.conversion_settings(), SampleSettings):
        refuse(arguments, kind, "changes nothing in --check, which takes recordings as they are; leave it out")
    if arguments.view:
        if len(find_logs(inputs)) != 1:
            raise UserError(_ONE_VIEW, exit_code=2)
        if arguments.view.suffix.lower() != ".png":
            raise UserError(f"--view {arguments.view}, expected the name of a picture that ends in .png", exit_code=2)
        check_output(arguments.view, force=True)
    reports = check(inputs)
    diagnoses = [report.diagnosis for report in reports if report.diagnosis]
    advice = advise([one.coverage for one in diagnoses if one.coverage])
    parts = [report.as_text() for report in reports]
    parts += ["\n  ".join(("what to record next:", *advice))] if advice else []
    as_json = {"recordings": [report.as_json() for report in reports], "record_next": list(advice)}
    print_result(arguments, as_json, "\n\n".join(parts))
    if arguments.view:
        _draw(reports, arguments.view)
        notify(f"wrote {arguments.view}")
    if any(report.log is None for report in reports):
        return 2
    return int(any(one.findings for one in diagnoses))


def _draw(reports: Sequence["RecordingReport"], path: Path) -> None:
    from bcclone.pictures.plots.diagnosis_picture import plot_diagnosis

    if len(reports) != 1 or not reports[0].is_diagnosed:
        raise UserError(_ONE_VIEW, exit_code=2)
    plot_diagnosis(reports[0], path)
