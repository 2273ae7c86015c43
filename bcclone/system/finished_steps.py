"""Keep the results of finished steps in a folder, so that a command that was killed goes on where it was.

A step has a key, which says all that its result depends on, and a result, a dataclass, which is written once, whole or
not at all.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from bcclone.system.atomic import write_text
from bcclone.system.codec import parse_json, read_bytes
from bcclone.system.json_values import from_json, json_text

Result = TypeVar("Result")


class FinishedSteps(Generic[Result]):
    """The finished steps in a folder, a file KEY.json for each; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, kind: type[Result]) -> None:
        self.folder, self._kind = folder, kind

    def find(self, key: str) -> Result | None:
        """Return the result of a step that was finished before, None if there is none that can be read."""
        if self.folder is None:
            return None
        try:
            return from_json(self._kind, parse_json(read_bytes(self._path(key), "json")))
        except (OSError, ValueError):
            return None

    def keep(self, key: str, result: Result) -> Result:
        """Write the result of a step, and return it."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self._path(key), json_text(result))
        return result

    def run(self, key: str, step: Callable[[], Result]) -> Result:
        """Return the result of a step, which runs only if it was not finished before."""
        finished = self.find(key)
        return self.keep(key, step()) if finished is None else finished

    def _path(self, key: str) -> Path:
        return Path(self.folder or "", f"{key}.json")
