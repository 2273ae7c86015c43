"""Settings of the augmentation of training samples; importing this loads no large package."""

from dataclasses import dataclass
from typing import Any

from bcclone.system.settings import check_settings, setting

_GROUP = "augmentation"
AUGMENT_ON = ("auto", "cpu", "device")
CAMERA_MOVES = ("shift_m", "turn_degrees", "pitch_degrees")
LENS_SETTINGS = ("blur", "patches", "noise")  # changes of finished views, in the order in which they are applied


def _fraction(default: float, what: str) -> Any:
    """Return the setting of a kind that changes a fraction of the samples. what: happens to them, for its help."""
    return setting(default, f"fraction of samples {what}", unit="FRACTION", minimum=0, maximum=1, group=_GROUP)


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly samples are augmented, and where; a strength or fraction of 0 turns that kind off."""

    augment: bool = setting(True, "augment the samples, differently in each epoch", group=_GROUP)
    shift_m: float = setting(
        0.8,
        "largest random sideways shift of the camera, in metres; the steering is changed to bring the car back",
        unit="M",
        minimum=0,
        maximum=1.5,
        group=_GROUP,
    )
    turn_degrees: float = setting(
        5.0,
        "standard deviation of a random yaw of the camera, in degrees; the steering is changed to bring the car back",
        unit="DEGREES",
        minimum=0,
        maximum=10,
        group=_GROUP,
    )
    pitch_degrees: float = setting(
        0.7,
        "standard deviation of a random pitch of the camera, in degrees",
        unit="DEGREES",
        minimum=0,
        maximum=5,
        group=_GROUP,
    )
    appearance: float = setting(
        2.0,
        "strength of random changes in brightness, contrast, colour and haze; 1 is the variation of an ordinary day",
        minimum=0,
        maximum=3,
        group=_GROUP,
    )
    shadows: float = _fraction(
        0.5, "that get shadows: dark ellipses and bands on the lower part of the image, or bright ones"
    )
    blur: float = _fraction(0.2, "that are blurred")
    noise: float = _fraction(0.2, "that get the noise of strong JPEG compression")
    patches: float = _fraction(0.8, "in which patches cover a part of the image")
    augment_on: str = setting(
        "auto",
        "where samples are augmented; cpu: by --feed-workers threads while the network trains; device: as the first "
        "part of the training step; auto: device if the network trains on a GPU, else cpu",
        choices=AUGMENT_ON,
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def moves_camera(self) -> bool:
        """Return whether the camera is moved at all."""
        return any(getattr(self, name) for name in CAMERA_MOVES)
