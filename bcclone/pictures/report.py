"""Write a report as one HTML page: a `Report` -> a file for browsers.

A report has sentences, a clip, figures, pictures, and commands to run next. The page contains its
pictures and its clip, runs no script and loads nothing: its Content-Security-Policy makes browsers
refuse both.
"""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bcclone.system.errors import shown_command
from bcclone.system.files import write_bytes

REPORT_NAME = "report.html"
_STYLE = """
:root {
  color-scheme: light dark;
  --text: #1c2024; --quiet: #5b6570; --page: #fff; --box: #f3f5f7; --line: #d5dbe1
}
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ec; --quiet: #a3adb8; --page: #15181b; --box: #212629; --line: #3b4248 }
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif
}
main { max-width: 60rem; margin: auto; padding: 1.5rem 1rem 3rem }
h1, p, figcaption, dt { overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem }
p { margin: .4rem 0; max-width: 46rem }
figure { margin: 1.2rem 0 }
figcaption, dt { color: var(--quiet); font-size: .92rem }
figcaption { margin-bottom: .4rem }
img, video { display: block; max-width: 100%; height: auto; border-radius: 6px; background: #fff }
video { width: 100%; background: #000 }
.scrolled { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th {
  padding: .35rem 1.2rem .35rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top
}
td, thead th + th { min-width: 6rem }
tbody th { font-weight: normal; color: var(--quiet) }
dl { margin: 0 }
dd { margin: .2rem 0 .9rem }
pre {
  margin: 0; padding: .6rem .8rem; border-radius: 6px;
  background: var(--box); white-space: pre-wrap
}
pre code { font: .9rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; user-select: all }
"""
# the Content-Security-Policy of the page: it allows the style above, by its hash, and pictures and
# clips that the page itself contains
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; "
    "form-action 'none'"
)


@dataclass(frozen=True)
class Report:
    """What a report shows.

    clip: path of an MP4
    pictures: caption -> path of a PNG
    figures: rows of a table; the first row is the heading
    commands: what a command is good for -> the command, to run next
    """

    title: str
    sentences: Sequence[str]
    clip: Path | None = None
    pictures: Mapping[str, Path] = field(default_factory=dict)
    figures: Sequence[Sequence[str]] = ()
    commands: Mapping[str, str] = field(default_factory=dict)


def write_report(path: Path, report: Report) -> None:
    """Write a report atomically; an OSError names the file that cannot be read or written."""
    title = _text(report.title)
    sections = [
        f"<h1>{title}</h1>",
        *(f"<p>{_text(sentence)}</p>" for sentence in report.sentences),
    ]
    if report.clip:
        source = _data("video/mp4", report.clip)
        attributes = "controls autoplay muted loop playsinline"
        sections.append(
            f'<figure><video src="{source}" aria-label="{title}" {attributes}></video></figure>'
        )
    if report.figures:
        sections += ["<h2>Figures</h2>", _table(*report.figures)]
    if report.pictures:
        sections.append("<h2>Pictures</h2>")
    for caption, picture in report.pictures.items():
        shown = _text(caption)
        source = _data("image/png", picture)
        sections.append(
            f'<figure><figcaption>{shown}</figcaption><img src="{source}" alt="{shown}"></figure>'
        )
    if report.commands:
        sections.append("<h2>Next</h2>\n<dl>")
    for what, line in report.commands.items():
        sections.append(f"<dt>{_text(what)}</dt><dd><pre><code>{_text(line)}</code></pre></dd>")
    if report.commands:
        sections.append("</dl>")
    content = "\n".join(sections)
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"""
    write_bytes(path, page.encode(errors="backslashreplace"))


def next_commands(model: Path | str, names: str, preprocess: str | None = None) -> dict[str, str]:
    """Return what can be done next with a model -> the command for it.

    names: names of commands, separated by spaces
    preprocess: value of --preprocess in each command, None for none
    """
    model = Path(model)
    more: tuple[object, ...] = ()
    if preprocess:
        more = ("--preprocess", preprocess)
    # name of a command -> what it does, and its arguments
    words: dict[str, tuple[object, ...]] = {
        "evaluate": ("Score it in the built-in simulator", model, "-o", "score"),
        "drive": ("Let it drive the Udacity simulator", model, "run1"),
        "play": ("Drive with it in the browser, and take over", model),
        "suite": ("Score it in 20 other conditions", model, "-o", "suite"),
        "replay": ("Score it on a recording of yours", model, "RECORDING"),
    }
    return {
        str(words[name][0]): shown_command(name, *words[name][1:], *more) for name in names.split()
    }


def _text(text: str) -> str:
    """Return a text as HTML.

    A letter that cannot be seen, such as one that changes the writing direction, becomes U+FFFD,
    the replacement character.
    """
    letters = [_visible(letter) for letter in text]
    return html.escape("".join(letters))


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _table(heading: Sequence[str], *rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in heading)
    body = ""
    for first, *cells in rows:
        data = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        body += f'<tr><th scope="row">{_text(first)}</th>{data}</tr>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scrolled" tabindex="0" role="region" aria-label="Figures">{table}</div>'


def _data(kind: str, file: Path) -> str:
    """Return a file as a URL that contains it; `kind` is its MIME type, such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
