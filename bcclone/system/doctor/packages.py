"""Check Python and the installed packages against what bcclone declares."""

import platform
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.system.doctor.machine import Check
from bcclone.system.hardware import read_text

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PYTHONS = ((3, 11), (3, 13))  # as in pyproject.toml; a test compares
REINSTALL = "reinstall bcclone, in its folder: python -m pip install -c constraints.txt -e ."
_INSTALL = f"activate the virtual environment in which it is installed, or {REINSTALL}"
_FOLDER = Path(__file__).parents[3]


def check_python(version: tuple[int, int]) -> Check:
    """Compare the version of Python with the supported ones."""
    lowest, highest = (".".join(map(str, python)) for python in PYTHONS)
    found = f"{platform.python_version()} ({sys.executable})"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return Check("python", "ok", found)
    advice = f"install bcclone into a virtual environment with one of them: python{highest} -m venv .venv"
    return Check("python", "failed", f"{found}, needs {lowest} to {highest}", advice)


def check_declared_packages() -> Iterator[Check]:
    """Yield a check of bcclone's own installation, then one of each package that it requires.

    The pyproject.toml of a checkout has precedence over the installed metadata, which may be older.
    """
    try:
        import packaging.requirements  # noqa: F401
    except ImportError:
        yield Check("packaging", "failed", "missing, so versions cannot be compared", _INSTALL)
        return
    try:
        installed = metadata.requires("bcclone") or []
    except metadata.PackageNotFoundError:
        installed = None
    declared = _requirements_of_checkout(_FOLDER / "pyproject.toml")
    yield check_installation(installed, declared)
    yield from check_packages(installed or [] if declared is None else declared)


def _requirements_of_checkout(pyproject: Path) -> list[str] | None:
    """Return the requirements in a pyproject.toml of bcclone, None if there is none."""
    if sys.version_info < PYTHONS[0]:  # it has no tomllib, and check_python() reports it
        return None
    import tomllib

    project = tomllib.loads(read_text(pyproject)).get("project", {})
    return [*project["dependencies"]] if project.get("name") == "bcclone" else None


def check_installation(installed: Sequence[str] | None, declared: Sequence[str] | None) -> Check:
    """Compare the requirements of the installed bcclone with the ones of its checkout; None if there is none."""
    if installed is None:
        return Check("bcclone", "warning", f"runs from {_FOLDER}, but is not installed", _INSTALL)
    found = f"{metadata.version('bcclone')} ({_FOLDER})"
    if declared is None or {*map(str, _needed(installed))} == {*map(str, _needed(declared))}:
        return Check("bcclone", "ok", found)
    return Check("bcclone", "warning", f"{found}, pyproject.toml has changed since it was installed", REINSTALL)


def check_packages(requirements: Sequence[str], extra: str = "") -> list[Check]:
    """Compare the installed packages with requirements in pip's syntax, with markers and extras.

    extra: of the package that requires them; only the requirements that it adds are checked.
    """
    checks = []
    for requirement in _needed(requirements, extra):
        checks.append(_check_package(requirement))
        for added in sorted(requirement.extras):
            if checks[-1].state == "ok":
                checks.extend(check_packages(metadata.requires(requirement.name) or [], added))
    return checks


def _needed(requirements: Sequence[str], extra: str = "") -> "list[Requirement]":
    """Return the requirements whose marker is true here; with an extra, only those that it adds."""
    from packaging.requirements import Requirement

    every = [Requirement(text) for text in requirements]
    always = [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [one for one in every if one not in always and one.marker and one.marker.evaluate({"extra": extra})]


def _check_package(requirement: "Requirement") -> Check:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    needs = f"{requirement.name}{extras}{requirement.specifier}"
    advice = f'python -m pip install "{needs}"'
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(requirement.name, "failed", f"missing, needs {requirement.specifier or 'any'}", advice)
    except (KeyError, FileNotFoundError):  # an interrupted installation; up to Python 3.13 the version is None instead
        found = ""
    if not found:
        advice = f'python -m pip install --force-reinstall "{needs}"'
        return Check(requirement.name, "failed", "its version cannot be read", advice)
    if requirement.specifier.contains(found, prereleases=True):
        return Check(requirement.name, "ok", found)
    return Check(requirement.name, "failed", f"{found}, needs {requirement.specifier}", advice)
