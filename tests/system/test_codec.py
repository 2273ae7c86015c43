"""Foreign files become checked values, or one message with path, reason and remedy."""

import os
import sys
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest

from bcclone.system.codec import (
    UnfetchedFile,
    UnfitFile,
    check_regular,
    number,
    one_line,
    open_file,
    parse_json,
    parse_record,
    path_inside,
    read_bytes,
    read_json,
    read_table,
    read_toml,
)
from bcclone.system.errors import UserError


@dataclass(frozen=True)
class Lap:
    seconds: float
    track: str = "lake"


def write(path: Path, content: str | bytes | None) -> None:
    """Write a file; None leaves it out."""
    if isinstance(content, str):
        content = content.encode()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"seconds": "3"}', "not the laps of a drive: seconds: '3', expected a number"),
        ('{"track": "lake"}', "seconds is missing"),
        ('{"seconds": 3, "speed": 1}', "speed: unknown"),
        (b"\xff", "can't decode"),
        (None, "cannot be read: No such file"),
    ],
)
def test_json_of_another_kind_is_refused_in_one_message(tmp_path, content, reason) -> None:
    path = tmp_path / "laps.json"
    write(path, content)
    with pytest.raises(UserError, match=f"^{path}: .*{reason}.*; drive again$"):
        read_json(path, Lap, "the laps of a drive", "drive again")


def test_json_becomes_its_class_and_toml_a_dictionary(tmp_path) -> None:
    (tmp_path / "laps.json").write_text('\ufeff{"seconds": 3}')
    assert read_json(tmp_path / "laps.json", Lap, "laps", "drive") == Lap(3.0)
    path = tmp_path / "a.toml"
    path.write_text("seed = 1")
    assert read_toml(path, "settings", "x") == {"seed": 1}
    for wrong in ("seed 1", "a = " + "[" * 5000):
        path.write_text(wrong)
        with pytest.raises(UserError, match=r"a.toml: not settings: .*; write seed = 1"):
            read_toml(path, "settings", "write seed = 1")


TABLE = "id,steering\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its first line is ''"),
        ("id,speed\n1,2\n", "expected names of columns with id,steering"),
        (TABLE + "1,2\n\n1,2,3\n", "line 4: 3 cells, expected 2"),
        (TABLE + "1,\0\n", "line 2: NUL characters"),
        (TABLE + '1,"2\n', "unexpected end of data"),
        (TABLE + "1," + "2" * 200_000, "field larger than field limit"),
        (TABLE.encode() + b"\xff,1\n", "can't decode"),
        (None, "cannot be read"),
    ],
)
def test_a_table_of_another_form_is_refused_in_one_message(tmp_path, text, reason) -> None:
    path = tmp_path / "a.csv"
    write(path, text)
    with pytest.raises(UserError, match=f"^{path}: .*{reason}.*; name another$"):
        list(read_table(path, ["id", "steering"], "a table of steering", "name another"))


def test_a_number_or_text_of_a_file_has_a_range_and_a_form() -> None:
    assert number("x", "1e3") == 1000.0
    assert number("x", 2, 0, 2) == 2.0
    for value in ("", "x", None, True, [], "nan", float("inf"), 10**400, 5):
        with pytest.raises(ValueError, match=r"^x is .*, expected a number from 0 to 4$"):
            number("x", value, 0, 4)

    assert one_line("name", "lake é") == "lake é"
    for value in ("a\nb", "\x1b[0m", 3, None, "\ud800", "x" * 20_000):
        with pytest.raises(ValueError, match="expected a text of one line"):
            one_line("name", value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_pipe_and_device_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    readers = (
        lambda path: read_bytes(path, "json"),
        lambda path: open_file(path, "json"),
        check_regular,
    )
    for path in (pipe, Path(os.devnull), Path("/dev/zero"), tmp_path):
        for read in readers:
            with pytest.raises(UnfitFile, match=f"^{path}: not a regular file"):
                read(path)


def test_a_file_is_read_up_to_the_limit_of_its_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing", "json")
    path = tmp_path / "data"
    most = 1 << 22
    path.write_bytes(bytes(most))
    for source in (path, str(path), path.as_uri()):
        assert len(read_bytes(source, "settings")) == most
    os.truncate(path, most + 1)
    for read in (read_bytes, open_file):
        with pytest.raises(UnfitFile, match=f"larger than {most} bytes"):
            read(path, "settings")


@pytest.mark.parametrize("begin", [b"", b"center,left,right\r\n", b"a\r"])
def test_a_table_with_a_hole_of_gigabytes_is_refused_before_it_is_read(
    tmp_path: Path, begin: bytes
) -> None:
    path = tmp_path / "sparse.csv"
    path.write_bytes(begin)
    os.truncate(path, 1 << 31)
    tracemalloc.start()
    with pytest.raises(UnfitFile, match="a line of more than"):
        read_bytes(path, "table")
    assert tracemalloc.get_traced_memory()[1] < 1 << 26
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "levels"),
        ("[" + "9" * 400 + "]", "a number is '999"),
        ("[1" + "0" * 30 + "]", "a number is '10"),
        ("[1e999]", "a number is '1e999'"),
        ("NaN", "a number is 'NaN'"),
        ("{", "Expecting"),
        (b"\xff", "decode"),
        (b'"\xed\xa0\x80"', "decode"),
        ('["a", {"\\ud800": 1}]', "surrogates"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_json_that_no_reader_expects_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
    assert parse_json('{"a": [1, -2.5e-3, null, true, "x"]}') == {
        "a": [1, -0.0025, None, True, "x"]
    }
    assert parse_json("[" * 100 + "]" * 100)


def test_names_stay_inside_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tub"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to(folder / "circle")
    assert path_inside(folder, "images/../a.jpg") == folder.resolve() / "a.jpg"
    leads_out = ("../secret", "images/../../secret", str(tmp_path / "secret"), "link", "../tub2")
    for name in (*leads_out, "a\0b"):
        with pytest.raises(ValueError, match="leads out of|not the name"):
            path_inside(folder, name)


def test_a_pointer_of_git_lfs_is_named_wherever_a_file_is_read(tmp_path):
    path = tmp_path / "lap.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    message = f"{path}: a pointer of Git LFS, not the file itself; fetch it with: git lfs pull"
    for read in (
        lambda: read_bytes(path, "image"),
        lambda: open_file(path, "video"),
        lambda: read_json(path, Lap, "a lap", "drive another"),
        lambda: list(read_table(path, ["a"], "a table", "name another")),
        lambda: read_toml(path, "a road", "correct it"),
    ):
        with pytest.raises(UnfetchedFile) as refused:
            read()
        assert (str(refused.value), refused.value.exit_code) == (message, 2)
    # the bytes that were looked at are read all the same
    path.write_text("version 1")
    assert read_bytes(path, "image") == b"version 1"


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "9" * 5000, str(1 << 64)])
def test_a_record_may_hold_a_number_that_nobody_reads(text):
    record = parse_record(f'{{"read": 0.5, "count": 3, "other": {text}}}'.encode())
    assert (record["read"], record["count"]) == (0.5, 3)
    with pytest.raises(ValueError, match="other is"):
        number("other", record["other"], -1e9, 1e9)
    with pytest.raises(ValueError, match=r"a number is|expected"):
        parse_json(f"[{text}]")
