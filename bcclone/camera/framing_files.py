"""Read framings from files, and compare that of a recording with a model's."""

from pathlib import Path

from bcclone.camera.framing import Framing
from bcclone.system.codec import read_json
from bcclone.system.errors import UserError
from bcclone.system.location import Location

FRAMING_NAME = "framing.json"  # next to the log of an imported recording


def read_framing(path: Path) -> Framing:
    """Return the framing in a file; raises UserError."""
    return read_json(
        path, Framing, "a framing", f"expected a {FRAMING_NAME}, such as bcclone calibrate writes"
    )


def framing_of(log: Location) -> Framing | None:
    """Return the framing in framing.json next to a log; raises UserError.

    Returns None without such a file, and for a log at a URL.
    """
    path = log.parent / FRAMING_NAME
    if not isinstance(path, Path) or not path.is_file():
        return None
    return read_framing(path)


def check_framed(log: Path, model: str, framing: Framing | None) -> None:
    """Raise UserError if a recording and a model both have a framing, and these differ.

    model: name of the model, for the message
    framing: the model's framing, None for frames of the simulator
    """
    recorded = framing_of(log)
    if framing and recorded and recorded != framing:
        raise UserError(
            f"{log.parent}: its frames were made as {recorded.describe()}, "
            f"and {model} drives on {framing.describe()}; "
            f"import the recording again with its {FRAMING_NAME}: "
            "bcclone import SOURCE --framing FILE"
        )
