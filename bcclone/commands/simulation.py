"""The built-in simulator: drive it as the Unity program would, record it, or render samples of many roads."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Result, command, notify
from bcclone.lab.road_samples import RoadSamplesSettings
from bcclone.simulator.world_settings import RecordSettings, ServerSettings, SimulationSettings
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Folder:
    """The folder to record into."""

    folder: Path = argument("folder to record into; must be new or empty", unit="DIR")


@command("let a drive server drive the simulated car")
def simulate_drive(settings: SimulationSettings, server: ServerSettings) -> Result:
    """Connect to a drive server, and let it drive the simulated car, as in the Unity program's autonomous mode."""
    from bcclone.simulator.world import simulate

    result = simulate(settings, server)
    score = result.score
    text = (
        f"{result.report.summary()}\n"
        f"{score.distance_m:.0f} m in {score.seconds:.0f} s, {score.mean_abs_cross_track_m:.2f} m from "
        f"the centre line on average, {score.max_abs_cross_track_m:.2f} m at most; it ended: {score.ended}"
    )
    if result.traced is not None:
        text += f"\n{settings.run_folder}: the position of the car at {result.traced} frames, for video.py"
    return Result(result.as_json(), text)


@command("let the built-in expert drive, and record it")
def simulate_record(target: Folder, settings: RecordSettings) -> Result:
    """Let an expert driver drive in the built-in simulator, and record it in the format of the Unity program."""
    from bcclone.simulator.record import record

    recorded = record(target.folder, settings)
    return Result(
        recorded,
        f"{recorded.log}: {recorded.rows} rows, {recorded.distance_m:.0f} m in {recorded.seconds:.0f} s\n"
        f"next: bcclone preprocess {target.folder} -o data.h5",
    )


@command("write a store of frames of many random roads")
def simulate_roads(settings: RoadSamplesSettings) -> Result:
    """Render frames all over many random roads, with the steering of an expert, and write them as a store."""
    from bcclone.lab.road_samples.rendering import make_road_samples

    result = make_road_samples(settings, notify)
    return Result(
        result,
        f"{result.output}: {result.frames} frames of {result.roads} roads, {result.train} training and "
        f"{result.validation} validation samples, {result.seconds:.0f} s\n"
        f"next: bcclone model {result.output} -o model.h5 --predict path",
    )
