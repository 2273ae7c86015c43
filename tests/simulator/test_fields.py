import cv2
import numpy as np
import pytest

from bcclone.simulator.scene.textures import blur, resize

FIELD = np.random.default_rng(0).standard_normal((23, 31)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(92, 124), (50, 50), (23, 31)])
def test_resizing_agrees_with_opencv(height, width):
    expected = cv2.resize(FIELD, (width, height), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(resize(FIELD, height, width), expected, atol=1e-5)


@pytest.mark.parametrize("taps", [3, 5])
def test_blurring_agrees_with_opencv(taps):
    np.testing.assert_allclose(blur(FIELD, taps), cv2.GaussianBlur(FIELD, (taps, taps), 0), atol=1e-5)


def test_blurring_can_leave_rows_apart():
    expected = cv2.GaussianBlur(FIELD, (1, 9), 0)
    np.testing.assert_allclose(blur(FIELD, 9, across=False), expected, atol=0.02)
