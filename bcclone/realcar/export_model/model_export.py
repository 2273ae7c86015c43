"""Export a model: write it in a format of other programs, and compare that file with the model
before it is kept.

A file prepares frames with the operations of its format, so its steering differs a little; the
result says how much.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bcclone.camera.images import IMAGE_ENDINGS, BadImage, Image, decode_image
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
from bcclone.system import atomic
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError, require_package
from bcclone.system.opencv import resized
from bcclone.system.output import writes
from bcclone.system.progress import Notify
from bcclone.system.statistics import evenly

_FRAMES = 20  # along the lake track
_WRITERS = {
    ONNX: "tf2onnx",
    LITERT: "ai_edge_litert.interpreter",
}  # each in the extra of its format's name
# as in recordings, in tables and in tubs
_SIDE_CAMERA = re.compile(r"(left|right)_|\d+_(cam_image_array_)?(left|right)_?\.", re.IGNORECASE)
_PICTURES, _FEWEST = 400, 20


@dataclass(frozen=True)
class ExportModelResult:
    """An exported model."""

    model: str
    output: str  # the file written
    to: str  # its format
    megabytes: float
    inputs: dict[
        str, tuple[int, ...]
    ]  # the shape of each by its name, without the number of drives
    outputs: dict[str, tuple[int, ...]]
    preprocessing: str  # description of how the file prepares the frames
    frames: int  # in the comparison with the model
    frames_of: str  # where they are from, in words
    greatest_difference: (
        float  # of the steering on them, from that of the model, which prepares frames with OpenCV
    )
    mean_difference: float
    unreadable: int  # pictures of --calibrate that could not be read
    milliseconds: float  # median time of an answer on this machine, on one core
    throttle: str  # where that of a donkeycar comes from, in words, else ""
    costs: Costs | None  # of a LiteRT file

    def as_text(self) -> str:
        """Return the shapes of inputs and outputs, how the file answers, what that costs, and where
        it can run.
        """
        lines = [
            f"{'input' if name in self.inputs else 'output'} {name}: {' x '.join(map(str, shape))}"
            for name, shape in (self.inputs | self.outputs).items()
        ]
        lines += [f"throttle: {self.throttle}"] if self.throttle else []
        unread = f", {self.unreadable} could not be read" if self.unreadable else ""
        runtime = ", without XNNPACK, as donkeycar runs it" if self.to == DONKEYCAR else ""
        lines += [
            f"{self.output}: written, {self.megabytes:g} MB",
            f"its steering differs from that of {self.model} by {self.mean_difference:.1e} on average and "
            f"{self.greatest_difference:.1e} at most, on {self.frames} frames of {self.frames_of}{unread}; it prepares "
            "them with the operations of its format, the model with OpenCV",
            f"{self.milliseconds:.2f} ms for a frame, the median on one core of this machine{runtime}",
        ]
        if costs := self.costs:
            boards = ", ".join(
                f"{ms:.0f} ms on a {board}" for board, ms in costs.estimated_ms.items()
            )
            lines += [
                f"{costs.multiply_adds / 1e6:.1f} million multiply-adds and {costs.other_operations / 1e6:.1f} million "
                f"other operations; an estimate from these counts, not measured: {boards}",
                f"oldest runtime by its operations: TensorFlow Lite {costs.oldest_runtime or 'unknown'}",
            ]
        if self.to == DONKEYCAR:
            name = Path(self.output).name
            lines.append(
                f"next, on the car: python manage.py drive --model models/{name} --type tflite_linear"
            )
        return "\n".join(lines)


@writes(lambda settings: FORMATS[settings.to][0], "path")
def export_model(
    settings: ExportModelSettings, notify: Notify = lambda line: None
) -> ExportModelResult:
    """Write a model with the preparation of its frames in another format, completely or not at all.

    notify: called with a line for each step. Raises UserError when a package is missing, when the
    model cannot be loaded or has layers that the format lacks, when the pictures to calibrate with
    cannot be read, when the output cannot be written, and when the written file computes something
    else than the model.
    """
    if settings.to == ONNX:
        load_onnxruntime()
    extra = LITERT if settings.to in TFLITE else ONNX
    require_package(_WRITERS[extra], f"--to {settings.to}", f"bcclone[{extra}]")
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as the runtimes that the model is compared in
    from bcclone.model.model_file import load_model
    from bcclone.realcar.export_model.exported_files import check_answers, median_ms, write_exported
    from bcclone.realcar.export_model.frame_preparation import check_preparation
    from bcclone.realcar.export_model.interface import donkeycar_interface, frame_interface

    file, output = load_model(settings.model, settings.preprocess), settings.path
    check_preparation(settings.model, file.preprocessing)
    interface = (
        donkeycar_interface(file, settings) if settings.to == DONKEYCAR else frame_interface(file)
    )
    if settings.quantize == INT8 and list(interface.inputs.values()) != [
        (*interface.camera[::-1], 3)
    ]:
        raise UserError(f"{settings.model}: it sees several frames; --quantize int8 takes networks of single frames; "
                        "use --quantize float16")  # fmt: skip
    pictures, unreadable = (
        read_pictures(settings.calibrate, interface.camera) if settings.calibrate else ([], 0)
    )
    frames = pictures[1::2] or road_pictures(_FRAMES, interface.camera)
    with atomic.replacing(output, follow=True) as new:
        notify(
            f"{settings.model}: writing it as {settings.to}, with {file.preprocessing.describe()} inside"
        )
        write_exported(new, settings, file, interface, interface.inputs_of(pictures[::2]))
        notify(f"comparing its answers with the model's on {len(frames)} frames")
        apart = check_answers(new, settings, interface, frames)
        milliseconds = median_ms(new, settings.to, interface, frames[-_FRAMES:])
        size = new.stat().st_size
        costs = costs_of(new.read_bytes()) if settings.to in TFLITE else None
    return ExportModelResult(
        model=str(settings.model),
        output=str(output),
        to=settings.to,
        megabytes=round(size / 1e6, 3),
        inputs=dict(interface.inputs),
        outputs=dict(interface.outputs),
        preprocessing=file.preprocessing.describe(),
        frames=len(frames),
        frames_of=str(settings.calibrate or "the simulated lake"),
        greatest_difference=float(apart.steering.max()),
        mean_difference=float(apart.steering.mean()),
        unreadable=unreadable,
        milliseconds=round(milliseconds, 3),
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


def read_pictures(folder: Path, camera: tuple[int, int]) -> tuple[list[Image], int]:
    """Return at most 400 pictures from all over a recording, a tub or a folder, in the camera's
    size.

    Also returns how many files had to be left out. Raises UserError where there are fewer than 20
    that can be read.
    """
    paths = sorted(
        Path(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(IMAGE_ENDINGS) and not _SIDE_CAMERA.match(name)
    )
    pictures: list[Image] = []
    unreadable = 0
    for index in evenly(len(paths), 2 * _PICTURES):
        try:
            picture = decode_image(read_bytes(paths[index], "image"))
            if picture.shape[1::-1] != camera:
                picture = resized(picture, camera)
            pictures.append(picture)
        except (BadImage, OSError):
            unreadable += 1
    if len(pictures) < _FEWEST:
        raise UserError(
            f"{folder}: {len(pictures)} pictures (.jpg, .png) that can be read, expected {_FEWEST} or more of the "
            "car's camera; name a recording, a tub or a folder of pictures"
        )
    return [pictures[index] for index in evenly(len(pictures), _PICTURES)], unreadable
