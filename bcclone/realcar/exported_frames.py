"""Camera pictures -> the network's inputs, by operations that every exported format has.

This is Preprocessing.apply(), and Framing.apply() before it, in an exported file. TensorFlow
resizes and converts colours a little otherwise than OpenCV, so a pixel may differ from the model's
own; export_model() measures what that makes of the steering.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bcclone.camera.framing import STEPS_PER_PIXEL, Framing, sampling_of
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, cv2
from bcclone.dataset.preprocessing import Preprocessing, color_matrices
from bcclone.system.numbers import FloatArray

Pixels = npt.NDArray[np.int32]


def prepare(pictures: Any, preprocessing: Preprocessing, framing: Framing | None = None) -> Any:
    """Return the network's inputs, float32 (pictures, height, width, channels).

    They are whole numbers from 0 to 255.

    pictures: RGB, 0 to 255 (pictures, rows, columns, 3), of the framing's size; without a framing,
        frames of the simulator
    """
    images = _of_fixed_size(pictures)
    if framing:
        images = _framed(images, framing, preprocessing)
    else:
        left, top, right, bottom = preprocessing.region
        images = images[:, top:bottom, left:right]
    for step in preprocessing.steps:
        if step == "size":
            images = _resized(
                images, preprocessing.width, preprocessing.height, preprocessing.interpolation
            )
        elif step == "blur":
            images = _blurred(images, preprocessing.blur)
        else:
            images = _recolored(images, preprocessing)
    return tf.round(images)


def _of_fixed_size(pictures: Any) -> Any:
    """Return pictures as float32, by operations that refuse pictures of another size in LiteRT.

    LiteRT adapts an input to the size of any picture, and would answer pictures of another size
    with a wrong steering. It raises an error where a row of another length, or a column of another
    height, is added to them; so both are added, and taken away. ONNX fixes the sizes itself.
    """
    images = tf.cast(pictures, tf.float32)
    count, rows, columns, channels = images.shape
    if count is None:
        return images
    row = tf.zeros((count, 1, columns, channels))
    column = tf.zeros((count, rows + 1, 1, channels))
    larger = tf.concat([tf.concat([images, row], axis=1), column], axis=2)
    return larger[:, :rows, :columns]


def _resized(images: Any, width: int, height: int, interpolation: str) -> Any:
    """Return images, (images, rows, columns, channels), resized.

    LiteRT and ONNX have no resizing by area. In its place, images are resized linearly to a whole
    multiple of the size, and each block of pixels is averaged.

    interpolation: "linear" or "area"
    """
    rows, columns = images.shape[1:3]
    down = 1
    across = 1
    if interpolation == "area":
        down = max(rows // height, 1)
        across = max(columns // width, 1)
    size = (height * down, width * across)
    if (rows, columns) != size:
        images = tf.image.resize(images, size, "bilinear")
    if (down, across) == (1, 1):
        return images
    return tf.nn.avg_pool2d(images, (down, across), (down, across), "VALID")


def _blurred(images: Any, size: int) -> Any:
    """Return images blurred by a Gaussian kernel of `size` rows and columns."""
    kernel = cv2.getGaussianKernel(size, 0)
    weights = np.repeat((kernel @ kernel.T)[:, :, np.newaxis, np.newaxis], images.shape[3], axis=2)
    edge = (size // 2, size // 2)
    padded = tf.pad(images, [(0, 0), edge, edge, (0, 0)], "REFLECT")
    return tf.nn.depthwise_conv2d(padded, weights.astype(np.float32), (1, 1, 1, 1), "VALID")


def _recolored(images: Any, preprocessing: Preprocessing) -> Any:
    """Return RGB images in the preprocessing's colours."""
    matrix, _ = color_matrices(preprocessing.color)
    recolored = tf.tensordot(images, matrix[:, :3].T, axes=1) + matrix[:, 3]
    return tf.clip_by_value(recolored, 0.0, 255.0)


def _framed(pictures: Any, framing: Framing, preprocessing: Preprocessing) -> Any:
    """Return the region of the frames that the preprocessing keeps.

    A plain preprocessing (see is_plain) would resize this region next; then the result has the
    final size already, so that the pictures are sampled only once.
    """
    # the places in the picture that a frame's pixels show, (rows, columns, 2): column and row
    if framing.lens:
        sampling = sampling_of(framing)
        width = sampling.width
        height = sampling.height
        places = sampling.corner + sampling.fraction / STEPS_PER_PIXEL
    else:
        # cut the rows and columns that the framing states; None keeps all of them
        pictures = pictures[
            :, slice(*(framing.rows or (None,))), slice(*(framing.columns or (None,)))
        ]
        rows, columns = pictures.shape[1:3]
        # a picture with more detail than the frame is first reduced by whole factors
        width = columns // max(columns // FRAME_WIDTH, 1)
        height = rows // max(rows // FRAME_HEIGHT, 1)
        across = (np.arange(FRAME_WIDTH) + 0.5) * width / FRAME_WIDTH - 0.5
        down = (np.arange(FRAME_HEIGHT) + 0.5) * height / FRAME_HEIGHT - 0.5
        places = np.stack(np.meshgrid(across, down), axis=-1)
    # only the places of the pixels that the preprocessing keeps
    left, top, right, bottom = preprocessing.region
    places = places[top:bottom, left:right]
    if preprocessing.is_plain:
        size = (preprocessing.width, preprocessing.height)
        places = np.asarray(cv2.resize(places, size), np.float64)
    return _sampled(_resized(pictures, width, height, "area"), places)


def _sampled(pictures: Any, places: FloatArray) -> Any:
    """Return the colours of pictures at these places, linearly interpolated.

    pictures: (pictures, rows, columns, 3)
    places: column and row of each pixel of the result, (height, width, 2)
    """
    rows, columns = pictures.shape[1:3]
    # beyond the picture, its edge is repeated
    places = np.clip(places, 0, (columns - 1, rows - 1))
    corner = places.astype(np.int32)
    part = (places - corner).astype(np.float32)
    across = part[..., :1]
    down = part[..., 1:]
    left = corner[..., 0]
    right = np.minimum(left + 1, columns - 1)
    upper = columns * corner[..., 1]
    lower = columns * np.minimum(corner[..., 1] + 1, rows - 1)
    flat = tf.reshape(pictures, (-1, rows * columns, 3))

    def between(row: Pixels) -> Any:
        first = tf.gather(flat, row + left, axis=1)
        return first + (tf.gather(flat, row + right, axis=1) - first) * across

    above = between(upper)
    return above + (between(lower) - above) * down
