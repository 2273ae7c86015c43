"""The commands of the built-in simulator: play, and simulate drive and record.

- play: a person's input on a web page, and perhaps a model -> a drive, and its recording;
- simulate drive: the address of a drive server -> the score of its drive;
- simulate record: a track and how the expert drives -> a recording.
"""

from pathlib import Path

from bcclone.commands.command import Command, Given, Result, command, notify
from bcclone.game.play_settings import PlaySettings
from bcclone.simulator.world_settings import (
    Conditions,
    RecordSettings,
    ServerSettings,
    SimulationSettings,
)
from bcclone.system.settings import argument
from bcclone.system.values import names_of, to_json


@command(after_interrupt="nothing was recorded")
def play(given: Given, settings: PlaySettings) -> Result:
    """Drive the built-in simulator yourself, on a web page: with keys, mouse, gamepad or the thumbs
    of a phone.

    A MODEL, if you name one, drives, and you take over whenever you steer. R records in the
    simulator's format.
    """
    from bcclone.game.play import play_typed

    def next_step(folder: Path) -> str:
        from bcclone.commands.next_steps import after_drive, after_recording

        if settings.model is None:
            return after_recording(folder)
        return after_drive(folder, settings.model)

    result = play_typed(given.typed, next_step, settings, given.say)
    # what the person did is a message on stderr; stdout holds the result, and only with --json
    notify(result.as_text())
    if result.folder is not None:
        notify(next_step(result.folder))
    return Result(result, text=None)


@command(without=names_of(Conditions))  # how a model drives in rain, `bcclone evaluate` says
def simulate_drive(settings: SimulationSettings, server: ServerSettings) -> Result:
    """Connect to a drive server, and let it drive the simulated car, as in the Unity program's
    autonomous mode.
    """
    from bcclone.evaluation.evaluate import describe_latency
    from bcclone.simulator.unity_client import simulate

    drive = simulate(settings, server)
    score = drive.score
    traced = drive.traced
    report = drive.report
    latency = report.as_json()["request_to_steer_ms"]
    text = (
        f"{report.telemetries} telemetries, {report.steers} steers, {report.manuals} manuals; "
        f"time of an answer: {describe_latency(latency)}\n"
        f"{score.distance_m:.0f} m in {score.seconds:.0f} s, "
        f"{score.mean_abs_cross_track_m:.2f} m from the centre line on average, "
        f"{score.max_abs_cross_track_m:.2f} m at most; it ended: {score.ended}"
    )
    if traced is not None:
        text += f"\n{settings.run_folder}: the position of the car at {traced} frames, for video.py"
    return Result({**report.as_json(), **to_json(score), "traced": traced}, text)


@command()
def simulate_record(
    settings: RecordSettings,
    folder: Path = argument("folder to record into; must be new or empty", unit="DIR", writes=True),
) -> Result:
    """Let an expert driver drive in the built-in simulator, and record it in the format of the
    Unity program.
    """
    from bcclone.commands.next_steps import after_recording
    from bcclone.simulator.expert import record

    recorded = record(folder, settings)
    return Result(
        recorded,
        f"{recorded.log}: {recorded.rows} rows, {recorded.distance_m:.0f} m "
        f"in {recorded.seconds:.0f} s\n{after_recording(folder)}",
    )


COMMANDS: dict[str, Command] = {
    "play": play,
    "simulate record": simulate_record,
    "simulate drive": simulate_drive,
}
