"""Explore one image: a model and a camera frame -> a PNG of what the model sees and answers.

The PNG shows the crop, the saliency, the activations, and the views of the side cameras, with the
steering that the model answers for each view.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bcclone.camera.geometry import CameraMove, warp_to
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame, try_frame
from bcclone.camera.vehicle import MOUNTS
from bcclone.model.loaded_model import ModelFile
from bcclone.model.policy import Policy, window_after
from bcclone.model.saliency import Saliency
from bcclone.pictures.overlay import saliency_overlay
from bcclone.pictures.plots.activation_pictures import (
    SHEET_WIDTH,
    SHEETS_TITLE,
    draw_sheets,
    sheet_heights,
    sheets_of,
)
from bcclone.pictures.plots.crop_pictures import CROP_WIDTHS, draw_crop
from bcclone.pictures.plots.style import new_figure, save, show_image
from bcclone.pictures.plots.subject import NotDrawn
from bcclone.recording.files import LOG_NAME, ImageIndex
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from bcclone.system.files import PICTURE, check_output
from bcclone.system.numbers import Float32Array


@dataclass(frozen=True)
class SideView:
    """What a model answers for the view of a side camera."""

    steering: float
    recorded: bool  # whether the view was recorded; if not, it is computed from the image


@dataclass(frozen=True)
class ExploredImage:
    """The picture of an explored image, and what the model answers for it."""

    path: Path
    steering: float  # what the model answers for the image
    recorded_steering: float | None  # in the image's log row; None if no log lies beside it
    sides: Mapping[str, SideView]  # "left" and "right" -> what the model answers for the view
    left_out: Mapping[str, str]  # part of the picture -> why it was not drawn

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints; null stands for the steering of a network that diverged."""

        def finite(steering: float) -> float | None:
            return steering if math.isfinite(steering) else None

        sides = {
            side: {"steering": finite(view.steering), "recorded": view.recorded}
            for side, view in self.sides.items()
        }
        return {
            "output": str(self.path),
            "steering": finite(self.steering),
            "recorded_steering": self.recorded_steering,
            "sides": sides,
            "skipped": dict(self.left_out),
        }

    def as_text(self) -> str:
        line = f"steering      {self.steering:+.3f}"
        if self.recorded_steering is not None:
            line += f" (recorded: {self.recorded_steering:+.3f})"
        lines = [str(self.path), line]
        for side, view in self.sides.items():
            source = "recorded view" if view.recorded else "view computed from the image"
            lines.append(f"{side:<6}camera  {view.steering:+.3f} ({source})")
        lines += [f"left out: {part}: {reason}" for part, reason in self.left_out.items()]
        return "\n".join(lines)


# heights of the picture's parts, in inches
_CROP_INCHES = 3.0
_VIEWS_INCHES = 2.6
_SHEETS_TITLE_INCHES = 0.4


def draw_image(file: ModelFile, image: Path, frame: Image, path: Path) -> ExploredImage:
    """Draw what a model sees in an image and what it answers into a PNG.

    frame: the image, RGB uint8 (160, 320, 3)
    """
    check_output(path, PICTURE, force=True)
    policy = Policy(file).without_framing()

    def steering_of(view: Image) -> float:
        """Return the steering for a frame as the first frame of a drive.

        For a network of windows, the frame fills the window.
        """
        policy.forget()
        return policy.answer(view).steering

    # a side camera's view is computed where none was recorded
    recorded_steering, recorded_views = _row_of(image)
    views = {side: _moved(frame, side) for side in ("left", "right")} | recorded_views
    sides = {
        side: SideView(steering_of(view), side in recorded_views) for side, view in views.items()
    }
    steering = steering_of(frame)
    left_out: dict[str, str] = {}
    sheets = _sheets(file, frame, left_out)
    lit = _lit(file, frame, left_out)

    title = f"{image.name}: the model steers {steering:+.3f}"
    if recorded_steering is not None:
        title += f", recorded {recorded_steering:+.3f}"

    # one part below the other; without activations, the last one is missing
    heights = [_CROP_INCHES, _VIEWS_INCHES]
    if sheets:
        heights.append(_SHEETS_TITLE_INCHES + sum(sheet_heights(sheets)))
    figure = new_figure(SHEET_WIDTH, sum(heights) + 0.4, title)
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    draw_crop(parts[0].subplots(1, 3, width_ratios=CROP_WIDTHS), file, frame)
    left, center, right = parts[1].subplots(1, 3)
    _show_side(left, "left", views["left"], sides["left"])
    _show_saliency(center, frame, lit)
    _show_side(right, "right", views["right"], sides["right"])
    if sheets:
        _show_sheets(parts[2], sheets)
    save(figure, path)
    return ExploredImage(path, steering, recorded_steering, sides, left_out)


def _show_saliency(axes: Axes, frame: Image, lit: Image | None) -> None:
    if lit is None:
        show_image(axes, frame, "no saliency of this network")
    else:
        show_image(axes, lit, "saliency (VisualBackProp)")


def _show_sheets(figure: SubFigure, sheets: Mapping[str, Float32Array]) -> None:
    figure.suptitle(SHEETS_TITLE, fontsize=11)
    ratios = sheet_heights(sheets)
    grid = figure.subplots(len(sheets), 1, height_ratios=ratios, squeeze=False)
    draw_sheets([row[0] for row in grid], sheets)


def _show_side(axes: Axes, side: str, view: Image, answer: SideView) -> None:
    source = "recorded" if answer.recorded else "computed"
    show_image(axes, view, f"{side} camera ({source}): {answer.steering:+.3f}")


def _sheets(file: ModelFile, frame: Image, left_out: dict[str, str]) -> dict[str, Float32Array]:
    """Return the sheets of activations, title -> pixels.

    If there are none, return {}, and write the reason into `left_out`.
    """
    try:
        window = window_after((), file.preprocessing.apply(frame), file.seq_length)
        return sheets_of(file.model, np.stack(window).reshape(file.model.input_shape[1:]))
    except NotDrawn as error:
        left_out["activations"] = str(error)
        return {}


def _lit(file: ModelFile, frame: Image, left_out: dict[str, str]) -> Image | None:
    """Return the frame with its saliency drawn on it.

    If it cannot be computed, return None, and write the reason into `left_out`.
    """
    try:
        saliency = Saliency(file.model, file.preprocessing).of_frame(frame)
    except UserError as error:
        left_out["saliency"] = str(error)
        return None
    return saliency_overlay(frame, np.sqrt(saliency))  # the square root makes weak pixels visible


def read_image(image: Path) -> Image:
    """Return a camera frame, RGB uint8 (160, 320, 3); raises UserError for any other file."""
    try:
        return read_frame(str(image))
    except BadImage as error:
        raise UserError(
            f"{image}: {error}; expected a camera frame of the simulator, a JPEG of "
            f"{FRAME_WIDTH}x{FRAME_HEIGHT} pixels: name one of a recording's IMG folder"
        ) from None


def _row_of(image: Path) -> tuple[float | None, dict[str, Image]]:
    """Return the steering and the side cameras' frames of the row whose centre image this is.

    The log is in the image's folder or in the folder above. Return None and {} if no log has such a
    row.
    """
    for log in (image.parent / LOG_NAME, image.absolute().parent.parent / LOG_NAME):
        with suppress(UserError):  # there is no log, or it is another program's
            rows = read_log(log, edited=False).rows
            index = ImageIndex(log)
            # the first such row counts
            for row in rows[rows["center"] == image.name].to_dict("records"):
                sides = {side: try_frame(index.find(row[side]))[0] for side in ("left", "right")}
                readable = {side: view for side, view in sides.items() if view is not None}
                return float(row["steering"]), readable
    return None, {}


def _moved(frame: Image, side: str) -> Image:
    """Return what the centre camera would see from the place of a side camera.

    side: "left" or "right"
    """
    right_m, _, ahead_m = MOUNTS[side]
    _, _, center_ahead_m = MOUNTS["center"]
    move = CameraMove(right_m, 0.0, ahead_m=ahead_m - center_ahead_m)
    return warp_to(move).apply(frame, FRAME_WIDTH, FRAME_HEIGHT)
