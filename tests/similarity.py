"""How alike two frames look: the index of Z. Wang and others, "Image quality assessment", IEEE TIP 13(4), 2004."""

import cv2
import numpy as np

STEADY = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def structural_similarity(first, second, rows):
    """Return the mean SSIM, at most 1, of these rows of two RGB frames, with Gaussian windows of 1.5 pixels."""
    one, other = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64) for frame in (first, second))
    mean_one, mean_other = blurred(one), blurred(other)
    variances = blurred(one**2) - mean_one**2 + blurred(other**2) - mean_other**2
    covariance = blurred(one * other) - mean_one * mean_other
    alike = (2 * mean_one * mean_other + STEADY[0]) * (2 * covariance + STEADY[1])
    index = alike / ((mean_one**2 + mean_other**2 + STEADY[0]) * (variances + STEADY[1]))
    return float(index[rows].mean())


def blurred(image):
    return cv2.GaussianBlur(image, (11, 11), 1.5)
