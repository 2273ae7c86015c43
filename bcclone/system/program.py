"""How this program was started -> how its commands are typed in the same shell.

A command that is shown has to work where it is read. After `.venv/bin/bcclone demo`, no command of
the name bcclone need be on the PATH; after `uvx ... bcclone demo`, none is.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

NAME = "bcclone"
SCRIPTS = ("preprocess", "model", "drive", "video")  # commands that a clone has as scripts, too
_CLONE = Path(__file__).resolve().parents[2]


def program_words(command: str = "") -> list[str]:
    """Return the words with which a command is begun, such as ["python", "drive.py"].

    They have the form in which this process was started; a program that imports bcclone gets
    those of an installed bcclone.

    command: name of a command, such as "simulate record"; "" for the words before any name
    """
    started = Path(sys.argv[0]) if sys.argv else Path()
    name = command.split()
    if started.stem in SCRIPTS and started.resolve().parent == _CLONE:
        if command in SCRIPTS:
            return [_python(), str(started.with_name(f"{command}.py"))]
        return [*_beside_scripts(), *name]
    if started.name == "__main__.py" and started.parent.name == NAME:
        return [_python(), "-m", NAME, *name]
    if started.stem == NAME:
        return [*_by_command(started), *name]
    return [NAME, *name]


def _by_command(started: Path) -> list[str]:
    """Return the words for a start by the installed command. started: its path, as it was typed"""
    if "UV_RUN_RECURSION_DEPTH" in os.environ:  # `uv run` puts its environment on the PATH
        return ["uv", "run", NAME]
    if _is_in_cache(Path(sys.prefix)):
        return ["uvx", *_source_of_uvx(), NAME]
    found = shutil.which(NAME)
    if found and started.parent.absolute() == Path(found).parent.absolute():
        return [NAME]
    return [str(started)]


def _beside_scripts() -> list[str]:
    """Return the words for a command that is no script, after a start by a script of a clone."""
    found = shutil.which(NAME)
    if found and Path(found).parent.absolute() == Path(sys.executable).parent:
        return [NAME]
    return [_python(), "-m", NAME]


def _python() -> str:
    """Return the Python of this process as it was typed."""
    return sys.orig_argv[0] if sys.orig_argv else sys.executable


def _is_in_cache(environment: Path) -> bool:
    """Return whether uvx made this environment: one in its cache, that no PATH keeps."""
    marked = (folder / "CACHEDIR.TAG" for folder in environment.parents)
    return "UV" in os.environ and any(mark.is_file() for mark in marked)


def _source_of_uvx() -> Sequence[str]:
    """Return the option that says what uvx installed: from where, and with which extras.

    None for the package of the index without extras.
    """
    import json  # not at the top: few starts need them
    from importlib.metadata import PackageNotFoundError, distribution

    from bcclone.system.secret_words import without_password

    try:
        stated = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return []
    extras = ",".join(_installed_extras(NAME))
    package = f"{NAME}[{extras}]" if extras else ""
    if stated is None:
        return ["--from", package] if package else []
    source = json.loads(stated)
    url = without_password(source["url"])  # before an @ of a revision
    if vcs := source.get("vcs_info"):
        revision = vcs.get("requested_revision")
        url = f"{vcs['vcs']}+{url}{f'@{revision}' if revision else ''}"
    return ["--from", f"{package} @ {url}" if package else url]


def _installed_extras(package: str) -> list[str]:
    """Return the extras of a package whose requirements are all installed."""
    from importlib.metadata import distribution

    names = distribution(package).metadata.get_all("Provides-Extra") or []
    return sorted(name for name in names if _has_extra(package, name))


def _has_extra(package: str, extra: str) -> bool:
    """Return whether what a package needs for an extra, and no more often, is installed."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement

    try:
        requirements = map(Requirement, distribution(package).requires or [])
        added = [
            each
            for each in requirements
            if each.marker
            and each.marker.evaluate({"extra": extra})
            and not each.marker.evaluate({"extra": ""})
        ]
        for each in added:
            distribution(each.name)
    except PackageNotFoundError:
        return False
    return bool(added) and all(
        _has_extra(each.name, inner) for each in added for inner in each.extras
    )
