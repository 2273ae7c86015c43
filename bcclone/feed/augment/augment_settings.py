"""Settings of the augmentation of training samples; importing this loads no large package."""

from dataclasses import dataclass
from functools import partial

from bcclone.system.settings import Degrees, Fraction, Metres, check_settings, setting

AUGMENT_ON = ("auto", "cpu", "device")
CAMERA_MOVES = ("shift_m", "turn_degrees", "pitch_degrees")
LENS_SETTINGS = ("blur", "patches", "noise")  # changes of finished views, in the order in which they are applied


_augment = partial(setting, group="augmentation")


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly samples are augmented, and where; a strength or fraction of 0 turns that kind off."""

    augment: bool = _augment(True, "augment the samples, differently in each epoch")
    shift_m: Metres = _augment(
        0.8,
        "largest random sideways shift of the camera; the steering is changed to bring the car back",
        0,
        1.5,
    )
    turn_degrees: Degrees = _augment(
        5.0,
        "standard deviation of a random yaw of the camera; the steering is changed to bring the car back",
        0,
        10,
        rare=True,
    )
    pitch_degrees: Degrees = _augment(0.7, "standard deviation of a random pitch of the camera", 0, 5, rare=True)
    appearance: float = _augment(
        2.0,
        "strength of random changes in brightness, contrast, colour and haze; 1 is the variation of an ordinary day",
        0,
        3,
    )
    shadows: Fraction = _augment(
        0.5,
        "fraction of samples that get shadows: dark or bright ellipses and bands on the lower part of the image",
    )
    blur: Fraction = _augment(0.2, "fraction of samples that are blurred", rare=True)
    noise: Fraction = _augment(0.2, "fraction of samples that get the noise of strong JPEG compression", rare=True)
    patches: Fraction = _augment(0.8, "fraction of samples in which patches cover a part of the image", rare=True)
    augment_on: str = _augment(
        "auto",
        "where samples are augmented; cpu: by --feed-workers threads while the network trains; device: as the first "
        "part of the training step; auto: device if the network trains on a GPU, else cpu",
        choices=AUGMENT_ON,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def moves_camera(self) -> bool:
        return any(getattr(self, name) for name in CAMERA_MOVES)
