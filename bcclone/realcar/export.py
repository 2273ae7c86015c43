"""Export a model: write it in a format of other programs, and compare the file with the model.

In: `ExportModelSettings`. Out: a .onnx or .tflite file, beside it an example program that steers
with it, and an `ExportModelResult`. A file prepares frames with the operations of its format, so
its steering differs a little; the result says how much.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.camera.framing import FRAMING
from bcclone.camera.images import IMAGE_ENDINGS, BadImage, Image, decode_image, resized
from bcclone.model.onnx_model import PICTURE, SEQ_LENGTH, STEERING, load_onnxruntime
from bcclone.realcar.export_settings import FORMATS, ONNX, ExportModelSettings
from bcclone.system.arrays import evenly
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError, require_package
from bcclone.system.files import EXAMPLE, check_output, inputs_of, replacing, write_text, writes
from bcclone.system.location import is_hidden
from bcclone.system.progress import Notify
from bcclone.system.values import to_json

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.realcar.exported import Interface


@dataclass(frozen=True)
class ExportModelResult:
    """An exported model."""

    model: str  # path of the model
    output: str  # path of the file written
    example: str  # path of the program written beside it, which steers with it
    to: str  # format of the file, of FORMATS
    megabytes: float  # size of the file
    inputs: dict[str, tuple[int, ...]]  # name -> shape, without the number of drives
    outputs: dict[str, tuple[int, ...]]  # name -> shape, without the number of drives
    picture: str  # what the file takes, in words
    framing: str  # description of how the file frames the picture; "" if it is a frame already
    preprocessing: str  # description of how the file prepares the frames
    frames: int  # number of frames on which the file was compared with the model
    frames_of: str  # where these frames are from, in words
    # how far the file's steering is from the model's on these frames
    greatest_difference: float
    mean_difference: float
    unreadable: int  # number of pictures of --calibrate that could not be read
    milliseconds: float  # median time of an answer on this machine, on one core
    throttle: str  # where the throttle of a donkeycar comes from, in words; "" for other formats

    def as_text(self) -> str:
        """Return the file's shapes, and how it answers."""
        lines = []
        for kind, shapes in (("input", self.inputs), ("output", self.outputs)):
            lines += [
                f"{kind} {name}: {' x '.join(map(str, size))}" for name, size in shapes.items()
            ]
        lines.append(f"it takes {self.picture}")
        if self.framing:
            lines.append(f"it frames the picture itself: {self.framing}")
        if self.throttle:
            lines.append(f"throttle: {self.throttle}")
        unread = f", {self.unreadable} could not be read" if self.unreadable else ""
        lines += [
            f"{self.output}: written, {self.megabytes:g} MB",
            f"{self.example}: written, a short program that steers with it, without bcclone",
            f"its steering differs from that of {self.model} by {self.mean_difference:.1e} on "
            f"average and {self.greatest_difference:.1e} at most, on {self.frames} frames of "
            f"{self.frames_of}{unread}; it prepares them with the operations of its format, the "
            "model with OpenCV",
            f"{self.milliseconds:.2f} ms for a frame, the median on one core of this machine",
        ]
        return "\n".join(lines)


_ROAD_PICTURES = 20  # pictures along the simulated lake track, for a comparison without --calibrate


@writes(lambda settings: FORMATS[settings.to], "path")
def export_model(
    settings: ExportModelSettings, notify: Notify = lambda line: None
) -> ExportModelResult:
    """Write a model with the preparation of its frames in another format, whole or not at all.

    Raises UserError for a missing package, a model whose layers the format lacks, and a written
    file that computes something else than the model.
    """
    # missing packages are named before the model is loaded, which takes long
    if settings.to == ONNX:
        load_onnxruntime()
        require_package("tf2onnx", "--to onnx", "bcclone[onnx]")
    else:
        require_package("ai_edge_litert", f"--to {settings.to}", "bcclone[litert]")
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as the runtimes that the model is compared in
    from bcclone.model.model_file import load_model  # these load Keras, so they come last
    from bcclone.realcar import exported_file
    from bcclone.realcar.exported import Interface

    check_output(settings.example, EXAMPLE, settings.force, inputs_of(settings))
    file = load_model(settings.model, settings.preprocess)
    interface = Interface(file, settings)

    # every second picture is for the ranges of int8, the others are for the comparison
    pictures: list[Image] = []
    unreadable = 0
    if settings.calibrate:
        pictures, unreadable = read_pictures(settings.calibrate, interface.size)
    compared = pictures[1::2] or road_pictures(_ROAD_PICTURES, interface.size)

    # if the file computes something else than the model, none is left
    preparation = file.preprocessing.describe()
    with replacing(settings.path, follow=True) as new:
        notify(f"{settings.model}: writing it as {settings.to}, with {preparation} inside")
        metadata = _metadata_of(interface)
        if settings.to == ONNX:
            content = exported_file.onnx_content(interface, metadata)
        else:
            ranges = interface.inputs_of(pictures[::2])
            content = exported_file.litert_content(interface, settings.quantize, ranges, metadata)
        new.write_bytes(content)
        notify(f"comparing its answers with the model's on {len(compared)} frames")
        apart = exported_file.check_answers(new, settings, interface, compared)
        last = compared[-_ROAD_PICTURES:]
        milliseconds = exported_file.median_ms(new, settings.to, interface, last)
    write_text(settings.example, _example_program(settings.to, interface))
    return ExportModelResult(
        model=str(settings.model),
        output=str(settings.path),
        example=str(settings.example),
        to=settings.to,
        megabytes=round(len(content) / 1e6, 3),
        inputs=interface.inputs,
        outputs=interface.outputs,
        picture=_described_picture(interface),
        framing=interface.framing.describe() if interface.framing else "",
        preprocessing=preparation,
        frames=len(compared),
        frames_of=str(settings.calibrate or "the simulated lake"),
        greatest_difference=float(apart.max()),
        mean_difference=float(apart.mean()),
        unreadable=unreadable,
        milliseconds=round(milliseconds, 3),
        throttle=interface.throttle,
    )


# ---- the pictures


def road_pictures(count: int, camera: tuple[int, int]) -> list[Image]:
    """Return pictures along the simulated lake track, in the camera's size."""
    from bcclone.simulator.car import start_on
    from bcclone.simulator.render import Renderer
    from bcclone.simulator.track import load_track
    from bcclone.simulator.world_settings import Conditions

    renderer = Renderer("lake", Conditions())
    track = load_track("lake")
    pictures = []
    for number in range(count):
        car = start_on(track, along_m=track.length_m * number / count)
        pictures.append(resized(renderer.frame(car), camera))
    return pictures


# names of side cameras' pictures in recordings, in folders with a table, and in tubs
_SIDE_CAMERA = re.compile(r"(left|right)_|\d+_(cam_image_array_)?(left|right)_?\.", re.IGNORECASE)
_MOST_PICTURES = 400  # pictures of --calibrate that are used
_FEWEST_PICTURES = 20  # with fewer pictures, --calibrate is refused


def read_pictures(folder: Path, camera: tuple[int, int]) -> tuple[list[Image], int]:
    """Return at most 400 pictures from all over a folder, and how many could not be read.

    Those of side cameras are left out. Raises UserError if fewer than 20 can be read.

    camera: width and height to which the pictures are resized
    """
    paths = []
    for parent, _, names in os.walk(folder):
        for name in names:
            is_picture = name.lower().endswith(IMAGE_ENDINGS) and not is_hidden(name)
            if is_picture and not _SIDE_CAMERA.match(name):
                paths.append(Path(parent, name))
    paths.sort()
    pictures: list[Image] = []
    unreadable = 0
    # read twice as many as are kept, since some may be unreadable
    for index in evenly(len(paths), 2 * _MOST_PICTURES):
        try:
            picture = decode_image(read_bytes(paths[index], "image"))
        except (BadImage, OSError):
            unreadable += 1
            continue
        if picture.shape[1::-1] != camera:
            picture = resized(picture, camera)
        pictures.append(picture)
    if len(pictures) < _FEWEST_PICTURES:
        raise UserError(
            f"{folder}: {len(pictures)} pictures (.jpg, .png) that can be read, expected "
            f"{_FEWEST_PICTURES} or more of the car's camera; name a recording, a tub or a folder "
            "of pictures"
        )
    kept = [pictures[index] for index in evenly(len(pictures), _MOST_PICTURES)]
    return kept, unreadable


# ---- what the file states of itself


def _metadata_of(interface: "Interface") -> dict[str, str]:
    """Return the metadata of an exported file, for people and programs: texts by name."""
    file = interface.file
    width, height = interface.size
    picture = {
        "input": interface.picture,
        "width": width,
        "height": height,
        "colors": "RGB",
        "range": [0, 255],
        "type": interface.picture_type,
    }
    answers = ", ".join(interface.outputs)
    if STEERING in interface.outputs:
        # the columns after the steering are divided by a unit: speed / 30
        columns = [f"{output.name} / {output.unit:g}" for output in file.outputs[1:]]
        answers = ", ".join([f"{STEERING}: -1 (left) to 1 (right)", *columns])
    parts = [f"{interface.picture}: {_described_picture(interface)}", answers]
    if interface.framing:
        parts.append(f"framed inside: {interface.framing.describe()}")
    parts.append(f"prepared inside: {file.preprocessing.describe()}")
    training = {key: value for key, value in to_json(file.training).items() if value}
    metadata = {
        "description": "; ".join(parts),
        PICTURE: json.dumps(picture),
        "bcclone_preprocessing": file.preprocessing.to_json(),
        "bcclone_training": json.dumps(training),
        SEQ_LENGTH: str(interface.file.seq_length),
    }
    if interface.framing:
        metadata[FRAMING] = interface.framing.to_json()
    return metadata


def _described_picture(interface: "Interface") -> str:
    """Return what an exported file takes, in words."""
    width, height = interface.size
    words = f"the camera's picture, {width}x{height} pixels, RGB, 0 to 255"
    if interface.picture_type == "uint8":
        return f"{words}, uint8"
    return f"{words}, or 0 to 1 as donkeycar gives it, {interface.picture_type}"


# ---- the program beside it: it needs the file's runtime, NumPy and Pillow, but neither bcclone nor
# Keras

# The name of the exported file does not stand in the program: it could contain code.
_PROGRAM = '''\
"""Print the steering for pictures of the camera, from -1 (left) to 1 (right).

Written by bcclone export, for the file beside it that has this name without .py. Give it the paths
of the pictures, in the order of the drive. The file takes {{ width }}x{{ height }} pixels, RGB, \
{{ type }},
with numbers from 0 to 255. Needs: pip install \
{{ "onnxruntime" if onnx else "ai-edge-litert" }} numpy pillow
"""

import sys
from pathlib import Path

import numpy as np
{% if onnx %}
import onnxruntime
{% else %}
from ai_edge_litert.interpreter import Interpreter
{% endif %}
from PIL import Image

if len(sys.argv) < 2:
    sys.exit(__doc__)
sys.stdout.reconfigure(errors="backslashreplace")  # names of pictures that are not UTF-8, too
file = Path(__file__).with_suffix("")
if not file.is_file():
    sys.exit(f"{file}: no such file; keep this program beside the exported file")
content = file.read_bytes()  # the runtime opens no file whose name is not UTF-8
{% if onnx %}
session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]


def answer(**inputs):
    return dict(zip(names, session.run(names, inputs)))


{% else %}
answer = Interpreter(model_content=content).get_signature_runner()
{% endif %}
{% if states %}
states = {name: np.zeros((1, size), np.float32) for name, size in {{ states }}.items()}
steps = {{ length }}  # the network takes this many on the first picture, then one on each
{% elif length > 1 %}
window = []  # the last pictures, oldest first
{% endif %}
for path in sys.argv[1:]:
    try:
        picture = np.asarray(Image.open(path).convert("RGB"), np.{{ type }})
    except OSError as error:
        sys.exit(f"{path}: {error}; expected a picture of the camera")
    if picture.shape != ({{ height }}, {{ width }}, 3):
        sys.exit(f"{path}: {picture.shape}, expected ({{ height }}, {{ width }}, 3)")
{% if states %}
    for _ in range(steps):
        outputs = answer({{ input }}=picture[np.newaxis], **states)
        states = {name: outputs["next_" + name] for name in states}
    steps = 1
{% elif length > 1 %}
    if not window:  # the first picture of a drive fills the window
        window = [picture] * {{ length }}
    window = [*window[1:], picture]
    outputs = answer({{ input }}=np.stack(window)[np.newaxis])
{% else %}
    outputs = answer({{ input }}=picture[np.newaxis])
{% endif %}
    print(path, outputs["{{ steering }}"][0, 0])
'''


def _example_program(to: str, interface: "Interface") -> str:
    """Return the program for a file of this format."""
    from jinja2 import Template

    width, height = interface.size
    sizes = {name: size for name, (size, *_) in interface.inputs.items()}
    sizes.pop(interface.picture)
    program = Template(_PROGRAM, trim_blocks=True, keep_trailing_newline=True)
    text: str = program.render(
        onnx=to == ONNX,
        input=interface.picture,
        type=interface.picture_type,
        width=width,
        height=height,
        length=interface.file.seq_length,
        states=sizes,
        steering=interface.steering,
    )
    return text
