"""Where an imported recording comes from: the file import.json next to its log.

In: what `bcclone import` was given. Out: what later commands name as the next step; nothing else
depends on it, so a damaged or missing file is none.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcclone.system.codec import read_json
from bcclone.system.errors import UserError
from bcclone.system.location import Location
from bcclone.system.values import to_json

ORIGIN_NAME = "import.json"


@dataclass(frozen=True)
class Origin:
    """The source of an import, and the options that the user gave; paths are absolute."""

    source: Path
    format: str  # of the source, such as "tub"
    options: Mapping[str, Any] = field(default_factory=dict)  # values of ImportSettings by name

    def to_json(self) -> str:
        return json.dumps(to_json(self))

    @property
    def framing(self) -> Path | None:
        """Return the framing file that the import was given; None for none."""
        named = self.options.get("framing")
        return Path(named) if isinstance(named, str) else None


def origin_of(log: Location) -> Origin | None:
    """Return where the recording of a log comes from; None if that is not known."""
    path = log.parent / ORIGIN_NAME
    if not isinstance(path, Path) or not path.is_file():
        return None
    with suppress(UserError):
        return read_json(path, Origin, "the origin of a recording", "remove the file")
    return None
