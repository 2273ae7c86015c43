"""Pictures of any size, depths, labels, and the weather."""

import cv2
import numpy as np
import pytest

from bcclone.simulator.car import start_on
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions


@pytest.fixture(scope="module")
def track():
    return load_track("lake")


def frame(track, seconds=0.0, along_m=300.0, **conditions):
    return Renderer("lake", Conditions(**conditions)).frame(
        start_on(track, along_m=along_m), seconds=seconds
    )


def brightness(picture):
    return picture[:130].astype(float).mean()


def test_a_picture_of_another_size_shows_the_same(track):
    car = start_on(track, along_m=300.0)
    small = Renderer("lake", Conditions(), 64, 80).frame(car)
    assert small.shape == (64, 80, 3)
    expected = cv2.resize(
        Renderer("lake", Conditions()).frame(car), (80, 64), interpolation=cv2.INTER_AREA
    )
    soft = [cv2.GaussianBlur(picture, (9, 9), 0).astype(float) for picture in (small, expected)]
    assert np.abs(soft[0] - soft[1]).mean() < 6


def test_labels_say_what_pixels_show(track):
    view = Renderer("lake", Conditions()).view(start_on(track, along_m=300.0))
    assert view.labels[158, 160] == LABELS["car"]
    assert view.labels[110, 150] == LABELS["road"]
    assert view.labels[2, 5] == LABELS["sky"]
    for name in ("ground", "edge", "line", "object"):
        assert (view.labels == LABELS[name]).any(), name
    bridge = Renderer("lake", Conditions()).view(start_on(track, along_m=735.0))
    assert (bridge.labels == LABELS["water"]).any()


def test_depths_are_metres_infinite_for_the_sky_and_0_for_the_bonnet(track):
    view = Renderer("lake", Conditions()).view(start_on(track, along_m=300.0))
    assert np.isinf(view.depths_m[view.labels == LABELS["sky"]]).all()
    assert (view.depths_m[view.labels == LABELS["car"]] == 0).all()
    column = view.depths_m[75:134, 160]
    assert (np.diff(column) <= 0).all()  # nearer further down
    # a camera at 1.28 m, pitched down by 8.9 degrees: 60.4 rows above the middle are the horizon
    assert view.depths_m[120, 160] == pytest.approx(1.25 * 138.6 / (120.5 - 59.4), rel=0.12)


def test_rain_and_snow_change_with_time_and_are_the_same_again(track):
    for weather in ("rain", "snow"):
        first, later, again = (
            frame(track, seconds, **{weather: 0.8}) for seconds in (1.0, 1.04, 1.0)
        )
        assert (first != later).any()
        assert (first == again).all()
        assert (first[:130] != frame(track)[:130]).mean() > 0.5


def test_at_night_the_headlights_light_the_road_ahead(track):
    night = frame(track, night=1.0).astype(float)
    assert night[100:130, 120:200].mean() > 3 * night[:40].mean()


def test_day_and_night_take_turns():
    track = load_track("lake")
    day, night, again = (
        brightness(frame(track, seconds, night_cycle=40.0)) for seconds in (0.0, 20.0, 40.0)
    )
    assert day == again
    assert night < 0.5 * day
