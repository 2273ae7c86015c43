"""Fit a monitor, which tells frame by frame whether a model still knows its surroundings, to a model and its store.

A monitor belongs to one model. `bcclone evaluate`, `bcclone replay` and `bcclone drive` score each frame with it
(--monitor), and the car can slow down or stop while the monitor is uncertain (--when-uncertain).
docs/explanation/monitor.md says how well each kind announces that a model will leave the road.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Command, Given, Result, describe_unchanged, notify
from bcclone.lab.monitor.monitor_settings import MonitorSettings
from bcclone.system.json_values import to_json
from bcclone.system.settings import argument, setting

_ONLY = {"members": "ensemble", "passes": "dropout", "epochs": "ensemble"}


@dataclass(frozen=True)
class FitFiles:
    """What a monitor is fitted to, and the file to write."""

    model: Path = argument("model file of model.py")
    store: Path = argument("store of its samples")
    output: Path | None = setting(None, "file to write", unit="MONITOR", shown="MODEL, ending in .monitor")

    @property
    def path(self) -> Path:
        """Return the file to write."""
        return self.output or self.model.with_suffix(".monitor")


COMMAND = Command("detect when a model is unsure", (FitFiles, MonitorSettings))


def run(given: Given) -> Result:
    """Fit the monitor."""
    settings, files = given.make(MonitorSettings), given.make(FitFiles)
    for name, kind in _ONLY.items():
        if settings.kind != kind:
            why = f"is for --kind {kind}; leave it out with --kind {settings.kind}"
            given.refuse(MonitorSettings, why, (name,))
    from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches

    load_tensorflow(onednn=onednn_for_batches())
    from bcclone.lab.monitor.fitting import fit

    info = fit(files.model, files.store, files.path, settings, notify).info
    alarms = f"{info.false_alarms:.1%} of the seconds of undisturbed driving"
    return Result(
        {"output": files.path, **to_json(info)},
        f"{files.path}: {info.kind}; uncertain above {info.threshold:.4g}, which is meant to be exceeded in {alarms}",
        then=f"next: bcclone evaluate {files.model} --monitor {files.path}",
    )


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    return describe_unchanged(given.make(FitFiles).path)
