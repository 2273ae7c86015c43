"""Make views: the frames of a row, and a car's pose -> what its centre camera would have seen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from bcclone.camera.geometry import HEIGHT_M, CameraMove, warp_to
from bcclone.camera.images import Image, cv2, recolored, try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, MOUNTS
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.evaluation.recorded_drive import RelativePose
from bcclone.simulator.camera import bonnet


@dataclass(frozen=True)
class RowFrames:
    """The readable frames of a log row."""

    centre: Image | None  # RGB uint8 (160, 320, 3)
    # camera -> RGBA uint8 (160, 320, 4). Alpha is 255 where a frame shows the world. It is 0 on
    # the bonnet, and in the outermost columns: a warp repeats these beyond its frame's border, and
    # what is repeated must not be taken for the world.
    cameras: Mapping[str, Image]


def read_row(paths: Mapping[str, str]) -> RowFrames:
    """Read the frames of a row; unreadable frames are left out.

    paths: camera -> path
    """
    centre = None
    cameras = {}
    for camera, path in paths.items():
        frame, _ = try_frame(path)
        if frame is None:
            continue
        cameras[camera] = recolored(frame, cv2.COLOR_RGB2RGBA)
        cameras[camera][..., 3] = _world_mask(camera)
        if camera == "center":
            centre = frame
    return RowFrames(centre, cameras)


@cache
def _world_mask(camera: str) -> npt.NDArray[np.uint8]:
    """Return 255 for the pixels of a camera that show the world, 0 for the others, (160, 320)."""
    mask = np.where(bonnet(camera)[0], 0, 255).astype(np.uint8)
    mask[:, [0, -1]] = 0
    return mask


_MOSTLY = 128  # of 255: from here on, most of a resampled pixel is covered by a mask


class Views:
    """Makes views, prepared as inputs of a network.

    The frame of the camera that is nearest to the view is warped. Pixels that it lacks come from
    the frame of the next camera, and so on. Pixels that no camera saw repeat the border of the
    nearest camera's frame. The bonnet comes from the centre frame.

    preprocessing: makes the network's input; PRESETS["carnd-160x320-rgb"] gives the frame itself
    in_heights: True if poses are in camera heights; then the camera is on another car, and its
        frames do not show the simulator's bonnet
    pitch_rad: by how much the frames have to be turned down, so that their horizon is where a
        frame's belongs; the views are turned back up
    """

    def __init__(
        self, preprocessing: Preprocessing, in_heights: bool = False, pitch_rad: float = 0.0
    ) -> None:
        self._preprocessing = preprocessing
        # matrix (3, 3) from pixels of a frame with the right horizon to those of the frame as it is
        self._to_frame = np.eye(3)
        if pitch_rad:
            self._to_frame = warp_to(CameraMove(0.0, 0.0, pitch_rad=pitch_rad)).sky
        self._unit_m = HEIGHT_M if in_heights else 1.0
        # for a plain preprocessing its input is drawn directly; for any other one, a whole frame,
        # which is then prepared
        self._drawn = preprocessing
        if not preprocessing.is_plain:
            self._drawn = PRESETS["carnd-160x320-rgb"]

        # 255 where the bonnet hides the world, in pixels of the drawn view
        hides = bonnet("center")[0] & (not in_heights)
        mask = np.where(hides, 255, 0).astype(np.uint8)
        mask_image = np.repeat(mask[..., np.newaxis], 3, axis=2)
        hidden = replace(self._drawn, color="RGB").apply(mask_image)[..., 0]
        self._bonnet = np.where(hidden >= _MOSTLY, 255, 0).astype(np.uint8)

    def prepare(self, frame: Image) -> Image:
        """Return the network's input for a camera's own frame, RGB uint8 (160, 320, 3)."""
        return self._preprocessing.apply(frame)

    def view(self, frames: RowFrames, pose: RelativePose, centre: Image) -> Image:
        """Return the network's input from a pose, uint8 (height, width, channels).

        centre: the network's input for the centre frame itself, as prepare() returns it
        """
        if pose == RelativePose():
            return centre

        # the nearest camera's frame needs the smallest warp
        offset_m = self._offset_m(pose)
        nearest, *others = sorted(
            frames.cameras, key=lambda camera: abs(offset_m - MOUNTS[camera][0])
        )
        view = self._warped(nearest, frames, pose, (0, 0), (self._drawn.width, self._drawn.height))

        # the other cameras fill up pixels that it did not see; only a box around these is warped
        missing = _unseen(view) & ~self._bonnet
        for camera in others:
            # the outermost columns are missing in every camera's frame; where nothing else is
            # missing, another frame does not help
            left, top, width, height = cv2.boundingRect(missing[:, 1:-1])
            if not width:
                break
            width += 2  # with a further column on either side
            region = slice(top, top + height), slice(left, left + width)
            patch = self._warped(camera, frames, pose, (left, top), (width, height))
            filled = missing[region] & ~_unseen(patch)
            cv2.copyTo(patch, filled, view[region])
            missing[region] ^= filled  # takes them away: all of them were missing

        # the bonnet moves with the camera, so it is the same in the view and in the centre frame
        result = self._drawn.convert_colors(recolored(view, cv2.COLOR_RGBA2RGB))
        is_prepared = self._drawn is self._preprocessing
        if is_prepared or frames.centre is None:
            cv2.copyTo(centre, self._bonnet, result)
        else:
            cv2.copyTo(frames.centre, self._bonnet, result)
        return result if is_prepared else self._preprocessing.apply(result)

    def _offset_m(self, pose: RelativePose) -> float:
        """Return the metres from the recorded path to the centre camera at a pose, to the right."""
        return pose.lateral_offset_m * self._unit_m + CAMERA_AHEAD_M * math.sin(pose.yaw_rad)

    def _warped(
        self,
        camera: str,
        frames: RowFrames,
        pose: RelativePose,
        corner: tuple[int, int],
        size: tuple[int, int],
    ) -> Image:
        """Return a region of the view from one camera's frame, RGBA uint8 (height, width, 4).

        corner, size: of the region: left and top, width and height, in pixels of the view
        """
        right, _, ahead = MOUNTS[camera]
        offset_m = self._offset_m(pose) - right
        ahead_m = MOUNTS["center"][2] - ahead - CAMERA_AHEAD_M * (1 - math.cos(pose.yaw_rad))
        left, top = corner
        to_corner = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        move = CameraMove(offset_m, pose.yaw_rad, ahead_m=ahead_m)
        to_region = to_corner @ self._drawn.frame_to_prepared @ self._to_frame
        warp = warp_to(move).between_images(to_region, self._to_frame)
        return warp.apply(frames.cameras[camera], *size)


def _unseen(view: Image) -> Image:
    """Return 255 for the pixels of an RGBA view that its camera did not see, (height, width)."""
    alpha = cv2.extractChannel(view, 3)
    _, unseen = cv2.threshold(alpha, _MOSTLY - 1, 255, cv2.THRESH_BINARY_INV)
    return np.asarray(unseen, np.uint8)
