"""What an exported file states of itself: for people, for other programs, and for bcclone.

In: a model file and its `Interface`. Out: texts by name, which stand in the metadata of every
format.
"""

import json

from bcclone.model.model_facts import FRAMING
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import PICTURE, SEQ_LENGTH, STEERING
from bcclone.realcar.export_model.interface import Interface

DESCRIPTION = "description"


def metadata_of(file: ModelFile, interface: Interface) -> dict[str, str]:
    """Return the metadata of an exported file: texts by name."""
    training = {key: value for key, value in vars(file.training).items() if value}
    metadata = {
        DESCRIPTION: _description(file, interface),
        PICTURE: json.dumps(_picture(interface)),
        "bcclone_preprocessing": file.preprocessing.to_json(),
        "bcclone_training": json.dumps(training),
        SEQ_LENGTH: str(interface.seq_length),
    }
    if interface.camera.framing:
        metadata[FRAMING] = interface.camera.framing.to_json()
    return metadata


def described_picture(interface: Interface) -> str:
    """Return what an exported file takes, in words."""
    camera = interface.camera
    words = f"the camera's picture, {camera.width}x{camera.height} pixels, RGB, 0 to 255"
    if interface.picture_type == "uint8":
        return f"{words}, uint8"
    return f"{words}, or 0 to 1 as donkeycar gives it, {interface.picture_type}"


def _description(file: ModelFile, interface: Interface) -> str:
    """Return what the file takes, what it answers, and what it does with the picture."""
    answers = ", ".join(interface.outputs)
    if STEERING in interface.outputs:
        # the columns after the steering are divided by a unit: speed / 30
        columns = [f"{output.name} / {output.unit:g}" for output in file.outputs[1:]]
        answers = ", ".join([f"{STEERING}: -1 (left) to 1 (right)", *columns])
    parts = [f"{interface.picture}: {described_picture(interface)}", answers]
    if interface.camera.framing:
        parts.append(f"framed inside: {interface.camera.framing.describe()}")
    parts.append(f"prepared inside: {file.preprocessing.describe()}")
    return "; ".join(parts)


def _picture(interface: Interface) -> dict[str, object]:
    """Return the size, colours, range and type of the picture that a file takes."""
    return {
        "input": interface.picture,
        "width": interface.camera.width,
        "height": interface.camera.height,
        "colors": "RGB",
        "range": [0, 255],
        "type": interface.picture_type,
    }
