"""Pictures of a road by another camera: frames of the simulator, warped as that camera would see
the same place.
"""

import cv2
import numpy as np

from bcclone.camera.geometry import simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions


def road_frames(count, seed=0):
    """Return frames along the lake track, next to its middle and turned a little, uint8 (160, 320,
    3) each.
    """
    random, renderer, track = (
        np.random.default_rng(seed),
        Renderer("lake", Conditions()),
        load_track("lake"),
    )
    frames = []
    for along in np.linspace(0, track.length_m, count, endpoint=False):
        car = start_on(track, random.uniform(-1, 1), along)
        car.heading += random.uniform(-0.2, 0.2)
        frames.append(renderer.frame(car))
    return frames


def seen_by(framing, frame):
    """Return the picture of a pinhole camera, uint8 (height, width, 3), of what a frame shows."""
    corners = np.array(
        [[0, 0], [FRAME_WIDTH - 1, 0], [FRAME_WIDTH - 1, FRAME_HEIGHT - 1], [0, FRAME_HEIGHT - 1]],
        float,
    )
    rays = simulated_camera()[0] @ np.vstack([corners.T, np.ones(4)])
    places = framing.lens.pixels(rays, framing.width, framing.height).T
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), places.astype(np.float32))
    return cv2.warpPerspective(
        frame, matrix, (framing.width, framing.height), borderMode=cv2.BORDER_REPLICATE
    )
