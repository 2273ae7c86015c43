"""Trained models: fitted to a car, improved, or watched by a monitor."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Given, Result, command, notify
from bcclone.lab.calibrate.calibrate_settings import CalibrateSettings
from bcclone.lab.improve import ImproveSettings
from bcclone.lab.monitor import MonitorSettings
from bcclone.system.errors import number_of
from bcclone.system.json_values import to_json
from bcclone.system.settings import argument, setting


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


@command("fit a model to a car's camera and steering")
def calibrate(settings: CalibrateSettings) -> Result:
    """Fit a model to a car: find how its camera's pictures become frames, and the gain and bias of its steering.

    FRAMES is a tub, a recording, or a folder of pictures, whose steering LABELS holds, a table with the columns
    frame_id and steering_angle. Of the first minute, the framing is sought with which the model's steering agrees best
    with the recorded one; then its gain and bias are fitted. All are written into a copy of the model, which `bcclone
    predict`, `replay`, `drive` and `export` then use by themselves. Beside it, OUTPUT.framing.json is for `bcclone
    import SOURCE --framing FILE`, and OUTPUT.framing.png shows what was found. What you know already, you give as an
    option.
    """
    from bcclone.lab.calibrate import calibration

    result = calibration.calibrate(settings, notify)
    if result.unreadable:
        notify(f"note: {number_of(result.unreadable, 'picture')} left out: unreadable, or of another size")
    return Result(result, result.as_text(settings))


def _left(given: Given) -> str:
    folder = given.make(ImproveSettings).folder
    return f"{folder} keeps what was done so far; continue with the same command and --resume"


@command("train a model on where it goes wrong", left=_left)
def improve(settings: ImproveSettings) -> Result:
    """Train a model on so that it drives better, and compare it on the rows of the suite, before and after.

    RECORDING is one in which the model drives and a person takes over where it goes wrong (drivers.csv), or an earlier
    one of a person alone. The corrections are mixed with the other recordings and with what the model does well, so
    that nothing is unlearned. With --expert, the model drives the built-in simulator in rounds, and learns how the
    built-in expert would have steered in the states that it got into (DAgger), until it drives the rows of the suite
    without an intervention.
    """
    from bcclone.lab.improve import improvement

    return Result.of(improvement.improve(settings, notify))


@command("detect when a model is unsure")
def monitor_fit(files: FitFiles, settings: MonitorSettings) -> Result:
    """Fit a monitor, which tells frame by frame whether a model still knows its surroundings, to a model and its store.

    A monitor belongs to one model. `bcclone evaluate`, `bcclone replay` and `bcclone drive` score each frame with it
    (--monitor), and the car can slow down or stop while the monitor is uncertain (--when-uncertain).
    docs/explanation/monitor.md says how well each kind announces that a model will leave the road.
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches

    load_tensorflow(onednn=onednn_for_batches())
    from bcclone.lab.monitor.monitor import fit

    info = fit(files.model, files.store, files.path, settings, notify).info
    alarms = f"{info.false_alarms:.1%} of the seconds of undisturbed driving"
    return Result(
        {"output": files.path, **to_json(info)},
        f"{files.path}: {info.kind}; uncertain above {info.threshold:.4g}, which is meant to be exceeded in {alarms}\n"
        f"next: bcclone evaluate {files.model} --monitor {files.path}",
    )
