"""A simulated run -> seconds of footage that become a clip in a second, for each kind of clip.

They take turns in one run, so that a slow moment of the machine hits them alike; the first turn does not count.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.bench import Measure, in_turns
from bcclone.drive.recorder import Recorder
from bcclone.progress import ProgressBar
from bcclone.protocol import Control, Telemetry
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.settings import Conditions, ExpertSettings, WorldSettings
from bcclone.simulator.trace import write_trace
from bcclone.simulator.track import load_track
from bcclone.simulator.world import FRAME_SECONDS, SimulatedWorld
from bcclone.video import ClipSettings, make_clip
from bcclone.video.reference_model import ReferenceModel, open_reference_model

_BAR = 1.0  # as fast as it was driven
_PLAIN, _OVERLAY, _SALIENCY = "MP4", "MP4, overlay", "MP4, overlay and saliency"


def measure_video(model: Path, seconds: float, rounds: int) -> list[Measure]:
    """Return the rates of a run of so many seconds, 25 frames a second; a model's pixels are drawn, too."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        run = record_run(folder / "run", seconds)
        reference = open_reference_model(model)
        makers = {
            clip: partial(_rate, settings, reference if clip == _SALIENCY else None)
            for clip, settings in _clips(run, folder).items()
        }
        rates = in_turns(makers, rounds)
    barred = (_PLAIN, _OVERLAY, _SALIENCY)
    return [
        Measure(clip, float(np.median(of_clip)), "s of run/s", _BAR if clip in barred else None)
        for clip, of_clip in rates.items()
    ]


def _rate(settings: ClipSettings, model: ReferenceModel | None) -> float:
    """Make a clip; return its seconds in a second."""
    begun = time.perf_counter()
    made = make_clip(settings, model)
    return made.seconds / (time.perf_counter() - begun)


def record_run(folder: Path, seconds: float) -> Path:
    """Let an expert drive on the lake and record it as drive.py does, with its trace; return the folder."""
    track = load_track("lake")
    world = SimulatedWorld(Renderer("lake", Conditions()), track, WorldSettings(laps=10))
    expert = Expert(track, ExpertSettings(recoveries=0), seed=0)
    frames = round(seconds / FRAME_SECONDS)
    with Recorder(folder) as recorder, ProgressBar("driving", frames, "frames") as progress:
        while len(world.shown) < frames and (state := world.observe()) is not None:
            begun = time.perf_counter()
            control = Control(*expert.control(world.tracked.car, world.tracked.position))
            telemetry = Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
            recorder.record(len(world.shown), telemetry, control)
            recorder.answered(len(world.shown), time.perf_counter() - begun)
            world.steer(control.steering, control.throttle)
            progress.advance(1)
    write_trace(folder, world.shown)
    return folder


def _clips(run: Path, folder: Path) -> dict[str, ClipSettings]:
    """Return what is measured, all in the time in which it was driven."""
    mp4, gif = folder / "clip.mp4", folder / "clip.gif"

    clip = partial(ClipSettings, run, real_time=True)
    return {
        _PLAIN: clip(mp4),
        _OVERLAY: clip(mp4, overlay=True),
        _SALIENCY: clip(mp4, overlay=True),
        "MP4, two runs side by side, overlay": clip(mp4, overlay=True, side_by_side=run),
        "GIF": clip(gif),
        "GIF, overlay": clip(gif, overlay=True),
    }
