"""Drive the simulator's car with a trained model: `serve(DriveSettings(...))` does all that `python drive.py` does.

Policy and telemetry -> controls (controller, driver), which connection drives (arbiter), the parts of one drive
(session: recorder, stats, saliency_thread), the sockets (wire), the web page (dashboard), all of it (server).
"""

from typing import TYPE_CHECKING

from bcclone.drive.settings import DriveResult, DriveSettings
from bcclone.lazy import lazy_attributes

if TYPE_CHECKING:
    from bcclone.drive.server import serve

__all__ = ["DriveResult", "DriveSettings", "serve"]

__getattr__ = lazy_attributes(__name__, {"serve": "server"})
