"""The saliency overlay is computed while it is switched on, and is gone once it is switched off."""

import threading

import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.drive.overlay import SaliencyThread
from tests.processes import wait_for

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))


def newest():
    """Return the number of the newest frame, and the frame."""
    return 1, FRAME


def test_the_overlay_of_the_newest_frame_is_shown_until_it_is_switched_off():
    with SaliencyThread(newest, lambda frame: np.ones((160, 320))) as saliency:
        assert saliency.png == b""
        saliency.on = True
        assert wait_for(lambda: saliency.png).startswith(b"\x89PNG")
        saliency.on = False
        assert saliency.png == b""


def test_an_overlay_that_is_ready_after_switching_off_is_dropped():
    computing = threading.Event()
    go_on = threading.Event()

    def saliency_of(frame):
        computing.set()
        go_on.wait(60)
        return np.ones((160, 320))

    with SaliencyThread(newest, saliency_of) as saliency:
        saliency.on = True
        assert computing.wait(60)
        saliency.on = False
        go_on.set()
    assert saliency.png == b""


def test_a_network_without_saliency_is_reported_and_the_thread_goes_on():
    def saliency_of(frame):
        raise RuntimeError("it has no convolution")

    with SaliencyThread(newest, saliency_of) as saliency:
        saliency.on = True
        wait_for(lambda: not saliency.on)
        assert "no convolution" in saliency.unavailable
        with pytest.raises(ValueError, match="no convolution"):
            saliency.on = True
