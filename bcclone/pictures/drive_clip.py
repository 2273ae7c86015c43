"""Draw a drive while it lasts: every second answered frame -> a clip with the overlay, an MP4.

A thread draws beside the drive: OpenCV and ffmpeg, which do most of the work, let the drive go on.
If drawing is slower than driving, the drive waits, so that no frames gather in memory.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from bcclone.camera.images import decode_jpeg
from bcclone.drive.driver import Decision
from bcclone.evaluation.evaluate import Watch
from bcclone.pictures.encoder import H264_BESIDE, ClipWriter, new_clip
from bcclone.pictures.overlay import Overlay
from bcclone.pictures.recorded_run import FrameInfo
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.world import FRAME_SECONDS

# Every second frame is drawn, 12.5 pictures for each second: as smooth as recordings of the Unity
# program, and the drawing keeps up with the drive, which it otherwise holds back.
_FRAMES_PER_PICTURE = 2
_PICTURES_PER_SECOND = 1 / (_FRAMES_PER_PICTURE * FRAME_SECONDS)
_WIDTH = 640  # of a picture, in pixels
_MOST_WAITING = 8  # frames that wait to be drawn


@contextmanager
def drawn_clip(path: Path, title: str) -> Iterator[Watch]:
    """Yield a function that takes each frame of a drive; the clip is complete after the block.

    If the block fails, no clip is written. Raises UserError when ffmpeg fails.

    title: what stands at the top of each picture
    """
    numbers = count()
    waiting: deque[Future[None]] = deque()
    overlay: Overlay | None = None  # from the first frame on, which says what is known

    with (
        new_clip(path) as temporary,
        ClipWriter(temporary, _PICTURES_PER_SECOND, H264_BESIDE) as writer,
        ThreadPoolExecutor(1) as pool,
    ):

        def draw(jpeg: bytes, info: FrameInfo, track: str) -> None:
            nonlocal overlay
            frame = decode_jpeg(jpeg)
            if overlay is None:
                height, width, _ = frame.shape
                size = (width, height)
                # the report has a map beside the clip
                overlay = Overlay(title, _WIDTH, size, [info], "network", track, with_map=False)
            overlay.drive(info.place)
            writer.write(overlay.draw(frame, info))

        # the time of an answer stands in the report: beside the others, it would be too small
        def watch(decision: Decision, _: float, point: TracePoint) -> None:
            number = next(numbers)
            if number % _FRAMES_PER_PICTURE:
                return
            info = FrameInfo(
                seconds=number * FRAME_SECONDS,
                steering=decision.control.steering,
                speed_mph=decision.telemetry.speed_mph,
                cross_track_m=point.cross_track_m,
                place=(point.x_m, point.z_m),
            )
            if len(waiting) == _MOST_WAITING:
                waiting.popleft().result()  # raises if it could not be drawn
            waiting.append(pool.submit(draw, decision.telemetry.jpeg, info, point.track))

        yield watch
        for drawing in waiting:
            drawing.result()
