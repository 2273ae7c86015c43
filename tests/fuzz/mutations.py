"""Change the content of a file as an attacker or a failing disk would: bytes, or values where the
format is known.
"""

import io
import json
from itertools import islice

import h5py

from tests.hostile import WRONG_PARTS, damaged, put, with_wrong_values


def mutate(content, name, draw):
    """Return changed content of a file. draw: a random.Random; name: whose ending tells the
    format.
    """
    structured = {".json": _json, ".catalog": _json_lines, ".csv": _cells, ".h5": _hdf5}
    ending = "." + name.rpartition(".")[2]
    if ending in structured and draw.random() < 0.6:
        try:
            return structured[ending](content, draw)
        except (ValueError, UnicodeError, OSError, KeyError, RuntimeError, TypeError):
            pass  # HDF5 refuses some values, and a file may be empty
    return damaged(content, draw, draw.choice((1, 1, 5)))


def _json(content, draw):
    changed = list(islice(with_wrong_values(json.loads(content)), 100_000))
    return json.dumps(draw.choice(changed)).encode()


def _json_lines(content, draw):
    lines = content.decode().splitlines(keepends=True)
    place = draw.randrange(len(lines))
    lines[place] = _json(lines[place].encode(), draw).decode() + "\n"
    return "".join(lines).encode()


def _cells(content, draw):
    lines = content.decode().split("\n")
    place = draw.randrange(len(lines))
    cells = lines[place].split(",")
    cell = draw.randrange(len(cells))
    cells[cell : cell + 1] = draw.choice(
        ([], [cells[cell]] * 2, [str(draw.choice(list(with_wrong_values(None))))])
    )
    lines[place] = ",".join(cells)
    return "\n".join(lines).encode(errors="surrogateescape")


def _hdf5(content, draw):
    """Return an HDF5 file in which one attribute or data set has another value, or its JSON text
    has.
    """
    file = io.BytesIO(content)
    with h5py.File(file, "r") as opened:
        places = [f"@{name}" for name in opened.attrs]
        opened.visititems(
            lambda path, member: places.extend([path, *(f"{path}@{name}" for name in member.attrs)])
        )
        place = draw.choice(places)
        holder, _, name = place.rpartition("@")
        value = opened[holder or "/"].attrs[name] if "@" in place else None
    if isinstance(value, str) and value[:1] == "{" and draw.random() < 0.7:
        put(file, place, _json(value.encode(), draw).decode())
    else:
        put(file, place, draw.choice(list(WRONG_PARTS.values())))
    return file.getvalue()
