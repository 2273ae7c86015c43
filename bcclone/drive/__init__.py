"""Drive the simulator's car with a trained model: `serve(DriveSettings(...))` does all that `python drive.py` does.

`driver` and `controller` compute controls from telemetry, `arbiter` decides which connection drives, `session` puts the
parts of one drive together (`recorder`, `stats`, `saliency_thread`), `wire` handles the sockets, `dashboard` the web
page, and `server` runs everything.
"""

from typing import TYPE_CHECKING

from bcclone.drive.settings import DriveResult, DriveSettings
from bcclone.lazy import lazy_attributes

if TYPE_CHECKING:
    from bcclone.drive.server import serve

__all__ = ["DriveResult", "DriveSettings", "serve"]

__getattr__ = lazy_attributes(__name__, {"serve": "server"})
