"""Explore one picture: a model and a camera frame -> a PNG of the crop, the saliency and the
activations, with the steering that the model answers for the frame and for the views of the side
cameras.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.geometry import CameraMove, warp_to
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame, try_frame
from bcclone.camera.vehicle import MOUNTS
from bcclone.model.model_file import ModelFile
from bcclone.model.policy import Policy, window_after
from bcclone.model.saliency import Saliency
from bcclone.pictures.overlay import saliency_overlay
from bcclone.pictures.plots.network_pictures import (
    CROP_WIDTHS,
    SHEET_WIDTH,
    SHEETS_TITLE,
    draw_crop,
    draw_sheets,
    sheet_heights,
    sheets_of,
)
from bcclone.pictures.plots.style import new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn
from bcclone.recording.files import LOG_NAME, ImageIndex
from bcclone.recording.log import read_log
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.output import PICTURE, check_output

_CROP_INCHES, _VIEWS_INCHES, _SHEETS_TITLE_INCHES = 3.0, 2.6, 0.4


@dataclass(frozen=True)
class SideView:
    """What a model answers for the view of a side camera; without a recorded view, one computed
    from the image.
    """

    steering: float
    recorded: bool


@dataclass(frozen=True)
class ExploredImage:
    """The picture of an explored image, and what the model answers for it.

    recorded_steering: of its row, None if no recording lies beside the image; sides: camera -> its
    view; left_out: part of the picture -> why it was not drawn.
    """

    path: Path
    steering: float
    recorded_steering: float | None
    sides: Mapping[str, SideView]
    left_out: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints; null stands for the steering of a network that diverged."""

        def finite(steering: float) -> float | None:
            return steering if math.isfinite(steering) else None

        return {
            "output": str(self.path),
            "steering": finite(self.steering),
            "recorded_steering": self.recorded_steering,
            "sides": {
                side: vars(one) | {"steering": finite(one.steering)}
                for side, one in self.sides.items()
            },
            "skipped": dict(self.left_out),
        }

    def as_text(self) -> str:
        recorded = (
            "" if self.recorded_steering is None else f" (recorded: {self.recorded_steering:+.3f})"
        )
        lines = [str(self.path), f"steering      {self.steering:+.3f}{recorded}"]
        for side, view in self.sides.items():
            source = "recorded view" if view.recorded else "view computed from the image"
            lines.append(f"{side:<6}camera  {view.steering:+.3f} ({source})")
        return "\n".join(
            [*lines, *(f"left out: {part}: {reason}" for part, reason in self.left_out.items())]
        )


def draw_image(file: ModelFile, image: Path, frame: Image, path: Path) -> ExploredImage:
    """Draw what a model sees in an image and what it answers into a PNG; frame: the image, RGB
    uint8 (160, 320, 3).
    """
    check_output(path, PICTURE, force=True)
    policy = Policy(file).without_framing()
    was, recorded = _row_of(image)

    def steering_of(view: Image) -> float:
        """Return the steering for a frame as the first of a drive; of a network of windows, it
        fills the window.
        """
        policy.forget()
        return policy.answer(view).steering

    views = {
        side: recorded[side] if side in recorded else _moved(frame, side)
        for side in ("left", "right")
    }
    sides = {side: SideView(steering_of(view), side in recorded) for side, view in views.items()}
    steering, left_out = steering_of(frame), dict[str, str]()
    lit, sheets = _decided(file, frame, left_out)
    ratios = sheet_heights(sheets)
    heights = [
        _CROP_INCHES,
        _VIEWS_INCHES,
        *([_SHEETS_TITLE_INCHES + sum(ratios)] if sheets else []),
    ]
    title = f"{image.name}: the model steers {steering:+.3f}{'' if was is None else f', recorded {was:+.3f}'}"
    figure = new_figure(SHEET_WIDTH, sum(heights) + 0.4, title)
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    draw_crop(parts[0].subplots(1, 3, width_ratios=CROP_WIDTHS), file, frame)
    left, center, right = parts[1].subplots(1, 3)
    show_image(
        center, lit, "no saliency of this network" if lit is frame else "saliency (VisualBackProp)"
    )
    for axes, (side, one) in zip((left, right), sides.items(), strict=True):
        source = "recorded" if one.recorded else "computed"
        show_image(axes, views[side], f"{side} camera ({source}): {one.steering:+.3f}")
    if sheets:
        parts[2].suptitle(SHEETS_TITLE, fontsize=11)
        draw_sheets(
            parts[2].subplots(len(sheets), 1, height_ratios=ratios, squeeze=False)[:, 0], sheets
        )
    save(figure, path)
    return ExploredImage(path, steering, was, sides, left_out)


def _decided(
    file: ModelFile, frame: Image, left_out: dict[str, str]
) -> tuple[Image, dict[str, Float32Array]]:
    """Return the frame with its saliency, and the sheets of activations; name what is left out,
    with the reason.
    """
    lit, sheets = frame, dict[str, Float32Array]()
    try:
        window = window_after((), file.preprocessing.apply(frame), file.seq_length)
        sheets = sheets_of(file.model, np.stack(window).reshape(file.model.input_shape[1:]))
    except NotDrawn as error:
        left_out["activations"] = str(error)
    try:
        lit = saliency_overlay(frame, np.sqrt(Saliency(file.model, file.preprocessing).mask(frame)))
    except UserError as error:
        left_out["saliency"] = str(error)
    return lit, sheets


def read_image(image: Path) -> Image:
    """Return a camera frame, RGB uint8 (160, 320, 3); raises UserError for any other file."""
    try:
        return read_frame(str(image))
    except BadImage as error:
        raise UserError(
            f"{image}: {error}; expected a camera frame of the simulator, a JPEG of {FRAME_WIDTH}x{FRAME_HEIGHT} "
            "pixels: name one of a recording's IMG folder"
        ) from None


def _row_of(image: Path) -> tuple[float | None, dict[str, Image]]:
    """Return the steering and the side cameras' frames of the row whose centre image this is.

    The log is in its folder or in the one above. Return None and {} without such a row.
    """
    for log in (image.parent / LOG_NAME, image.absolute().parent.parent / LOG_NAME):
        with suppress(UserError):  # no log, or that of another program
            rows, index = read_log(log, edited=False).rows, ImageIndex(log)
            for row in rows[rows["center"] == image.name].to_dict("records"):
                frames = {side: try_frame(index.find(row[side]))[0] for side in ("left", "right")}
                return float(row["steering"]), {
                    side: one for side, one in frames.items() if one is not None
                }
    return None, {}


def _moved(frame: Image, side: str) -> Image:
    """Return the view of the centre camera from the place of a side camera."""
    (right, _, ahead), (_, _, center_ahead) = MOUNTS[side], MOUNTS["center"]
    return warp_to(CameraMove(right, 0.0, ahead_m=ahead - center_ahead)).apply(
        frame, FRAME_WIDTH, FRAME_HEIGHT
    )
