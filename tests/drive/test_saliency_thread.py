"""The saliency overlay is computed while it is switched on, and is gone once it is switched off."""

import threading

import numpy as np
import pytest

from bcclone.dataset.images import encode_jpeg
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.saliency_thread import SaliencyThread
from bcclone.drive.stats import DriveStats
from tests.processes import wait_for

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


@pytest.fixture
def stats():
    stats = DriveStats()
    stats.decided(Decision(1, Telemetry(0.0, 0.0, 1.0, FRAME), Control(0.0, 0.0), 0.0, 25.0))
    return stats


def test_the_overlay_of_the_newest_frame_is_shown_until_it_is_switched_off(stats):
    with SaliencyThread(lambda: stats.jpeg, lambda frame: np.ones((160, 320))) as saliency:
        assert saliency.png == b""
        saliency.on = True
        assert wait_for(lambda: saliency.png).startswith(b"\x89PNG")
        saliency.on = False
        assert saliency.png == b""


def test_an_overlay_that_is_ready_after_switching_off_is_dropped(stats):
    computing, go_on = threading.Event(), threading.Event()

    def mask(frame):
        computing.set()
        go_on.wait(10)
        return np.ones((160, 320))

    with SaliencyThread(lambda: stats.jpeg, mask) as saliency:
        saliency.on = True
        assert computing.wait(10)
        saliency.on = False
        go_on.set()
    assert saliency.png == b""


def test_a_network_without_saliency_is_reported_and_the_thread_goes_on(stats):
    def mask(frame):
        raise RuntimeError("it has no convolution")

    with SaliencyThread(lambda: stats.jpeg, mask) as saliency:
        saliency.on = True
        wait_for(lambda: not saliency.on)
        assert "no convolution" in saliency.unavailable
        with pytest.raises(ValueError, match="no convolution"):
            saliency.on = True
