"""Measure the rendering speed of each kind of clip, in seconds of a run for each second of work.

All kinds are measured in rounds, so that a slow moment of the machine affects all alike; the first is not counted.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.bench import Measure, given_or_untrained_model, measure_in_rounds
from bcclone.bench.settings import VideoBenchSettings
from bcclone.drive.recorder import Recorder
from bcclone.progress import ProgressBar
from bcclone.protocol import Control, Telemetry
from bcclone.recording.run_tables import write_trace
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.settings import Conditions, ExpertSettings, WorldSettings
from bcclone.simulator.track import load_track
from bcclone.simulator.world import FRAME_SECONDS, SimulatedWorld
from bcclone.video import ClipSettings, Pace, make_clip
from bcclone.video.reference_model import ReferenceModel, open_reference_model

_BAR = 1.0  # as fast as it was driven
_PLAIN, _OVERLAY, _SALIENCY = "MP4", "MP4, overlay", "MP4, overlay and saliency"


def measure_video(settings: VideoBenchSettings) -> list[Measure]:
    """Return the rates of each kind of clip."""
    with given_or_untrained_model(settings.model) as model:
        return measure_clips(model, settings.seconds, settings.rounds)


def measure_clips(model: Path, seconds: float, rounds: int) -> list[Measure]:
    """Return the rates for a run with 25 frames per second; one kind of clip has a model's saliency overlay."""
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        run = record_run(folder / "run", seconds)
        reference = open_reference_model(model)
        makers = {
            clip: partial(_rate, clip_settings, reference if clip == _SALIENCY else None)
            for clip, clip_settings in _clips(run, folder).items()
        }
        rates = measure_in_rounds(makers, rounds)
    barred = (_PLAIN, _OVERLAY, _SALIENCY)
    return [
        Measure(clip, float(np.median(of_clip)), "s of run/s", _BAR if clip in barred else None)
        for clip, of_clip in rates.items()
    ]


def _rate(settings: ClipSettings, model: ReferenceModel | None) -> float:
    """Make a clip; return its seconds per second of work."""
    begun = time.perf_counter()
    made = make_clip(settings, model)
    return made.seconds / (time.perf_counter() - begun)


def record_run(folder: Path, seconds: float) -> Path:
    """Record an expert's drive on the lake as drive.py does, with its trace; return the folder."""
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
    """Return the kinds of clips, all in real time."""
    mp4, gif = folder / "clip.mp4", folder / "clip.gif"

    clip = partial(ClipSettings, run, pace=Pace(real_time=True))
    return {
        _PLAIN: clip(mp4),
        _OVERLAY: clip(mp4, overlay=True),
        _SALIENCY: clip(mp4, overlay=True),
        "MP4, two runs side by side, overlay": clip(mp4, overlay=True, side_by_side=run),
        "GIF": clip(gif),
        "GIF, overlay": clip(gif, overlay=True),
    }
