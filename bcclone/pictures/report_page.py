"""Write a report as one HTML page: sentences, a clip, figures, pictures and commands -> a file.

The page contains its pictures, its clip and its script, and loads nothing: by its
Content-Security-Policy, browsers load nothing else and run no other script. Its form is
templates/report.html; it has the style of the pages that bcclone serves.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import PIL.Image

from bcclone.camera.images import cv2
from bcclone.pictures.plots.style import is_drawn
from bcclone.pictures.road_map import RoadMap
from bcclone.pictures.words import meaning_of
from bcclone.system.files import write_bytes

REPORT_NAME = "report.html"

KeyFigure = tuple[str, str, str]  # a value, its unit, and what it is


@dataclass(frozen=True)
class Section:
    """A part of a report; what it lacks is left out."""

    heading: str
    sentences: Sequence[str] = ()
    pictures: Mapping[str, Path] = field(default_factory=dict)  # caption -> a PNG
    table: Sequence[Sequence[str]] = ()  # its rows, the heading first
    commands: Mapping[str, str] = field(default_factory=dict)  # what it does -> the command
    folded: bool = False  # whether it is opened by a click

    @property
    def has_content(self) -> bool:
        return any((self.sentences, self.pictures, self.table, self.commands))


def write_report(
    path: Path,
    title: str,
    sentences: Sequence[str],
    sections: Sequence[Section] = (),
    figures: Sequence[KeyFigure] = (),
    clip: Path | None = None,
    road_map: RoadMap | None = None,
) -> None:
    """Write a report atomically; an OSError names the file that cannot be read or written.

    title: the result in a sentence
    sentences: they get a capital and a full stop
    figures: the three or so that matter most
    clip: an MP4
    road_map: the drive from above, on which a point follows the clip
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("bcclone.pictures"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    style = _static("bcclone.web", "style.css") + _static("bcclone.pictures", "report.css")
    script = _static("bcclone.web", "copying.js") + _static("bcclone.pictures", "report.js")
    # the page may show this style, run this script, and show pictures and clips that it contains
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("report.html").render(
        policy=policy,
        style=style,
        script=script,
        title=title,
        sentences=list(map(_sentence, sentences)),
        sections=[_shown(section) for section in sections if section.has_content],
        figures=figures,
        clip=clip and _clip(clip),
        map=road_map,
        folder=_current_folder(),
        meaning_of=meaning_of,
    )
    write_bytes(path, page.encode())


def _current_folder() -> str:
    """Return the folder in which the commands work, from ~ on if it is the user's: their paths
    begin in it. "" if it has been deleted meanwhile.
    """
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        return ""
    with suppress(ValueError, RuntimeError):  # elsewhere, or the user has no home
        return str("~" / folder.relative_to(Path.home()))
    return str(folder)


def _static(package: str, name: str) -> str:
    return (files(package) / "static" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return a source for a Content-Security-Policy that allows a style or script of this text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _sentence(text: str) -> str:
    end = "" if text[-1] in ".?!" else "."
    return f"{text[0].upper()}{text[1:]}{end}"


def _shown(section: Section) -> dict[str, Any]:
    """Return a section for the template, with its pictures as data."""
    return vars(section) | {
        "sentences": list(map(_sentence, section.sentences)),
        "pictures": {caption: _picture(file) for caption, file in section.pictures.items()},
    }


def _picture(file: Path) -> dict[str, Any]:
    """Return a PNG as data, with its size, so that nothing moves while the page is shown."""
    with PIL.Image.open(file) as picture:
        width, height = picture.size
    return {
        "data": _data("image/png", file),
        "width": width,
        "height": height,
        "is_drawn": is_drawn(file),
    }


def _clip(file: Path) -> dict[str, Any]:
    """Return an MP4 as data, with its size and length."""
    film = cv2.VideoCapture(str(file))
    width, height = film.get(cv2.CAP_PROP_FRAME_WIDTH), film.get(cv2.CAP_PROP_FRAME_HEIGHT)
    seconds = film.get(cv2.CAP_PROP_FRAME_COUNT) / (film.get(cv2.CAP_PROP_FPS) or 1.0)
    film.release()
    return {
        "data": _data("video/mp4", file),
        "width": round(width),
        "height": round(height),
        "seconds": round(seconds),
    }


def _visible(value: Any) -> Any:
    """Return a text with U+FFFD for letters that cannot be seen, such as those that turn a line."""
    if hasattr(value, "__html__") or not isinstance(value, str) or value.isprintable():
        return value
    letters = (letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value)
    return "".join(letters)


def _data(kind: str, file: Path) -> str:
    """Return a file as a URL that contains it; `kind` is its MIME type, such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
