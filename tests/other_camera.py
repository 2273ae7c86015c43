"""Pictures of a road by another camera: frames of the simulator, warped as it would see them."""

import cv2
import numpy as np

from bcclone.camera.geometry import simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions


def road_frames(count, seed=0):
    """Return frames along the lake track, uint8 (160, 320, 3) each.

    The car is next to the middle of the road, and turned a little.
    """
    random = np.random.default_rng(seed)
    renderer = Renderer("lake", Conditions())
    track = load_track("lake")
    frames = []
    for along in np.linspace(0, track.length_m, count, endpoint=False):
        car = start_on(track, random.uniform(-1, 1), along)
        car.heading += random.uniform(-0.2, 0.2)
        frames.append(renderer.frame(car))
    return frames


def seen_by(framing, frame):
    """Return the picture of a pinhole camera, uint8 (height, width, 3), of what a frame shows."""
    right = FRAME_WIDTH - 1
    bottom = FRAME_HEIGHT - 1
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], float)
    rays = simulated_camera()[0] @ np.vstack([corners.T, np.ones(4)])
    places = framing.lens.pixels(rays, framing.width, framing.height).T
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), places.astype(np.float32))
    size = (framing.width, framing.height)
    return cv2.warpPerspective(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE)
