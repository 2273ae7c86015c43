"""Score models by driving them through a recording.

The car drives at the recorded speed. Where the model deviates from the recorded path, its camera view is computed from
the frames of the three cameras. If the deviation exceeds --limit, the car is set back: an intervention. The autonomy is
(1 - interventions x 6 s / elapsed seconds) x 100. For comparison, the recorded steering, zero steering and the mean
steering are scored, too. For a recording without speeds, such as an imported tub, or of another camera, they are
estimated from its frames, in heights of its camera, if it was imported with a framing that has a lens; where that
fails, only the steering is compared. With --port, a drive server is scored over the simulator's protocol. The exit code
is 0 whatever the scores are.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Command, Given, Output, Result, find_watch, notify
from bcclone.evaluate.evaluate_settings import ReplaySettings
from bcclone.lab.monitor.monitor_settings import WatchSettings
from bcclone.simulator.world_settings import SERVER, ServerSettings
from bcclone.system.settings import argument


@dataclass(frozen=True, kw_only=True)
class ReplayInputs:
    """The models to score, and the recording."""

    models: tuple[Path, ...] = argument(
        "model files to score; leave them out with --port", (), unit="MODEL", shown="none"
    )
    recording: str = argument("folder with a driving_log.csv, or a CSV file; images of the side cameras may be missing")


COMMAND = Command(
    "score models on a recording",
    (ReplayInputs, ReplaySettings, WatchSettings, Output, ServerSettings),
    without=("when_uncertain",),
    titles={SERVER: "with --port, the model of a drive server is scored, and none is named"},
)


def run(given: Given) -> Result:
    """Replay and score."""
    watch, settings, output = find_watch(given), given.make(ReplaySettings), given.make(Output).output
    server, replayed = given.make(ServerSettings), given.make(ReplayInputs)
    from bcclone.evaluate.replay import replay

    result = replay(
        replayed.models, replayed.recording, settings, watch, server if "port" in given.of(ServerSettings) else None
    )
    for notice in result.notices:
        notify(notice)
    wrote = []
    if output is not None:
        from bcclone.pictures.score_files import write_replay

        wrote = write_replay(output, replayed.recording, result)
    return Result(result.figures(), result.as_text(), wrote)
