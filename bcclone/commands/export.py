"""Write a recording, a store or a model in the format of another program.

Recordings and stores become a CSV table, or a data set of donkeycar or LeRobot; rows that `bcclone edit`
has deleted are left out. A model becomes a file for ONNX Runtime, LiteRT, TensorFlow or donkeycar that
takes whole camera frames; the file is written only if it gives the same answers as the model. A failed export writes
nothing.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands.options import (
    add_settings,
    chosen,
    describe_unchanged,
    local_path,
    notify,
    number_of,
    print_result,
    refuse,
)
from bcclone.lab.exchange.exchange_settings import EXPORT_FORMATS, ExportSettings
from bcclone.lab.export_model.export_settings import DONKEYCAR, FORMATS, ExportModelSettings
from bcclone.system.errors import UserError

if TYPE_CHECKING:
    from bcclone.lab.export_model.model_export import ExportModelResult

SUMMARY = "write recordings and models in other programs' formats"
_SHOWN_SKIPS = 10
_OF_ROWS = ("cameras", "allow_skips")
_OF_MODELS = (
    "force", "preprocess", "quantize", "calibrate", "camera", "throttle", "throttle_in_bends", "throttle_speed_mph",
)  # fmt: skip
_MODEL_SUFFIXES = (".keras", ".onnx", ".tflite")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", metavar="SOURCE", help="folder with recordings, a CSV file, a pattern, a store, or a model"
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=(*EXPORT_FORMATS, *FORMATS),
        help=f"format: {', '.join(EXPORT_FORMATS)} for recordings and stores, {', '.join(FORMATS)} for models",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=local_path,
        metavar="PATH",
        help=f"file or folder to write (default: {ExportSettings.output}, or named like the model)",
    )
    add_settings(parser, ExportSettings, only=_OF_ROWS)
    add_settings(parser, ExportModelSettings, only=_OF_MODELS)


def run(arguments: argparse.Namespace) -> int:
    """Export; return the exit code."""
    from bcclone.system.file_kinds import kind_of

    is_model = arguments.to in FORMATS
    other_settings, names = (ExportSettings, _OF_ROWS) if is_model else (ExportModelSettings, _OF_MODELS)
    refuse(arguments, other_settings, f"has no effect with --to {arguments.to}; leave it out", names)
    source = Path(arguments.source)
    if is_model and source.is_dir():
        raise UserError(f"{arguments.source}: a folder, expected a model file; recordings go --to {EXPORT_FORMATS[0]}")
    if not is_model and (source.suffix in _MODEL_SUFFIXES or kind_of(source) == "model"):
        raise UserError(
            f"{arguments.source}: a model, expected a recording or a store; a model goes --to {' or '.join(FORMATS)}"
        )
    return _export_model(arguments) if is_model else _export_rows(arguments)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    if arguments.to in FORMATS:
        return describe_unchanged(_model_settings(arguments).path)
    return describe_unchanged(arguments.output or ExportSettings.output)


def _export_rows(arguments: argparse.Namespace) -> int:
    settings = chosen(ExportSettings, arguments)
    from bcclone.lab.exchange.recording_export import export

    result = export(settings)
    for line in result.skipped[:_SHOWN_SKIPS]:
        notify(f"left out: {line}")
    print_result(
        arguments,
        result,
        f"{result.output}: {result.format}, {number_of(result.rows, 'row')} in "
        f"{number_of(result.episodes, 'episode')}, cameras {', '.join(result.cameras)}, "
        f"{len(result.skipped)} left out, {result.seconds:.1f} s",
    )
    return 0


def _export_model(arguments: argparse.Namespace) -> int:
    settings = _model_settings(arguments)
    from bcclone.lab.export_model.model_export import export_model

    result = export_model(settings, notify)
    lines = [
        f"{'input' if name in result.inputs else 'output'} {name}: {' x '.join(map(str, shape))}"
        for name, shape in (result.inputs | result.outputs).items()
    ]
    lines += [f"throttle: {result.throttle}"] if result.throttle else []
    lines += _describe_costs(result)
    print_result(arguments, result, "\n".join(lines))
    if result.to == DONKEYCAR and not arguments.json:
        name = Path(result.output).name
        notify(f"next, on the car: python manage.py drive --model models/{name} --type tflite_linear")
    return 0


def _describe_costs(result: "ExportModelResult") -> Iterator[str]:
    """Yield how an exported model answers, and what that costs."""
    from bcclone.lab.export_model.comparison import TOLERANCE

    difference = f"a difference of at most {result.greatest_difference:.1e}"
    if result.mean_difference > TOLERANCE:
        difference = f"a mean difference of {result.mean_difference:.4f}, at most {result.greatest_difference:.3f}"
    unread = f", {result.unreadable} could not be read" if result.unreadable else ""
    yield (
        f"{result.output}: written, {result.megabytes:g} MB; it answers as {result.model} does, with {difference}, "
        f"on {result.frames} frames{unread}"
    )
    runtime = ", without XNNPACK, as donkeycar runs it" if result.to == DONKEYCAR else ""
    yield f"{result.milliseconds:.2f} ms for a frame, the median on one core of this machine{runtime}"
    if costs := result.costs:
        boards = ", ".join(f"{ms:.0f} ms on a {board}" for board, ms in costs.estimated_ms.items())
        yield (
            f"{costs.multiply_adds / 1e6:.1f} million multiply-adds and {costs.other_operations / 1e6:.1f} million "
            f"other operations; an estimate from these counts, not measured: {boards}"
        )
        yield f"oldest runtime by its operations: TensorFlow Lite {costs.oldest_runtime or 'unknown'}"


def _model_settings(arguments: argparse.Namespace) -> ExportModelSettings:
    return chosen(ExportModelSettings, arguments, model=Path(arguments.source))
