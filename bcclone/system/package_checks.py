"""Check that bcclone and the packages that it requires are installed, in fitting versions.

In: requirements in pip's syntax, such as bcclone's own. Out: a `Check` for each. No package is
imported except packaging, and only when a check runs: the checks also run where no package is
installed.
"""

from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from bcclone.system.examination import Check
from bcclone.system.hardware import read_text

REINSTALL = "reinstall bcclone, in its folder: python -m pip install -c constraints.txt -e ."
_INSTALL = f"activate the virtual environment in which it is installed, or {REINSTALL}"
_FOLDER = Path(__file__).parents[2]  # the folder that contains the package bcclone


def check_declared_packages() -> Iterator[Check]:
    """Yield a check of bcclone's own installation, then a check of each package that it requires.

    In a checkout, pyproject.toml says what is required, because the metadata that pip has installed
    may be older.
    """
    try:
        import packaging.requirements  # noqa: F401
    except ImportError:
        yield Check("packaging", "failed", "missing, so versions cannot be compared", _INSTALL)
        return
    import tomllib  # not at the top, because doctor also names a Python that is too old to have it

    if installed := version_of("bcclone"):
        yield Check("bcclone", "ok", f"{installed} ({_FOLDER})")
    else:
        yield Check("bcclone", "warning", f"runs from {_FOLDER}, but is not installed", _INSTALL)
    project = tomllib.loads(read_text(_FOLDER / "pyproject.toml")).get("project", {})
    if project.get("name") == "bcclone":
        requirements = project["dependencies"]
    else:
        requirements = metadata.requires("bcclone") or []
    yield from check_packages(requirements)


def check_packages(requirements: Sequence[str], extra: str = "") -> list[Check]:
    """Compare the installed packages with requirements; none is imported.

    requirements: in pip's syntax, with markers and extras
    extra: an extra of the package that has these requirements; then only the requirements that the
        extra adds are checked
    """
    from packaging.requirements import Requirement

    checks = []
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        is_required = marker is None or marker.evaluate({"extra": extra})
        is_required_anyway = marker is None or marker.evaluate({"extra": ""})
        if not is_required or (extra and is_required_anyway):
            continue
        name = requirement.name
        found = version_of(name)
        if found and requirement.specifier.contains(found, prereleases=True):
            checks.append(Check(name, "ok", found))
            # then the packages that an extra adds, such as those of tensorflow[and-cuda]
            for added in sorted(requirement.extras):
                checks.extend(check_packages(metadata.requires(name) or [], added))
            continue
        extras = ""
        if requirement.extras:
            extras = f"[{','.join(sorted(requirement.extras))}]"
        advice = f'python -m pip install "{name}{extras}{requirement.specifier}"'
        fault = f"{found or 'missing'}, needs {requirement.specifier or 'any'}"
        checks.append(Check(name, "failed", fault, advice))
    return checks


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None if it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
