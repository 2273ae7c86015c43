"""The user's settings of Keras: left out in bcclone's own processes, compared in a program's.

Keras reads them once, when it is imported: the file keras.json in its folder, and environment
variables. Courses and other programs leave some there that give other numbers, or none at all.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bcclone.system.codec import parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.process import is_own_process

# the settings with which bcclone computes, as keras.json names them
_NEEDED = {"backend": "tensorflow", "floatx": "float32", "image_data_format": "channels_last"}
_BACKEND = "KERAS_BACKEND"  # a variable that precedes the file
_FOLDER = "KERAS_HOME"  # a variable that names the folder of the file


def settle_keras() -> None:
    """Let Keras compute as bcclone needs it, before it is imported; refuse one that does not.

    A process of bcclone's own imports Keras without the user's settings. In the process of a
    program, they stay: raises UserError if they do not suit, or if the program has changed them.
    """
    if "keras" in sys.modules:
        import keras

        found = {name: getattr(keras.config, name)() for name in _NEEDED}
        wrong = _unsuitable(found, "in this program")
    elif is_own_process():
        for name in [name for name in os.environ if name.startswith("KERAS_")]:
            del os.environ[name]
        os.environ[_BACKEND] = _NEEDED["backend"]
        os.environ[_FOLDER] = os.devnull  # which holds no file, and where none can be written
        return
    else:
        wrong = unsuitable_settings()
    if wrong:
        raise UserError(
            f"Keras is set to {', '.join(wrong)}; bcclone computes with "
            f"{', '.join(_NEEDED.values())}: change that before the program imports Keras"
        )


def unsuitable_settings() -> list[str]:
    """Return the user's settings that do not suit, such as "floatx float16 in FILE".

    Keras is not imported.
    """
    folder = Path(os.environ.get(_FOLDER) or Path.home() / ".keras")
    path = folder.expanduser() / "keras.json"
    stored = {}
    with suppress(OSError, ValueError):  # Keras does not use such a file either
        content = parse_json(read_bytes(path, "json"))
        stored = content if isinstance(content, dict) else {}
    variable = os.environ.get(_BACKEND)
    if variable:
        stored.pop("backend", None)
    found = _unsuitable(stored, f"in {path}")
    if variable and variable != _NEEDED["backend"]:
        found.append(f"backend {variable} by the variable {_BACKEND}")
    return found


def _unsuitable(settings: Mapping[str, object], where: str) -> list[str]:
    return [
        f"{name} {settings[name]} {where}"
        for name, needed in _NEEDED.items()
        if settings.get(name, needed) != needed
    ]
