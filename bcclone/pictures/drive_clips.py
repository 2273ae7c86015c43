"""Draw a drive while it is driven: every second answered frame -> a clip with the overlay, an MP4.

A thread draws beside the drive: OpenCV and ffmpeg, which do most of the work, let the drive go on.
If drawing is slower than driving, the drive waits, so that no frames gather in memory.
"""

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from bcclone.camera.images import decode_jpeg
from bcclone.drive.driver import Decision
from bcclone.evaluation.evaluate import Watch
from bcclone.pictures.clip import new_clip
from bcclone.pictures.encoder import H264_BESIDE, ClipWriter
from bcclone.pictures.overlay import Overlay, make_overlay
from bcclone.pictures.run_data import FrameInfo, RunData
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.world import FRAME_SECONDS

# Every second frame is drawn, 12.5 pictures for each second: as smooth as recordings of the Unity
# program, and the drawing keeps up with the drive, which it otherwise holds back.
_FRAMES_PER_PICTURE = 2
_PICTURES_PER_SECOND = 1 / (_FRAMES_PER_PICTURE * FRAME_SECONDS)
_WIDTH = 640  # of a picture, in pixels
_MOST_WAITING = 8  # frames that wait to be drawn

# a frame's JPEG, its values, and the name of its track; None after the last frame
_Frames = queue.Queue[tuple[bytes, FrameInfo, str] | None]


@contextmanager
def drawn_clip(path: Path) -> Iterator[Watch]:
    """Yield a function that takes each frame of a drive; the clip is complete after the block.

    If the block fails, no clip is written. Raises UserError when ffmpeg fails.
    """
    frames: _Frames = queue.Queue(_MOST_WAITING)
    numbers = count()
    with new_clip(path) as temporary, ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(_draw, path.stem, temporary, frames)

        def send(item: tuple[bytes, FrameInfo, str] | None) -> None:
            while not drawing.done():
                with suppress(queue.Full):
                    frames.put(item, timeout=1)
                    return
            drawing.result()  # raises why it has ended

        def watch(decision: Decision, seconds: float, point: TracePoint) -> None:
            number = next(numbers)
            if number % _FRAMES_PER_PICTURE:
                return
            index = number // _FRAMES_PER_PICTURE
            info = FrameInfo(
                seconds=index / _PICTURES_PER_SECOND,
                index=index,
                steering=decision.control.steering,
                speed_mph=decision.telemetry.speed_mph,
                latency_ms=seconds * 1000,
                cross_track_m=point.cross_track_m,
                place=(point.x_m, point.z_m),
            )
            send((decision.telemetry.jpeg, info, point.track))

        try:
            yield watch
        finally:
            send(None)
        drawing.result()


def _draw(title: str, path: Path, frames: _Frames) -> None:
    overlay: Overlay | None = None  # from the first frame on, which says what is known
    with ClipWriter(path, _PICTURES_PER_SECOND, H264_BESIDE) as writer:
        for jpeg, info, track in iter(frames.get, None):
            frame = decode_jpeg(jpeg)
            if overlay is None:
                height, width, _ = frame.shape
                data = RunData((info,), "sent", track)
                overlay = make_overlay(title, _WIDTH, data, (width, height), False)
            elif overlay.track_map is not None:
                overlay.track_map.places.append(info.place)
            writer.write(overlay.draw(frame, info))
