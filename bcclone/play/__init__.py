"""Drive the built-in simulator on a web page: `play(PlaySettings(...))` does all that `bcclone play` does.

`world` moves the car in the real time of `pace`, `seat` decides which page may drive, `session` joins both with the
model and the person's hands, `recorder` writes the recordings, `connection` sends frames to a page, `app` serves it,
and `server` runs everything.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.play.settings import PlayResult, PlaySettings

if TYPE_CHECKING:
    from bcclone.play.server import play

__all__ = ["PlayResult", "PlaySettings", "play"]

__getattr__ = lazy_attributes(__name__, {"play": "server"})
