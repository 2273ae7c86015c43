"""Export a model for other programs: as ONNX, LiteRT, or a SavedModel.

The preparation of the frames is part of the file, so that it takes whole camera frames. Its answers are compared with
those of the model before it is kept.
"""

import argparse

from bcclone.commands.options import (
    add_output_options,
    add_settings,
    build,
    describe_unchanged,
    given_for,
    local_path,
    notify,
    print_json,
)
from bcclone.export_model import ExportModelSettings, export_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=local_path, metavar="MODEL", help="model to export, a .h5 or .keras file")
    add_settings(parser, ExportModelSettings)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export the model; return the exit code."""
    result = export_model(_settings(arguments), notify)
    if arguments.json:
        print_json(result.as_json())
    else:
        for name, shape in (result.inputs | result.outputs).items():
            print(f"{'input' if name in result.inputs else 'output'} {name}: {' x '.join(map(str, shape))}")
        print(
            f"{result.output}: written, {result.megabytes:g} MB; its answers differ by at most "
            f"{result.greatest_difference:.1e} from those of {result.model}"
        )
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(_settings(arguments).path)


def _settings(arguments: argparse.Namespace) -> ExportModelSettings:
    return build(ExportModelSettings, **given_for(ExportModelSettings, arguments))
