"""A task for workers that loads OpenCV with its module, as most tasks do."""

from bcclone.camera.images import cv2


def is_silent(task):
    """Return whether OpenCV prints nothing in this process."""
    return cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_SILENT
