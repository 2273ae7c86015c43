"""Write into a PNG what it was made from, and read it again, so that a test can tell when a picture is stale."""

from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bcclone.system.atomic import replacing

_KEY = "made from"


def mark(path: Path, text: str) -> None:
    """Write a text into a PNG, in place of the one that it has; its pixels stay the same."""
    info = PngInfo()
    info.add_itxt(_KEY, text)
    with Image.open(path) as picture, replacing(path) as temporary:
        picture.save(temporary, "png", pnginfo=info, optimize=True)


def made_from(path: Path) -> str:
    """Return the text that mark() wrote into a PNG, "" if there is none."""
    with Image.open(path) as picture:
        return str(picture.info.get(_KEY, ""))
