"""Make a monitor, which tells frame by frame whether a model still knows its surroundings.

A monitor belongs to one model. `bcclone evaluate`, `bcclone replay` and `bcclone drive` score each frame with it
(--monitor), and the car can slow down or stop while the monitor is uncertain (--when-uncertain).
docs/explanation/monitor.md says how well each kind announces that a model will leave the road.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import (
    add_settings,
    chosen,
    describe_unchanged,
    local_path,
    notify,
    print_result,
    refuse,
)
from bcclone.lab.monitor.monitor_settings import MonitorSettings
from bcclone.system.json_values import to_json

SUMMARY = "find out whether a model knows that it does not know"
_ONLY = {"members": "ensemble", "passes": "dropout", "epochs": "ensemble"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the uses and their options."""
    uses = parser.add_subparsers(dest="use", required=True, metavar="USE")
    text = "fit a monitor to a model and the store that it was trained on"
    fit = uses.add_parser("fit", help=text, description=f"{text.capitalize()}; an existing file needs --force.")
    fit.add_argument("model", type=local_path, metavar="MODEL", help="model file of model.py")
    fit.add_argument("store", type=local_path, metavar="STORE", help="store of its samples")
    fit.add_argument(
        "-o", "--output", type=local_path, metavar="MONITOR", help="file to write (default: MODEL, ending in .monitor)"
    )
    add_settings(fit, MonitorSettings)


def run(arguments: argparse.Namespace) -> int:
    """Fit the monitor; return the exit code."""
    settings = chosen(MonitorSettings, arguments)
    for name, kind in _ONLY.items():
        if settings.kind != kind:
            why = f"is for --kind {kind}; leave it out with --kind {settings.kind}"
            refuse(arguments, MonitorSettings, why, (name,))
    output = _output(arguments)
    from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches

    load_tensorflow(onednn=onednn_for_batches())
    from bcclone.lab.monitor.fitting import fit

    monitor = fit(arguments.model, arguments.store, output, settings, notify)
    info = monitor.info
    alarms = f"{info.false_alarms:.1%} of the seconds of undisturbed driving"
    text = f"{output}: {info.kind}; uncertain above {info.threshold:.4g}, which is meant to be exceeded in {alarms}"
    print_result(arguments, {"output": output, **to_json(info)}, text)
    if not arguments.json:
        notify(f"next: bcclone evaluate {arguments.model} --monitor {output}")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return describe_unchanged(_output(arguments))


def _output(arguments: argparse.Namespace) -> Path:
    output: Path = arguments.output or arguments.model.with_suffix(".monitor")
    return output
