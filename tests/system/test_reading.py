"""Tests of reading.py: pipes, devices, sizes, JSON that no reader expects, and names that lead out of a folder."""

import os
import sys
from pathlib import Path

import pytest

from bcclone.system.reading import UnfitFile, check_regular, open_limited, parse_json, path_inside, read_limited


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_pipe_and_device_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path(os.devnull), Path("/dev/zero"), tmp_path):
        for read in (lambda path: read_limited(path, 10), lambda path: open_limited(path, 10), check_regular):
            with pytest.raises(UnfitFile, match="not a regular file") as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")


def test_content_of_a_file_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    assert read_limited(path, 10) == b"0123456789"
    assert read_limited(str(path), 10) == b"0123456789"
    assert read_limited(path.as_uri(), 10) == b"0123456789"
    with open_limited(path, 10) as file:
        assert file.read() == b"0123456789"
    for read in (read_limited, open_limited):
        with pytest.raises(UnfitFile, match="larger than 9 bytes"):
            read(path, 9)


def test_limit_of_a_file_whose_size_is_not_known() -> None:
    if not Path("/proc/version").is_file():
        pytest.skip("only Linux has files whose size is not known before they are read")
    with pytest.raises(UnfitFile, match="larger than 5 bytes"):
        read_limited(Path("/proc/version"), 5)


def test_missing_file_is_reported_as_usual(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_limited(tmp_path / "missing", 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "levels"),
        ("[" * 101 + "]" * 101, "levels"),
        ('{"a":' * 101 + "1" + "}" * 101, "levels"),
        ("[" + "9" * 400 + "]", "characters"),
        ("[1" + "0" * 30 + "]", "too large"),
        ("[1e999]", "too large"),
        ("NaN", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("{", "Expecting"),
        (b"\xff", "decode"),
        (b'"\xed\xa0\x80"', "decode"),
        ('["a", {"\\ud800": 1}]', "surrogates"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_json_that_no_reader_expects(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_json_as_programs_write_it() -> None:
    assert parse_json('{"a": [1, -2.5e-3, null, true, "x"]}') == {"a": [1, -0.0025, None, True, "x"]}
    assert parse_json("[" * 100 + "]" * 100)


def test_names_stay_inside_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tub"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to(folder / "circle")
    assert path_inside(folder, "images/../a.jpg") == folder.resolve() / "a.jpg"
    for name in ("../secret", "images/../../secret", str(tmp_path / "secret"), "link", "a\0b", "../tub2"):
        with pytest.raises(ValueError, match="leads out of|not the name"):
            path_inside(folder, name)
