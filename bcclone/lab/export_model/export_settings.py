"""Settings of an export; loads no large package."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.system.settings import check_settings, preprocess_setting, setting

ONNX, LITERT, SAVED_MODEL = "onnx", "litert", "saved-model"
FORMATS = {  # name: (ending of the file, description)
    ONNX: (".onnx", "a file that ONNX Runtime runs in many languages; drive.py drives with it"),
    LITERT: (".tflite", "a file for LiteRT (TensorFlow Lite) on phones and small computers"),
    SAVED_MODEL: ("", "a folder for TensorFlow and TensorFlow Serving"),
}


@dataclass(frozen=True)
class ExportModelSettings:
    """Which model to export, and how. model: a .h5 or .keras file; output: None for its name with another ending."""

    model: Path
    to: str = setting(ONNX, "format of the exported model", choices=tuple(FORMATS))
    output: Path | None = setting(
        None, "the file, or for saved-model the folder, to write", unit="PATH", short="-o", shown="named like the model"
    )
    force: bool = setting(False, "overwrite an existing export")
    preprocess: str | None = preprocess_setting()

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def path(self) -> Path:
        """Return the path to write: the output, or the model's name with the ending of the format."""
        return self.output or self.model.with_suffix(FORMATS[self.to][0])
