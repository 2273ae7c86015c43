"""The preparation of frames in exported files computes the same as OpenCV, pixel for pixel."""

import numpy as np
import pytest
import tensorflow as tf

from bcclone.camera.framing import Framing, Lens
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.realcar.export_model.exact_frames import prepare_frames, prepare_pictures
from bcclone.realcar.export_model.exported_files import OPSET

SIZES = {
    "smaller": Preprocessing(width=64, height=64),
    "half": Preprocessing(width=160, height=80),
    "half down": Preprocessing(width=320, height=80, color="GRAY"),
    "larger": Preprocessing(width=500, height=300, color="YUV"),
    "rows": Preprocessing(width=320, height=93, crop_top=67, color="BGR-YUV"),
    "taller rows": Preprocessing(width=128, height=128, crop_top=67),
    "tiny": Preprocessing(width=9, height=8),
    "columns": Preprocessing.of("rows 60-140, columns 40-280, 100x50, BGR"),
    "blurred": Preprocessing.of("rows 55-135, blur 5, 64x64, YUV, area"),
    "blurred last": Preprocessing.of("BGR-GRAY, 128x32, blur 7"),
}
DEFINITIONS = PRESETS | SIZES
_ALL_COLOURS = 1 << 24


def by_tensorflow(frames, preprocessing):
    return prepare_frames(frames, preprocessing).numpy()


def by_onnx(frames, preprocessing):
    onnxruntime = pytest.importorskip("onnxruntime")
    tf2onnx = pytest.importorskip("tf2onnx")
    specs = [tf.TensorSpec((None, *frames.shape[1:]), tf.uint8, name="frame")]
    prepare = tf.function(
        lambda frames: {"prepared": prepare_frames(frames, preprocessing)}, autograph=False
    )
    model, _ = tf2onnx.convert.from_function(prepare, input_signature=specs, opset=OPSET)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["prepared"], {"frame": frames})[0]


BY_ONNX = ("nvidia-66x200-yuv", "half down", "course-66x200-yuv")


@pytest.mark.parametrize(
    ("prepare", "name"),
    [*((by_tensorflow, name) for name in DEFINITIONS), *((by_onnx, name) for name in BY_ONNX)],
)
def test_frames_are_prepared_as_by_opencv(prepare, name):
    preprocessing, random = DEFINITIONS[name], np.random.default_rng(0)
    noise = random.integers(0, 256, (6, 160, 320, 3), dtype=np.uint8)
    edges = np.repeat(
        np.repeat(random.integers(0, 2, (6, 32, 40, 3), dtype=np.uint8) * 255, 5, 1), 8, 2
    )
    frames = np.concatenate([noise, edges])
    expected = np.stack([preprocessing.apply(frame) for frame in frames])
    assert np.array_equal(prepare(frames, preprocessing), expected)


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [by_tensorflow, by_onnx])
@pytest.mark.parametrize("color", ["YUV", "BGR-YUV", "GRAY"])
def test_every_colour_is_converted_as_by_opencv(prepare, color):
    numbers = np.arange(_ALL_COLOURS, dtype=np.uint32)
    colours = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], -1).astype(np.uint8)
    height, width = 256, 256
    preprocessing = Preprocessing(
        width=width, height=height, frame_width=width, frame_height=height, color=color
    )
    for frames in colours.reshape(16, -1, height, width, 3):
        expected = np.stack([preprocessing.apply(frame) for frame in frames])
        assert np.array_equal(prepare(frames, preprocessing), expected)


SIZES_OF_CAMERAS = [
    (160, 120), (320, 240), (640, 480), (640, 320), (224, 224), (320, 180), (200, 66), (160, 400), (648, 486),
    (640, 400), (144, 80),
]  # fmt: skip
CUT = {
    "rows": Framing(160, 120, rows=(40, 120), columns=(8, 152)),
    "lens": Framing(160, 120, lens=Lens(120.0, 45.0, 79.5)),
    "fisheye": Framing(161, 123, lens=Lens(60.0, 50.0, 70.0, roll_degrees=4.0, fisheye=True)),
    "reduced": Framing(640, 480, lens=Lens(500.0, 205.0, 330.0)),
}


@pytest.mark.parametrize("framing", [*(Framing(*size) for size in SIZES_OF_CAMERAS), *CUT.values()])
def test_pictures_of_other_cameras_are_prepared_as_by_opencv(framing):
    shape = (3, framing.height, framing.width, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for name in ("carnd-160x320-rgb", "carnd-128-rgb", "nvidia-66x200-yuv", "smaller"):
        expected = np.stack(
            [DEFINITIONS[name].apply(framing.apply(picture)) for picture in pictures]
        )
        assert np.array_equal(
            prepare_pictures(pictures.astype(np.float32), DEFINITIONS[name], framing), expected
        ), name
