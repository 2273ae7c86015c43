"""Make small runs and read clips, for the tests of video.py."""

import datetime

import cv2
import numpy as np
import PIL.Image

from bcclone.camera.images import encode_jpeg
from bcclone.recording.run_tables import ANSWERS, TRACE, TracePoint, answer_row
from bcclone.simulator.track import load_track

BEGUN = datetime.datetime(2026, 1, 1)


def name_of(milliseconds):
    time = BEGUN + datetime.timedelta(milliseconds=milliseconds)
    return f"{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg"


def make_run(folder, count=20, step_ms=100):
    """Write frames whose brightness rises from 0 by 10."""
    folder.mkdir()
    for number in range(count):
        frame = np.full((160, 320, 3), 10 * number % 250, np.uint8)
        (folder / name_of(step_ms * number)).write_bytes(encode_jpeg(frame))
    return folder


def make_known_run(folder, count=20, step_ms=100, steering=0.2):
    """Write a run with a log, latencies of 1, 2, 3... ms, and a trace 1 m to the right of the
    lake's centre line.
    """
    make_run(folder, count, step_ms)
    track = load_track("lake")
    log = []
    answers = [ANSWERS.header]
    trace = [TRACE.header]
    for number in range(count):
        name = name_of(step_ms * number)
        log.append(f"{name},,,{steering:.6f},0.300000,0.000000,12.500000,0.0000,0.3000\n")
        answers.append(answer_row(name, (number + 1) / 1000) + "\n")
        x, _, z, _ = track.point(5.0 * number, 1.0)
        trace.append(TracePoint(number * step_ms / 1000, "lake", x, z, 1.0).row(name) + "\n")
    (folder / "driving_log.csv").write_text("".join(log))
    (folder / ANSWERS.name).write_text("".join(answers))
    (folder / TRACE.name).write_text("".join(trace))
    return folder


def read_frames(path):
    """Return frames per second and the frames of an MP4, RGB."""
    clip = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = clip.read()
        if not there:
            return clip.get(cv2.CAP_PROP_FPS), frames
        frames.append(frame[..., ::-1])


def read_gif(path):
    """Return the frames of a GIF, RGB, and the duration of each, in ms."""
    frames = []
    durations = []
    with PIL.Image.open(path) as picture:
        for number in range(picture.n_frames):
            picture.seek(number)
            durations.append(picture.info["duration"])
            frames.append(np.asarray(picture.convert("RGB")))
    return frames, durations
