"""Run an exported file, and compare its answers with the model's, on noise or on pictures of the user's camera."""

import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bcclone.dataset.images import BadImage, Image, decode_image
from bcclone.lab.export_model.export_settings import DONKEYCAR, INT8, ONNX, TFLITE, TOLERANCE, ExportModelSettings
from bcclone.lab.export_model.interface import Inputs, Interface, Outputs, Run
from bcclone.model.onnx_model import OnnxModel
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError, first_line
from bcclone.system.opencv import cv2

QUANTIZED_TOLERANCE = 0.01  # of the mean difference
_TIMED = 100
_ENDINGS = (".jpg", ".jpeg", ".png")
# as in recordings, in tables and in tubs
_SIDE_CAMERA = re.compile(r"(left|right)_|\d+_(cam_image_array_)?(left|right)_?\.", re.IGNORECASE)
_PICTURES, _FEWEST = 400, 20


@dataclass(frozen=True)
class Differences:
    """How far the answers of an exported file and its model are apart. greatest: of all outputs; mean: of the worst."""

    greatest: float
    mean: float


def open_exported(path: Path, kind: str) -> Run:
    """Return a function that runs a file of a format for one drive, on one core."""
    if kind == ONNX:
        model = OnnxModel(path)
        return lambda inputs: dict(zip(model.signature.outputs, model.run(inputs), strict=True))
    return _open_litert(path, kind) if kind in TFLITE else _open_saved_model(path)


def _open_litert(path: Path, kind: str) -> Run:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # donkeycar 5.3 with tflite-runtime runs signatures before memory is allocated, for which XNNPACK is left out
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if kind == DONKEYCAR else OpResolverType.AUTO
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=resolver)
    runner = interpreter.get_signature_runner()
    return lambda inputs: {name: np.asarray(value) for name, value in runner(**inputs).items()}


def _open_saved_model(path: Path) -> Run:
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]

    def run(inputs: Inputs, keep: Any = loaded) -> Outputs:  # the function alone does not keep the loaded model alive
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def check_answers(
    path: Path, settings: ExportModelSettings, interface: Interface, frames: Sequence[Image]
) -> Differences:
    """Return how far the answers of an exported file and its model are apart on these frames.

    Raises UserError for a file that cannot be run, and for a difference above TOLERANCE, or a mean difference above
    QUANTIZED_TOLERANCE where the weights are rounded.
    """
    refused, remedy = f"{settings.path}: not written, because", "export it with another --to, and report this"
    try:
        found = differences(interface.own, open_exported(path, settings.to), interface.inputs_of(frames))
    except Exception as error:  # of the runtime, for what the converter wrote wrongly
        raise UserError(f"{refused} it cannot be run: {first_line(error)}; {remedy}") from None
    if settings.quantize and not found.mean <= QUANTIZED_TOLERANCE:
        more = "--quantize float16, or --calibrate with pictures of more of the road"
        raise UserError(
            f"{refused} with --quantize {settings.quantize} its answers and the answers of {settings.model} differ by "
            f"{found.mean:.3f} in the mean of {len(frames)} frames, more than {QUANTIZED_TOLERANCE:g}; use "
            f"{more if settings.quantize == INT8 else 'no --quantize'}"
        )
    if not settings.quantize and not found.greatest <= TOLERANCE:
        raise UserError(
            f"{refused} its answers and the answers of {settings.model} differ by {found.greatest:.2g}, more than "
            f"{TOLERANCE:g}; {remedy}"
        )
    return found


def differences(own: Run, exported: Run, inputs: Iterable[Inputs]) -> Differences:
    """Return how far two computations are apart; NaN if one of their answers is."""
    apart: dict[str, list[float]] = {}
    for each in inputs:
        expected, answers = own(each), exported(each)
        for name in expected:
            apart.setdefault(name, []).append(np.max(np.abs(expected[name] - answers[name])))
    values = np.array(list(apart.values()))
    return Differences(float(np.max(values)), float(np.max(values.mean(axis=1))))


def median_ms(path: Path, kind: str, interface: Interface, frames: Sequence[Image]) -> float:
    run, inputs = open_exported(path, kind), list(interface.inputs_of(frames))
    seconds = []
    for number in range(_TIMED):
        start = time.perf_counter()
        run(inputs[number % len(inputs)])
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds[_TIMED // 10 :]))


@dataclass(frozen=True)
class Pictures:
    """Pictures of a camera, uint8 (height, width, 3).

    calibrating, comparing: every other one; unreadable: how many files had to be left out.
    """

    calibrating: Sequence[Image]
    comparing: Sequence[Image]
    unreadable: int


def read_pictures(folder: Path, camera: tuple[int, int]) -> Pictures:
    """Return at most 400 pictures from all over a recording, a tub or a folder, in the camera's size.

    Raises UserError where there are fewer than 20 that can be read.
    """
    paths = sorted(
        Path(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_ENDINGS) and not _SIDE_CAMERA.match(name)
    )
    frames: list[Image] = []
    unreadable = 0
    for index in np.unique(np.linspace(0, len(paths) - 1, min(2 * _PICTURES, len(paths))).astype(int)):
        try:
            picture = decode_image(read_bytes(paths[index], "image"))
            if picture.shape[1::-1] != camera:
                picture = np.asarray(cv2.resize(picture, camera, interpolation=cv2.INTER_AREA), np.uint8)
            frames.append(picture)
        except (BadImage, OSError):
            unreadable += 1
    if len(frames) < _FEWEST:
        raise UserError(
            f"{folder}: {len(frames)} pictures (.jpg, .png) that can be read, expected {_FEWEST} or more of the "
            "car's camera; name a recording, a tub or a folder of pictures"
        )
    frames = [frames[index] for index in np.linspace(0, len(frames) - 1, min(_PICTURES, len(frames))).astype(int)]
    return Pictures(frames[::2], frames[1::2], unreadable)
