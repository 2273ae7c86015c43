"""Connect to a drive server, and let it drive the simulated car, as in the Unity program's autonomous mode."""

from bcclone.commands.options import Command, Given, Result
from bcclone.simulator.world_settings import ServerSettings, SimulationSettings

COMMAND = Command("let a drive server drive the simulated car", (SimulationSettings, ServerSettings))


def run(given: Given) -> Result:
    """Drive."""
    settings, server = given.make(SimulationSettings), given.make(ServerSettings)
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
