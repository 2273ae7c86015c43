"""Drive the simulator's car with a trained model: `serve(DriveSettings(...))` does all that `python drive.py` does.

Policy and telemetry -> controls (controller, driver), which connection drives (arbiter), the parts of one drive
(session: recorder, stats, saliency_thread), the sockets (wire), the web page (dashboard), all of it (server).
"""

from typing import TYPE_CHECKING, Any

from bcclone.drive.settings import DriveResult, DriveSettings

if TYPE_CHECKING:
    from bcclone.drive.server import serve

__all__ = ["DriveResult", "DriveSettings", "serve"]


def __getattr__(name: str) -> Any:
    if name == "serve":  # imported when it is first used: it loads the socket libraries
        from bcclone.drive.server import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
