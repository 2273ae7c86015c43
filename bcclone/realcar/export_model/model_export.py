"""Export a model: write it in a format of other programs, and compare the file with the model.

In: `ExportModelSettings`. Out: a .onnx or .tflite file, beside it an example program that steers
with it, and an `ExportModelResult`. A file prepares frames with the operations of its format, so
its steering differs a little; the result says how much.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.camera.images import IMAGE_ENDINGS, BadImage, Image, decode_image, resized
from bcclone.model.onnx_model import load_onnxruntime
from bcclone.realcar.export_model.costs import Costs, costs_of
from bcclone.realcar.export_model.export_settings import (
    DONKEYCAR,
    FORMATS,
    INT8,
    LITERT,
    ONNX,
    TFLITE,
    ExportModelSettings,
)
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError, require_package
from bcclone.system.files import EXAMPLE, check_output, inputs_of, replacing, write_text, writes
from bcclone.system.location import is_hidden
from bcclone.system.numbers import evenly
from bcclone.system.process import Notify

if TYPE_CHECKING:  # these load TensorFlow
    from bcclone.model.model_file import ModelFile
    from bcclone.realcar.export_model.exported_files import Differences
    from bcclone.realcar.export_model.interface import Interface


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
    costs: Costs | None  # what an answer of a LiteRT file costs; None for ONNX

    def as_text(self) -> str:
        """Return the file's shapes, how it answers, what that costs, and where it can run."""
        lines = [*_shape_lines("input", self.inputs), *_shape_lines("output", self.outputs)]
        lines.append(f"it takes {self.picture}")
        if self.framing:
            lines.append(f"it frames the picture itself: {self.framing}")
        if self.throttle:
            lines.append(f"throttle: {self.throttle}")
        unread = ""
        if self.unreadable:
            unread = f", {self.unreadable} could not be read"
        runtime = ""
        if self.to == DONKEYCAR:
            runtime = ", without XNNPACK, as donkeycar runs it"
        lines += [
            f"{self.output}: written, {self.megabytes:g} MB",
            f"{self.example}: written, a short program that steers with it, without bcclone",
            f"its steering differs from that of {self.model} by {self.mean_difference:.1e} on "
            f"average and {self.greatest_difference:.1e} at most, on {self.frames} frames of "
            f"{self.frames_of}{unread}; it prepares them with the operations of its format, the "
            "model with OpenCV",
            f"{self.milliseconds:.2f} ms for a frame, the median on one core of this machine"
            f"{runtime}",
        ]
        if self.costs:
            lines += _cost_lines(self.costs)
        if self.to == DONKEYCAR:
            name = Path(self.output).name
            lines.append(
                f"next, on the car: python manage.py drive --model models/{name} "
                "--type tflite_linear"
            )
        return "\n".join(lines)


def _shape_lines(kind: str, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    return [f"{kind} {name}: {' x '.join(map(str, shape))}" for name, shape in shapes.items()]


def _cost_lines(costs: Costs) -> list[str]:
    boards = ", ".join(f"{ms:.0f} ms on a {board}" for board, ms in costs.estimated_ms.items())
    return [
        f"{costs.multiply_adds / 1e6:.1f} million multiply-adds and "
        f"{costs.other_operations / 1e6:.1f} million other operations; an estimate from these "
        f"counts, not measured: {boards}",
        f"oldest runtime by its operations: TensorFlow Lite {costs.oldest_runtime or 'unknown'}",
    ]


_ROAD_PICTURES = 20  # pictures along the simulated lake track, for a comparison without --calibrate
_WRITERS = {  # extra -> the package that it brings
    ONNX: "tf2onnx",
    LITERT: "ai_edge_litert.interpreter",
}


@writes(lambda settings: FORMATS[settings.to][0], "path")
def export_model(
    settings: ExportModelSettings, notify: Notify = lambda line: None
) -> ExportModelResult:
    """Write a model with the preparation of its frames in another format, whole or not at all.

    Raises UserError when a package is missing, when the model cannot be loaded or has layers that
    the format lacks, when the pictures to calibrate with cannot be read, when the output cannot be
    written, and when the written file computes something else than the model.

    notify: called with a line for each step
    """
    _require_packages(settings.to)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as the runtimes that the model is compared in
    from bcclone.model.model_file import load_model  # loads Keras, so it comes last

    check_output(settings.example, EXAMPLE, settings.force, inputs_of(settings))
    file = load_model(settings.model, settings.preprocess)
    interface = _interface_of(file, settings)
    pictures = _pictures_for(settings, interface)
    written = _write(settings, file, interface, pictures, notify)
    from bcclone.realcar.export_model.example_program import example_program

    write_text(settings.example, example_program(settings.to, interface))
    return _result(settings, file, interface, pictures, written)


@dataclass(frozen=True)
class _Pictures:
    """Pictures of the car's camera, uint8 (height, width, 3) each."""

    calibration: list[Image]  # from which int8 takes its ranges; empty without --calibrate
    comparison: list[Image]  # others, on which the file is compared with the model
    unreadable: int  # number of pictures of --calibrate that could not be read


def _pictures_for(settings: ExportModelSettings, interface: "Interface") -> _Pictures:
    """Return the pictures of --calibrate, every second of them for each use, or of the lake."""
    pictures: list[Image] = []
    unreadable = 0
    if settings.calibrate:
        pictures, unreadable = read_pictures(settings.calibrate, interface.camera.size)
    comparison = pictures[1::2] or road_pictures(_ROAD_PICTURES, interface.camera.size)
    return _Pictures(pictures[::2], comparison, unreadable)


def _require_packages(to: str) -> None:
    """Name missing packages before the model is loaded, which takes long."""
    if to == ONNX:
        load_onnxruntime()  # only for its error, if it is missing
    extra = ONNX
    if to in TFLITE:
        extra = LITERT
    require_package(_WRITERS[extra], f"--to {to}", f"bcclone[{extra}]")


def _interface_of(file: "ModelFile", settings: ExportModelSettings) -> "Interface":
    """Return the interface of the exported file; raises UserError for what cannot be exported."""
    from bcclone.realcar.export_model.frame_preparation import check_preparation
    from bcclone.realcar.export_model.interface import (
        donkeycar_interface,
        exported_camera,
        picture_interface,
    )

    check_preparation(settings.model, file.preprocessing)
    camera = exported_camera(file, settings)
    if settings.to == DONKEYCAR:
        interface = donkeycar_interface(file, settings, camera)
    else:
        interface = picture_interface(file, camera)
    if settings.quantize == INT8 and list(interface.inputs.values()) != [camera.shape]:
        raise UserError(
            f"{settings.model}: it sees several frames; --quantize int8 takes networks of single "
            "frames; use --quantize float16"
        )
    return interface


@dataclass(frozen=True)
class _Written:
    """A written file, and what was measured with it."""

    content: bytes
    apart: "Differences"
    milliseconds: float  # median time of an answer


def _write(
    settings: ExportModelSettings,
    file: "ModelFile",
    interface: "Interface",
    pictures: _Pictures,
    notify: Notify,
) -> _Written:
    """Write the file; if it computes something else than the model, none is left."""
    from bcclone.realcar.export_model.exported_files import check_answers, median_ms, write_exported

    frames = pictures.comparison
    with replacing(settings.path, follow=True) as new:
        preparation = file.preprocessing.describe()
        notify(f"{settings.model}: writing it as {settings.to}, with {preparation} inside")
        write_exported(new, settings, file, interface, interface.inputs_of(pictures.calibration))
        notify(f"comparing its answers with the model's on {len(frames)} frames")
        apart = check_answers(new, settings, interface, frames)
        milliseconds = median_ms(new, settings.to, interface, frames[-_ROAD_PICTURES:])
        return _Written(new.read_bytes(), apart, milliseconds)


def _result(
    settings: ExportModelSettings,
    file: "ModelFile",
    interface: "Interface",
    pictures: _Pictures,
    written: _Written,
) -> ExportModelResult:
    from bcclone.realcar.export_model.file_metadata import described_picture

    framing = interface.camera.framing
    costs = None
    if settings.to in TFLITE:
        costs = costs_of(written.content)
    return ExportModelResult(
        model=str(settings.model),
        output=str(settings.path),
        example=str(settings.example),
        to=settings.to,
        megabytes=round(len(written.content) / 1e6, 3),
        inputs=dict(interface.inputs),
        outputs=dict(interface.outputs),
        picture=described_picture(interface),
        framing=framing.describe() if framing else "",
        preprocessing=file.preprocessing.describe(),
        frames=len(pictures.comparison),
        frames_of=str(settings.calibrate or "the simulated lake"),
        greatest_difference=float(written.apart.from_model.max()),
        mean_difference=float(written.apart.from_model.mean()),
        unreadable=pictures.unreadable,
        milliseconds=round(written.milliseconds, 3),
        throttle=interface.throttle,
        costs=costs,
    )


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

    Raises UserError if fewer than 20 pictures can be read.

    folder: a recording, a tub or another folder
    camera: width and height to which the pictures are resized
    """
    paths = _picture_paths(folder)
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


def _picture_paths(folder: Path) -> list[Path]:
    """Return the pictures in a folder and below it, without those of side cameras, sorted."""
    paths = []
    for parent, _, names in os.walk(folder):
        for name in names:
            is_picture = name.lower().endswith(IMAGE_ENDINGS) and not is_hidden(name)
            if is_picture and not _SIDE_CAMERA.match(name):
                paths.append(Path(parent, name))
    return sorted(paths)
