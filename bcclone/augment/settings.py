"""How samples are augmented while a network is trained on them; loads nothing, so that --help answers at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly samples are augmented; of every value but the first, 0 leaves that way out.

    augment: whether samples are augmented at all; shift_m: how far the camera is moved aside at most, each distance as
    likely; turn_degrees, pitch_degrees: standard deviation of turning it aside and of nodding; look: strength of
    changes in brightness, contrast, colour and haze, 1 is a usual day's; shadows, blur, noise, patches: share of the
    samples that get shadows, are unsharp, are stored as a bad JPEG, or have something before the lens.
    """

    augment: bool = True
    shift_m: float = 0.8
    turn_degrees: float = 5.0
    pitch_degrees: float = 0.7
    look: float = 2.0
    shadows: float = 0.5
    blur: float = 0.2
    noise: float = 0.2
    patches: float = 0.8

    def __post_init__(self) -> None:
        for name, most in (("shift_m", 1.5), ("turn_degrees", 10), ("pitch_degrees", 5), ("look", 3)):
            _check(name, getattr(self, name), most)
        for name in ("shadows", "blur", "noise", "patches"):
            _check(name, getattr(self, name), 1)

    @property
    def moves_camera(self) -> bool:
        """Return whether views are made from other places."""
        return bool(self.shift_m or self.turn_degrees or self.pitch_degrees)


def _check(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:  # NaN is not either
        raise ValueError(f"{name.replace('_', ' ')} {value:g}, expected 0 to {most:g}")
