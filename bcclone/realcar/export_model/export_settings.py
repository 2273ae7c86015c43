"""Settings of an export; loads no large package."""

from dataclasses import dataclass, fields
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
FORMATS = {  # name: (ending of the file, description)
    ONNX: (".onnx", "a file that ONNX Runtime runs in many languages; drive.py drives with it"),
    LITERT: (".tflite", "a file for LiteRT (TensorFlow Lite) on phones and small computers"),
    DONKEYCAR: (".tflite", "a file that donkeycar 5 drives as its own type tflite_linear"),
}
DONKEYCAR_CAMERA = (160, 120)  # width and height of the pictures of a donkeycar as it is delivered
TFLITE = (LITERT, DONKEYCAR)
FLOAT16 = "float16"
INT8 = "int8"
_THROTTLE = 0.2  # throttle of a donkeycar that drives slowly
# settings that only some formats have
_TFLITE_SETTINGS = ("quantize",)
_DONKEYCAR_SETTINGS = ("throttle", "throttle_in_bends", "throttle_speed_mph")


ModelFormat = Annotated[str, Setting(choices=tuple(FORMATS))]
CameraSize = Annotated[
    tuple[int, int],
    Setting(minimum=SMALLEST_IMAGE, maximum=LARGEST_PICTURE, unit="SIZE", parse=parse_size),
]


@dataclass(frozen=True)
class ExportModelSettings(Checked):
    """Which model to export, and how."""

    model: Path  # a .h5 or .keras file
    to: ModelFormat = ONNX
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
        for field in fields(self):
            formats = _formats_with(field.name)
            if self.to not in formats and getattr(self, field.name) != field.default:
                only = " and ".join(f"--to {name}" for name in formats)
                # a setting's name in braces, such as {quantize}, becomes its option (SettingError)
                text = "{NAME} is only for ONLY; leave it out"
                raise SettingError(text.replace("NAME", field.name).replace("ONLY", only))
        output = self.path
        ending, _ = FORMATS[self.to]
        if output.suffix != ending:
            raise UserError(
                f"{output}: the name of a {self.to} export must end in {ending}; name another -o"
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
        if self.throttle is None:
            return _THROTTLE
        return self.throttle

    @property
    def path(self) -> Path:
        """Return the file to write."""
        return self.output or self.model.with_suffix(FORMATS[self.to][0])

    @property
    def example(self) -> Path:
        """Return the example program to write beside it."""
        return self.path.with_name(f"{self.path.name}.py")


def _formats_with(name: str) -> tuple[str, ...]:
    """Return the formats that have a setting."""
    if name in _TFLITE_SETTINGS:
        return TFLITE
    if name in _DONKEYCAR_SETTINGS:
        return (DONKEYCAR,)
    return tuple(FORMATS)
