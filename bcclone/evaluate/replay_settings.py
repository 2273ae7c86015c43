"""Settings of a replay; loads neither NumPy nor pandas, so that --help answers at once."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.lab.monitor.monitor_settings import monitor_setting
from bcclone.system.settings import check_settings, preprocess_setting, setting

_FARTHEST_M = 5.0  # no useful view can be made from farther away


def parse_fraction(text: str) -> tuple[float, float]:
    """Return the two fractions of "0.8:1"; raises ValueError for anything else."""
    first, mark, last = text.partition(":")
    try:
        if not mark:
            raise ValueError
        return float(first), float(last)
    except ValueError:
        raise ValueError(f"{text!r}, expected two fractions such as 0.8:1") from None


@dataclass(frozen=True)
class FrameReplaySettings:
    """How many frames of a recording are sent to a drive server."""

    frames: int = setting(0, "number of frames to send", minimum=1, zero="each frame once")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class ReplaySettings:
    """Which rows are replayed, and which deviations count as interventions.

    limits_m: further limits for which interventions are counted, for models.
    """

    fraction: tuple[float, float] = setting(
        (0.0, 1.0),
        "part of the recording to replay, as two fractions of its rows; 0.8:1 is the last fifth",
        unit="FROM:TO",
        parse=parse_fraction,
        shown="0:1",
    )
    limit_m: float = setting(
        2.0,
        "deviation from the recorded path that counts as an intervention, in metres; interventions are also counted "
        "for 1, 1.5, 2 and 3 m",
        unit="M",
        minimum=0,
        above_minimum=True,
        maximum=_FARTHEST_M,
        option="limit",
    )
    limits_m: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0)
    preprocess: str | None = preprocess_setting()
    monitor: Path | None = monitor_setting("each of the recorded frames")

    def __post_init__(self) -> None:
        check_settings(self)
        first, last = self.fraction
        if not 0 <= first < last <= 1:
            raise ValueError(f"fraction {first:g}:{last:g}, expected two fractions of the rows such as 0.8:1")
        for limit in self.limits_m:
            if not 0 < limit <= _FARTHEST_M:
                raise ValueError(f"limit {limit:g} m, expected more than 0, up to {_FARTHEST_M:g}")

    @property
    def all_limits_m(self) -> tuple[float, ...]:
        """Return all limits in ascending order, each once."""
        return tuple(sorted({self.limit_m, *self.limits_m}))
