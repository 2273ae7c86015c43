"""Monitors: score each frame of a drive by how unlike it is to what the model was trained on.

Importing this loads nothing large, so that --help answers at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.drive.controller import WHEN_UNCERTAIN
from bcclone.system.settings import Checked, Count, Force, Fraction, Seed, SettingError, setting

if TYPE_CHECKING:
    from bcclone.evaluate.evaluation import WatchFile

KINDS = ("ensemble", "dropout", "features")
WINDOW_SECONDS = 1.0
_UNCERTAINTY = "uncertainty"
_OF_KIND = {"members": "ensemble", "member_models": "ensemble", "epochs": "ensemble", "passes": "dropout"}


@dataclass(frozen=True)
class WatchSettings(Checked):
    """Which monitor watches a drive, and what the car does while the monitor is uncertain."""

    monitor: Path | None = setting(
        None,
        "score each frame by this monitor of the model, written by bcclone monitor fit",
        unit="PATH",
        shown="none",
        group=_UNCERTAINTY,
    )
    when_uncertain: str = setting(
        WHEN_UNCERTAIN[0],
        "while the monitor is uncertain: drive on (ignore), hold 0.4 of the speed (slow), or brake until it is certain "
        "again (stop)",
        choices=WHEN_UNCERTAIN,
        group=_UNCERTAINTY,
    )

    def validate(self) -> None:
        if self.monitor is None and self.when_uncertain != WHEN_UNCERTAIN[0]:
            raise SettingError(
                "{when_uncertain} {value} needs a monitor; name one with {monitor} (bcclone monitor fit)",
                value=self.when_uncertain,
            )

    @property
    def file(self) -> "WatchFile | None":
        """Return the monitor, which is not opened yet; None without one."""
        if self.monitor is None:
            return None
        from bcclone.evaluate.evaluation import WatchFile
        from bcclone.lab.monitor.monitor import open_watch

        return WatchFile(self.monitor, open_watch)


@dataclass(frozen=True)
class MonitorSettings(Checked):
    """What a monitor measures, how its networks are trained, and where its threshold lies.

    member_models: model files that are the members of an ensemble, instead of trained ones.
    """

    kind: str = setting(
        "ensemble",
        "measure: disagreement of networks trained from other seeds (ensemble) or of random halves of the model's own "
        "network (dropout), or the distance of its features from the features of the store (features)",
        choices=KINDS,
    )
    members: int = setting(5, "number of networks of an ensemble", 2, 50, rare=True)
    member_models: tuple[Path, ...] = setting(
        (),
        "model file that is a member of the ensemble, instead of trained ones; repeatable",
        unit="MODEL",
        option="member",
    )
    passes: int = setting(32, "number of random passes of dropout", 2, 1000, rare=True)
    epochs: Count = setting(5, "epochs of training for each network of an ensemble")
    false_alarms: Fraction = setting(
        0.05,
        "fraction of seconds of undisturbed driving in which the monitor may be uncertain, which sets its threshold",
        above=0,
        below=1,
        rare=True,
    )
    nominal: tuple[str, ...] = setting(
        (),
        "recordings of the model's own undisturbed drives, such as runs of drive.py, to set the threshold on",
        unit="RECORDING",
        shown="the validation samples of the store",
    )
    seed: Seed = setting(0)
    force: Force = setting(False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "member_models", tuple(map(Path, self.member_models)))
        super().__post_init__()
        if len(self.member_models) == 1:
            raise SettingError("{member_models}: one model, expected 2 or more; name each of them")
        for name, kind in _OF_KIND.items():
            if getattr(self, name) != getattr(MonitorSettings, name) and self.kind != kind:
                raise SettingError(
                    f"{{{name}}} is for {{kind}} {kind}; leave it out with {{kind}} {{value}}", value=self.kind
                )
