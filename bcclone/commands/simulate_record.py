"""Let an expert driver drive in the built-in simulator, and record it in the format of the Unity program."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Command, Given, Result
from bcclone.simulator.world_settings import RecordSettings
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Folder:
    """The folder to record into."""

    folder: Path = argument("folder to record into; must be new or empty", unit="DIR")


COMMAND = Command("let the built-in expert drive, and record it", (Folder, RecordSettings))


def run(given: Given) -> Result:
    """Record."""
    folder, settings = given.make(Folder).folder, given.make(RecordSettings)
    from bcclone.simulator.record import record

    recorded = record(folder, settings)
    return Result(
        recorded,
        f"{recorded.log}: {recorded.rows} rows, {recorded.distance_m:.0f} m in {recorded.seconds:.0f} s\n"
        f"next: bcclone preprocess {folder} -o data.h5",
    )
