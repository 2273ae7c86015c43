"""The settings of the page that shows and edits a recording."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.system.settings import Checked, argument, setting


@dataclass(frozen=True)
class PageSettings(Checked):
    """What the page shows besides the recording, and how it is served."""

    other: str | None = argument(
        "another recording, or a run, to show below on the page", None, unit="OTHER"
    )
    page: bool = setting(
        False, "serve the page also without a terminal or a browser on this machine"
    )
    model: Path | None = setting(
        None, "show on the page how this model would steer, too", unit="MODEL", shown="none"
    )
    port: int = setting(
        0, "port of the page", 0, 65535, shown="4569, or a free one if it is in use", rare=True
    )
