"""Settings of an export; loads no large package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bcclone.dataset.preprocessing_text import (
    LARGEST_PICTURE,
    SMALLEST_IMAGE,
    PreprocessingText,
    parse_size,
)
from bcclone.system.errors import UserError
from bcclone.system.settings import Checked, Force, Mph, Setting, SettingError, setting

ONNX = "onnx"
LITERT = "litert"
DONKEYCAR = "donkeycar"
FORMATS = {ONNX: ".onnx", LITERT: ".tflite", DONKEYCAR: ".tflite"}  # name: ending of the file
FLOAT16 = "float16"
INT8 = "int8"
_THROTTLE = 0.2  # throttle of a donkeycar that drives slowly
_ONLY_FOR = {  # setting: the formats that have it
    "quantize": (LITERT, DONKEYCAR),
    "throttle": (DONKEYCAR,),
    "throttle_in_bends": (DONKEYCAR,),
    "throttle_speed_mph": (DONKEYCAR,),
}

CameraSize = Annotated[
    tuple[int, int],
    Setting(minimum=SMALLEST_IMAGE, maximum=LARGEST_PICTURE, unit="SIZE", parse=parse_size),
]


@dataclass(frozen=True)
class ExportModelSettings(Checked):
    """Which model to export, and how."""

    model: Path  # a .h5 or .keras file
    to: Annotated[str, Setting(choices=tuple(FORMATS))] = ONNX
    output: Path | None = None  # None for the model's name with another ending
    force: Force = setting(False)
    preprocess: PreprocessingText | None = setting(None)
    quantize: str | None = setting(
        None,
        "store smaller weights, for litert and donkeycar; int8 also computes with whole numbers: "
        "float16, int8",
        unit="KIND",
        choices=(FLOAT16, INT8),
        shown="float32",
    )
    calibrate: Path | None = setting(
        None,
        "recording, tub or folder with pictures of your camera, on which the file is compared with "
        "the model; --quantize int8 takes its ranges from others of them",
        unit="FOLDER",
    )
    camera: CameraSize | None = setting(
        None,
        "size of the camera's pictures, which the file takes; for donkeycar IMAGE_W and IMAGE_H of "
        "its configuration",
        shown="that of the model's framing; without one, 160x120 for donkeycar, else 320x160",
    )
    throttle: float | None = setting(
        None,
        "throttle for donkeycar",
        0,
        1,
        shown=f"as the model predicts it after model.py --predict throttle, else {_THROTTLE:g}",
    )
    throttle_in_bends: float | None = setting(
        None,
        "throttle in the sharpest bends: it falls from --throttle at a tenth of full steering to "
        "this at half of it",
        0,
        1,
        shown="that of --throttle",
    )
    throttle_speed_mph: Mph | None = setting(
        None,
        "speed of the car with --throttle; the throttle then follows the speed that the model "
        "predicts, for a model of model.py --predict speed or throttle",
        maximum=200,
        above=0,
        option="throttle-speed",
    )

    def validate(self) -> None:
        for name, formats in _ONLY_FOR.items():
            if self.to not in formats and getattr(self, name) is not None:
                only = " and ".join(f"--to {format}" for format in formats)
                # a setting's name in braces, such as {quantize}, becomes its option (SettingError)
                raise SettingError(f"{{{name}}} is only for {only}; leave it out")
        ending = FORMATS[self.to]
        if self.path.suffix != ending:
            raise UserError(
                f"{self.path}: the name of a {self.to} export must end in {ending}; name another -o"
            )
        if self.quantize == INT8 and not self.calibrate:
            raise SettingError(
                "{quantize} int8 needs pictures of the camera that it will drive with; name a "
                "recording, a tub or a folder of them with {calibrate}"
            )
        if self.throttle_in_bends is not None and self.throttle_speed_mph is not None:
            raise SettingError(
                "{throttle_in_bends} and {throttle_speed_mph} both say where the car is slow; "
                "leave one of them out"
            )

    @property
    def constant_throttle(self) -> float:
        """Return the throttle of a donkeycar on a straight road."""
        return _THROTTLE if self.throttle is None else self.throttle

    @property
    def path(self) -> Path:
        """Return the file to write."""
        return self.output or self.model.with_suffix(FORMATS[self.to])

    @property
    def example(self) -> Path:
        """Return the example program to write beside it."""
        return self.path.with_name(f"{self.path.name}.py")
