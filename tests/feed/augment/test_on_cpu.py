"""Augmentation on the processor: how images and steering change, and that the result depends on the
seed alone.
"""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bcclone.camera.geometry import CameraMove
from bcclone.camera.vehicle import CAMERA_AHEAD_M, FULL_LOCK_DEGREES, MOUNTS, WHEELBASE_M, YAW_GAIN
from bcclone.dataset.labels import camera_correction, lookahead_m
from bcclone.dataset.preprocessing import PRESETS, Preprocessing, seen_rows
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.shards import open_store
from bcclone.feed.augment.changes import AugmentationInputs, draw, steering_change, view_warps
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import SHUFFLED, STRATEGIES, AugmentSettings, FeedSettings
from bcclone.feed.selection import select
from tests.feed.augment.strengths import APPEARANCE, NOTHING, alone

OURS = Preprocessing()


def pictures(count, seed=0, preprocessing=OURS):
    """Smooth pictures, that a warp does not turn into noise."""
    random = np.random.default_rng(seed)
    frames = [
        cv2.resize(random.integers(0, 256, (10, 20, 3), np.uint8), (320, 160)) for _ in range(count)
    ]
    return np.stack([preprocessing.apply(frame) for frame in frames])


def augmented(settings, images, steering=None, flipped=None, seed=(0, 1, 0), preprocessing=OURS):
    count = len(images)
    into = np.empty_like(images)
    steering = np.zeros((count, 1), np.float32) if steering is None else steering
    flipped = np.zeros(count, np.bool_) if flipped is None else flipped
    inputs = AugmentationInputs(flipped, np.full(count, 12.0, np.float32), *draw(count, seed))
    return into, CpuAugmenter(settings, preprocessing).augment(images, steering, inputs, into)


def one_move(**moved):
    values = {"lateral_offset_m": 0.0, "yaw_rad": 0.0, "pitch_rad": 0.0} | moved
    return CameraMove(**{name: np.array([value]) for name, value in values.items()})


def change_of(offset_m=0.0, yaw_rad=0.0, pitch_rad=0.0, lookahead_m=12.0):
    move = one_move(lateral_offset_m=offset_m, yaw_rad=yaw_rad, pitch_rad=pitch_rad)
    (change,) = steering_change(move, np.array([lookahead_m]))
    return change


def view_of(preprocessing, image, flipped=False, **moved):
    warps = view_warps(preprocessing, 0, one_move(**moved), np.array([flipped]))
    return warps[0].apply(image, preprocessing.width, preprocessing.height)


@pytest.mark.parametrize(("offset_m", "yaw_rad"), [(0.5, 0.0), (0.0, 0.05), (0.4, 0.05)])
def test_a_camera_to_the_right_or_turned_to_the_right_steers_to_the_left(offset_m, yaw_rad):
    assert change_of(offset_m, yaw_rad) < 0
    assert change_of(-offset_m, -yaw_rad) == pytest.approx(-change_of(offset_m, yaw_rad))


def test_a_camera_moved_to_a_side_camera_has_the_steering_of_that_camera():
    settings = SampleSettings()
    speed = np.array([30.0])
    (ahead,) = lookahead_m(settings, speed)
    corrected = change_of(MOUNTS["left"][0], lookahead_m=ahead)
    assert corrected == pytest.approx(camera_correction(settings, "left", speed)[0])


@pytest.mark.parametrize(("offset_m", "degrees"), [(1.0, 0.0), (0.0, 8.0), (-1.5, 8.0), (1.0, 8.0)])
def test_the_steering_of_shifted_views_brings_a_car_back_to_its_line(offset_m, degrees):
    axle = offset_m
    heading = math.radians(degrees)
    ahead = 12.0
    step = 0.2
    for _ in range(round(60 / step)):
        camera = axle + CAMERA_AHEAD_M * math.sin(heading)
        steering = change_of(camera, heading, lookahead_m=ahead)
        curvature = YAW_GAIN * math.tan(math.radians(FULL_LOCK_DEGREES * steering)) / WHEELBASE_M
        heading += curvature * step
        axle += math.sin(heading) * step
        assert abs(axle) < abs(offset_m) + 1.5
    assert abs(axle) < 0.05
    assert abs(heading) < 0.01


def straight_road(offset_m=0.0):
    """A straight road as the camera sees it, mounted 0.7 degrees to the right and leaning by 1.1
    (scene facts).
    """
    focal = 138.56
    height = 1.278
    down = math.atan2(79.5 - 59.4, 138.56)
    yaw = math.radians(0.723)
    roll = math.radians(-1.11)
    sine = math.sin
    cosine = math.cos
    about_down = np.array([[cosine(yaw), 0, sine(yaw)], [0, 1, 0], [-sine(yaw), 0, cosine(yaw)]])
    about_right = np.array(
        [[1, 0, 0], [0, cosine(down), sine(down)], [0, -sine(down), cosine(down)]]
    )
    about_ahead = np.array(
        [[cosine(roll), -sine(roll), 0], [sine(roll), cosine(roll), 0], [0, 0, 1]]
    )
    mount = about_down @ about_right @ about_ahead
    image = np.full((160, 320, 3), 40, np.uint8)
    for left, right in ((-3.4, -3.0), (3.0, 3.4), (-0.1, 0.1)):
        corners = np.array([[left, 4], [left, 80], [right, 80], [right, 4]]) - (offset_m, 0)
        rays = np.array([[x, height, z] for x, z in corners]) @ mount
        pixels = rays[:, :2] / rays[:, 2:] * focal + (159.5, 79.5)
        cv2.fillPoly(
            image, [np.round(pixels * 16).astype(np.int32)], (255, 255, 255), cv2.LINE_AA, 4
        )
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def difference(first, second):
    return np.abs(first.astype(int) - second)[62:150, 20:300].mean()


@pytest.mark.parametrize("offset_m", [0.0, 0.5])
def test_a_mirror_image_becomes_the_view_of_the_real_camera(offset_m):
    mirror = np.ascontiguousarray(straight_road(offset_m)[:, ::-1])
    expected = straight_road(-offset_m)
    view = view_of(PRESETS["carnd-160x320-rgb"], mirror, flipped=True)
    assert difference(view, expected) < 0.2 * difference(mirror, expected)


@pytest.mark.parametrize("flipped", [False, True])
def test_a_shifted_view_is_what_a_camera_there_sees_of_plain_and_mirrored_roads(flipped):
    frame = straight_road(0.1)
    image = np.ascontiguousarray(frame[:, ::-1]) if flipped else frame
    view = view_of(PRESETS["carnd-160x320-rgb"], image, flipped, lateral_offset_m=0.5)
    middle = 0.5 - 0.1 if flipped else 0.5 + 0.1
    expected = straight_road(middle)
    assert difference(view, expected) < 0.2 * difference(image, expected)


def test_without_augmentation_images_and_steering_do_not_change():
    images = pictures(4)
    steering = np.array([[0.5], [-1], [0], [0.25]], np.float32)
    same, kept = augmented(NOTHING, images, steering)
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(kept, steering)


@pytest.mark.parametrize("name", APPEARANCE)
def test_each_kind_changes_the_image_and_not_the_steering(name):
    images = pictures(4)
    steering = np.full((4, 1), 0.25, np.float32)
    changed, kept = augmented(alone(name), images, steering)
    # a patch may be small
    assert all((new != old).mean() > 0.001 for new, old in zip(changed, images, strict=True))
    np.testing.assert_array_equal(kept, steering)


def test_rows_that_the_network_does_not_see_do_not_change():
    images = pictures(16)
    rows = seen_rows(128)
    changed, _ = augmented(AugmentSettings(), images)
    for unseen in (slice(0, rows.start), slice(rows.stop, None)):
        np.testing.assert_array_equal(changed[:, unseen], images[:, unseen])
    assert (changed[:, rows] != images[:, rows]).any(axis=(1, 2, 3)).all()


def test_images_in_other_colours_change_as_much_as_those_in_rgb():
    yuv = PRESETS["nvidia-66x200-yuv"]
    rgb = replace(yuv, color="RGB")
    settings = replace(NOTHING, appearance=1.0)
    in_rgb, _ = augmented(settings, pictures(4, preprocessing=rgb), preprocessing=rgb)
    in_yuv, _ = augmented(settings, pictures(4, preprocessing=yuv), preprocessing=yuv)
    expected = np.stack([yuv.convert_colors(image) for image in in_rgb])
    assert np.abs(in_yuv.astype(int) - expected).mean() < 3


def batches_of(store, strategy="hdf5-shuffle", epoch=1, start=0, seed=3):
    settings = FeedSettings(strategy, feed_workers=2)
    with (
        open_feed(select(store), settings, 16, seed, augment=AugmentSettings()) as feed,
        feed.epoch(epoch, start) as batches,
    ):
        return [(np.array(batch.images), np.array(batch.labels)) for batch in batches]


def assert_same(found, expected):
    for (images, steering), (others, labels) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(steering, labels)


@pytest.fixture(scope="module")
def first_epoch(simulated_store):
    """The augmented batches of the first epoch of hdf5-shuffle."""
    with open_store(simulated_store) as store:
        return batches_of(store)


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(name, marks=pytest.mark.long)
        if name == "device"
        else name  # which compiles it for half a minute
        for name, strategy in STRATEGIES.items()
        if strategy.order == SHUFFLED and not strategy.of_files
    ],
)
def test_every_feed_that_shuffles_gives_the_same_augmented_batches(
    simulated_store, first_epoch, strategy
):
    with open_store(simulated_store) as store:
        assert_same(batches_of(store, strategy), first_epoch)


def test_a_resumed_epoch_continues_with_the_same_batches(simulated_store, first_epoch):
    with open_store(simulated_store) as store:
        assert_same(batches_of(store, start=48), first_epoch[3:])


def test_each_epoch_and_each_seed_augments_differently(simulated_store, first_epoch):
    def appearances(batches):
        return np.sort(
            np.concatenate([images.reshape(len(images), -1).sum(axis=1) for images, _ in batches])
        )

    with open_store(simulated_store) as store:
        first = appearances(first_epoch)
        assert not np.array_equal(first, appearances(batches_of(store, epoch=2)))
        assert not np.array_equal(first, appearances(batches_of(store, seed=4)))
