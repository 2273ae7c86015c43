"""Change the content of a file as an attacker or a failing disk would: bytes, or values where the format is known."""

import io
import json

import h5py
import numpy as np

_TOKENS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 300, b'{"a":' * 300, b"9" * 400, b"1e999", b"-1", b"NaN", b"Infinity",
    b"../../secret", b"/etc/passwd", b"\n", b"\r", b",", b'"', b" " * 2000, b"\\u0000", b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\0" * 8,
)  # fmt: skip
_VALUES = (
    None, True, 0, -1, 2**31, 2**62, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "\0",
    "a\nb", "\ud800", "../x", "/etc/passwd", "9" * 400, "é" * 3000, [], [[]], [None], {}, {"": 1}, list(range(1000)),
    ["x"] * 500,
)  # fmt: skip
_NESTED = "[" * 20_000 + "]" * 20_000


def mutate(content, name, draw):
    """Return changed content of a file. draw: a random.Random; name: whose ending tells the format."""
    structured = {".json": _json, ".catalog": _json_lines, ".csv": _cells, ".h5": _hdf5, ".toml": _lines}
    ending = "." + name.rpartition(".")[2]
    if ending in structured and draw.random() < 0.6:
        try:
            return structured[ending](content, draw)
        except (ValueError, UnicodeError, OSError, KeyError, RuntimeError, TypeError):
            pass  # HDF5 refuses some values, and a file may be empty
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        content = _bytes(content, draw)
    return content


def _bytes(content, draw):
    place = draw.randrange(len(content) + 1)
    end = min(len(content), place + draw.choice((1, 2, 4, 8, 64, 1000)))
    match draw.randrange(7):
        case 0:
            return content[:place]
        case 1:
            return content[:place] + content[end:]
        case 2:
            return content[:place] + draw.randbytes(end - place) + content[end:]
        case 3:
            return content[:place] + draw.choice(_TOKENS) + content[place:]
        case 4:
            token = draw.choice(_TOKENS)
            return content[:place] + token + content[place + len(token) :]
        case 5:
            return content[:end] + content[place:]
    if place == len(content):
        return content
    return content[:place] + bytes((content[place] ^ 1 << draw.randrange(8),)) + content[place + 1 :]


def _json(content, draw):
    if draw.random() < 0.05:
        return _NESTED.encode()
    return json.dumps(_changed(json.loads(content), draw)).encode()


def _json_lines(content, draw):
    lines = content.decode().splitlines(keepends=True)
    place = draw.randrange(len(lines))
    lines[place] = _json(lines[place].encode(), draw).decode() + "\n"
    return "".join(lines).encode()


def _changed(value, draw):
    """Return a JSON value in which one member is replaced, removed, repeated or added."""
    members = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if not members or draw.random() < 0.15:
        return draw.choice(_VALUES)
    key, member = draw.choice(members)
    match draw.randrange(10):
        case 0:
            changed = [one for one in members if one[0] != key]
        case 1:
            changed = members + [(f"{key}x", member)] * 50
        case _:
            changed = [(name, _changed(one, draw) if name == key else one) for name, one in members]
    return dict(changed) if isinstance(value, dict) else [one for _, one in changed]


def _cells(content, draw):
    lines = content.decode().split("\n")
    place = draw.randrange(len(lines))
    cells = lines[place].split(",")
    cell = draw.randrange(len(cells))
    match draw.randrange(5):
        case 0:
            cells.pop(cell)
        case 1:
            cells.insert(cell, cells[cell])
        case 2:
            lines.insert(place, lines[place])
        case _:
            cells[cell] = str(draw.choice(_VALUES))
    lines[place] = ",".join(cells)
    return "\n".join(lines).encode(errors="surrogateescape")


def _lines(content, draw):
    lines = content.decode().split("\n")
    place = draw.randrange(len(lines))
    key, equals, _ = lines[place].partition("=")
    lines[place] = f"{key}{equals} {json.dumps(draw.choice(_VALUES))}"
    return "\n".join(lines).encode()


def _hdf5(content, draw):
    """Return an HDF5 file in which one attribute or data set has another value, type or shape, or leads elsewhere."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        names = ["/"]
        opened.visit(names.append)
        holder = opened[draw.choice(names)]
        if len(holder.attrs) and draw.random() < 0.5:
            name = draw.choice(list(holder.attrs))
            _change_attribute(holder, name, draw)
        else:
            name = draw.choice(names[1:])
            _change_member(opened, name, draw)
    return file.getvalue()


def _change_attribute(holder, name, draw):
    value = holder.attrs[name]
    if isinstance(value, (str, bytes)) and draw.random() < 0.7:
        text = value.encode() if isinstance(value, str) else value
        try:
            changed = _json(text, draw)
        except ValueError:
            changed = _bytes(text, draw)
        value = changed.decode(errors="replace").replace("\0", "")
    else:
        value = _array(draw)
    del holder.attrs[name]
    if draw.random() < 0.9:
        holder.attrs[name] = value


def _change_member(file, name, draw):
    old = file[name]
    match draw.randrange(8):
        case 0:
            del file[name]
        case 1:
            del file[name]
            file[name] = h5py.ExternalLink("other.h5", name)
        case 2:
            del file[name]
            file[name] = h5py.SoftLink("/")
        case 3 if isinstance(old, h5py.Dataset) and old.shape and old.size:
            values = old[()]
            place = draw.randrange(len(values))
            raw = bytearray(values[place : place + 1].tobytes())
            raw[draw.randrange(len(raw))] = draw.randrange(256)
            if old.dtype.kind != "O":
                old[place : place + 1] = np.frombuffer(bytes(raw), old.dtype)
        case 4:
            shape, dtype = getattr(old, "shape", (1,)), getattr(old, "dtype", np.uint8)
            del file[name]
            huge = (draw.choice((10**6, 2**40)), *(shape[1:] or ()))
            file.create_dataset(name, huge, dtype, chunks=(1, *huge[1:]), compression="gzip")
        case _:
            del file[name]
            file[name] = _array(draw)


def _array(draw):
    kind = draw.randrange(6)
    if kind == 0:
        return draw.choice(("", "x", "9" * 400, "[" * 5000))
    if kind == 1:
        return np.zeros(
            draw.choice(((), (0,), (3,), (2, 3), (1, 1, 1, 1, 1))), draw.choice(("u1", "i8", "f4", "f8", "?"))
        )
    if kind == 2:
        return np.full(3, draw.choice((np.nan, np.inf, -1e300, 2.0**63)))
    if kind == 3:
        return np.array([-1, 2**62, 7])
    if kind == 4:
        return np.zeros(2, [("frame", "i8"), ("x", "f4")])
    return h5py.Empty("f4")
