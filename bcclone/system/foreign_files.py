"""Name the files that Python imports in the place of its own modules and of bcclone's packages.

Such a file is a student's own module `random` in the current folder, or the cv2.so of ROS on
PYTHONPATH. Little is imported here: such a file may be what the import needs.
"""

import os
import re
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

Fault = tuple[str, str]  # what is found, such as "cv2 is /opt/ros/cv2.so, ...", and its remedy


def foreign_files() -> list[Fault]:
    """Return the files that Python would import, or has imported, instead of the right ones."""
    found = foreign_modules()
    # of a package that is missing, or a module that the reading of their metadata needs
    with suppress(Exception):
        from importlib import metadata

        # without `packaging`, which may itself be such a file
        lines = metadata.requires("bcclone") or []
        names = [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
        found += filter(None, map(foreign_file, names))
    return found


def foreign_modules() -> list[Fault]:
    """Return the files that stand before modules of Python's standard library."""
    library = str(Path(os.__file__).parent)
    if library not in sys.path:
        return []
    before = sys.path[: sys.path.index(library)]
    found = []
    for name in sorted(sys.stdlib_module_names):
        spec = PathFinder.find_spec(name, before)
        loaded = getattr(sys.modules.get(name), "__spec__", spec)
        # the one of the library was loaded before such a folder could come first
        if spec and spec.origin and loaded and loaded.origin == spec.origin:
            found.append(_foreign(name, spec))
    return found


def foreign_file(distribution: str) -> Fault | None:
    """Return the file that stands before a package of an installed distribution, if there is one.

    The folders of PYTHONPATH come before those of the environment, and so does the current folder
    for `python -m bcclone`.
    """
    from importlib import metadata

    try:
        files = metadata.files(distribution) or ()
    except metadata.PackageNotFoundError:  # missing
        return None
    for file in files:
        name, *rest = file.parts
        if rest != ["__init__.py"]:
            continue
        spec = find_spec(name)
        path = Path(spec.origin) if spec and spec.origin else None
        # while a package is loaded, or after that has failed, another file of it may stand for it
        own = (Path(str(each.locate())).resolve() for each in (file, *files))
        if spec and path and path.resolve() not in own:
            return _foreign(name, spec)
    return None


def _foreign(name: str, spec: ModuleSpec) -> Fault:
    path = Path(str(spec.origin))
    folders = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    remedy = f"rename {path}, or work in another folder"
    if any(path.resolve().is_relative_to(Path(folder).resolve()) for folder in folders):
        remedy = "take the folder of that file out of the variable PYTHONPATH, or unset it"
    return f"{name} is {path}, which is not of bcclone's environment", remedy
