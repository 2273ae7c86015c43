"""Read and write which records of a tub are marked as deleted, as donkeycar does.

read_deleted() takes the folder of a tub and returns the numbers of these records; write_deleted()
replaces them, and changes nothing else. Tubs of donkeycar 4 and later list them in the last line of
manifest.json, earlier ones in exclude.json.
"""

import errno
import json
import os
import re
from collections.abc import Collection
from pathlib import Path

from bcclone.exchange.source_files import read_inside
from bcclone.system.codec import explained, parse_json, whole_number
from bcclone.system.errors import shown_command
from bcclone.system.files import write_bytes

MANIFEST = "manifest.json"  # file of donkeycar 4 and later
_EXCLUDED = "exclude.json"  # file of donkeycar 2 and 3
_CATALOG = re.compile(r"catalog_(\d{1,9})\.catalog")


def catalogs_of(folder: Path) -> list[str]:
    """Return the names of the catalogs in the folder of a tub, in the order of their records."""
    found = (_CATALOG.fullmatch(path.name) for path in folder.glob("catalog_*.catalog"))
    by_number = sorted((int(match[1]), match[0]) for match in found if match)
    return [name for _, name in by_number]


def deleted_file(folder: Path) -> Path:
    """Return the file that lists the deleted records of a tub.

    In tubs of donkeycar 2 and 3, the file is missing if no record is deleted.
    """
    manifest = folder / MANIFEST
    if manifest.is_file() or catalogs_of(folder):
        return manifest
    return folder / _EXCLUDED


def read_deleted(folder: Path) -> set[int]:
    """Return the numbers of a tub's deleted records; raises UserError if they cannot be read."""
    path = deleted_file(folder)
    if path.name == MANIFEST:
        command = shown_command("import", folder, "-o", "recordings/NAME")
        remedy = f"copy the tub again, or import the records that it has: {command}"
        with explained(path, "the manifest of a tub", remedy):
            last_line = read_inside(folder, MANIFEST, "json").splitlines()[-1]
            return _whole_numbers(parse_json(last_line)["deleted_indexes"])
    if not path.exists():
        return set()
    with explained(path, "a list of numbers", "correct it, or remove it"):
        return _whole_numbers(parse_json(read_inside(folder, _EXCLUDED, "json")))


def _whole_numbers(indexes: Collection[object]) -> set[int]:
    return {whole_number("a deleted index", index) for index in indexes}


def write_deleted(folder: Path, deleted: Collection[int]) -> None:
    """Write which records of a tub are deleted, and change nothing else; raises OSError."""
    path = deleted_file(folder)
    if path.name == MANIFEST:
        *lines, last_line = read_inside(folder, MANIFEST, "json").splitlines(keepends=True)
        line_end = last_line[len(last_line.rstrip()) :]
        changed = parse_json(last_line) | {"deleted_indexes": sorted(deleted)}
        content = b"".join([*lines, json.dumps(changed).encode(), line_end])
    else:
        content = json.dumps(sorted(deleted)).encode()
    _replace(path, content)


def _replace(path: Path, content: bytes) -> None:
    """Write a file with the permissions that it had; raises PermissionError if it is read-only."""
    if not path.exists():
        write_bytes(path, content)
        return
    # replacing a file needs no permission to write it, but its owner has said that it stays
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it may not be changed", str(path))
    mode = path.stat().st_mode
    write_bytes(path, content)
    path.chmod(mode)
