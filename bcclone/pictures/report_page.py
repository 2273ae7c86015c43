"""Write a report as one HTML page: sentences, a clip, figures, pictures and commands -> a file.

The page contains its pictures and its clip, runs no script and loads nothing: its
Content-Security-Policy makes browsers refuse both. templates/report.html is its form.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bcclone.system.files import write_bytes

REPORT_NAME = "report.html"


def write_report(
    path: Path,
    title: str,
    sentences: Sequence[str],
    clip: Path | None = None,
    pictures: Mapping[str, Path] | None = None,
    figures: Sequence[Sequence[str]] = (),
    commands: Mapping[str, str] | None = None,
) -> None:
    """Write a report atomically; an OSError names the file that cannot be read or written.

    sentences: they get a capital and a full stop
    clip: an MP4
    pictures: caption -> a PNG
    figures: rows of a table, the heading first
    commands: what a command is good for -> the command, to run next
    """
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("bcclone.pictures")
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    style = loader.get_source(environment, "report.css")[0]
    # the page may show this style, and pictures and clips that it contains
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; media-src data:; "
        f"style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("report.html").render(
        policy=policy,
        style=style,
        title=title,
        sentences=[f"{text[0].upper()}{text[1:].removesuffix('.')}." for text in sentences],
        clip=clip and _data("video/mp4", clip),
        pictures={what: _data("image/png", file) for what, file in (pictures or {}).items()},
        figures=figures,
        commands=commands,
    )
    write_bytes(path, page.encode())


def _visible(value: Any) -> Any:
    """Return a text with U+FFFD for letters that cannot be seen, such as those that turn a line."""
    if hasattr(value, "__html__"):
        return value
    letters = (letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value)
    return "".join(letters)


def _data(kind: str, file: Path) -> str:
    """Return a file as a URL that contains it; `kind` is its MIME type, such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
