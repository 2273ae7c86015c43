"""What the user named -> the log files meant."""

import glob
from collections.abc import Sequence
from pathlib import Path

from bcclone.errors import UserError

LOG_NAME = "driving_log.csv"


def find_logs(inputs: Sequence[str]) -> list[Path]:
    """Return the log of each folder, CSV file or pattern, each once, in the order given.

    Patterns are expanded here too, since not every shell does it. Raises UserError for what is not there,
    for a folder without a log, and for one with several of which none is driving_log.csv.
    """
    if not inputs:
        raise UserError("no recording named; give folders, CSV files or a pattern such as 'recordings/*/'")
    logs: dict[Path, Path] = {}
    for name in inputs:
        for path in _expand(name):
            log = _log_in_folder(path) if path.is_dir() else path
            if not log.is_file():
                raise UserError(f"{log}: neither a folder nor a file; name a folder with a {LOG_NAME}, or a CSV file")
            logs.setdefault(log.resolve(), log)
    return list(logs.values())


def find_log(name: str) -> Path:
    """Return the one log of a folder, CSV file or pattern; raises UserError as find_logs() does, and for several."""
    logs = find_logs([name])
    if len(logs) > 1:
        raise UserError(f"{name}: {len(logs)} recordings, expected one; name the one that is meant, such as {logs[0]}")
    return logs[0]


def _expand(name: str) -> list[Path]:
    if Path(name).exists():
        return [Path(name)]
    if not glob.has_magic(name):
        raise UserError(f"{name}: there is no such file or folder; name a folder with a {LOG_NAME}, or a CSV file")
    found = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207 the pattern may begin at any root
    if not found:
        raise UserError(f"{name}: nothing matches this pattern; expected one such as 'recordings/*/'")
    return found


def _log_in_folder(folder: Path) -> Path:
    for candidate in (folder / LOG_NAME, folder / "IMG" / LOG_NAME):
        if candidate.is_file():
            return candidate
    tables = sorted(folder.glob("*.csv"))
    if len(tables) == 1:
        return tables[0]
    if tables:
        names = ", ".join(table.name for table in tables[:5])
        raise UserError(f"{folder}: several logs and none is {LOG_NAME}: {names}; name the one that is meant")
    inner = sorted(folder.glob(f"*/{LOG_NAME}"))
    hint = f"did you mean '{folder}/*/'?" if inner else "name one that the simulator recorded into"
    raise UserError(f"{folder}: no {LOG_NAME} in this folder; {hint}")
