"""A hostile tub, data set or table is refused with its file; nothing outside its folder is read."""

import itertools
import json
import os
import shlex
import struct
import sys
import tempfile
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.exchange.exchange_settings import (
    EXPORT_FORMATS,
    IMPORT_FORMATS,
    ExportSettings,
    ImportSettings,
)
from bcclone.exchange.exchanged_rows import LeftOut, Row, Seen, row_of
from bcclone.exchange.formats import FORMATS, format_of
from bcclone.exchange.recording_export import export
from bcclone.exchange.recording_import import framed_rows, import_recording, write_recordings
from bcclone.recording.run_tables import DrivenBy
from bcclone.system.errors import UserError
from bcclone.system.settings import option_words
from tests.exchange.driven_recordings import make_driven
from tests.exchange.foreign_sources import FIRST_NS, make_car, make_lerobot, make_video, write_image
from tests.hostile import damaged, with_wrong_values
from tests.messages.refusals import run_command
from tests.processes import cpu_limit

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))
# what may stand in a cell of a table
CELLS = (
    "x", "nan", "inf", "1e400", "-0x1", "9" * 5000, "1_0", '"a\nb"', "\x1b[1m", "\x00",
    "n" * 200_000, '"', "\x85", "",
)  # fmt: skip
# what may stand in each row of a column
COLUMNS = (
    None, True, -1, 2**62, 1.5, float("nan"), "a\nb", b"\xff", [], [1.0], [None] * 4,
    {"bytes": None}, {"a": 1},
)  # fmt: skip


def exported(tmp_path, format):
    """Return a small source of a format."""
    if format in EXPORT_FORMATS:
        driven = make_driven(tmp_path / "lake", rows=2)
        export(ExportSettings(str(driven), tmp_path / "set", format))
    elif format == "lerobot":
        make_lerobot(tmp_path / "set", camera=FRAME)
    elif format == "frames":
        make_car(tmp_path / "set", count=6)
    elif format == "recording":
        for path in (make_driven(tmp_path / "set", rows=2) / "IMG").iterdir():
            write_image(path, 0)
    elif format == "video":
        make_video(tmp_path / "set" / "drive.mp4", count=6)
        (tmp_path / "set" / "drive.csv").write_text("steering,throttle\n" + "0.1,0.2\n" * 6)
    else:
        pytest.fail(f"{format} is not exported: make a small source of it here")
    return tmp_path / "set"


def settings_for(format):
    """Return what an import of the format needs to know of the steering of our sources."""
    options = FORMATS["frames" if format == "csv" else format].options
    return {"unit": "ratio", "straight": 0.0} if "straight" in options else {}


def refused(folder, words=""):
    """Import a folder; return whether it or a row of it was refused.

    Each line of a reason must be printable, and one reason must have these words.
    """
    reasons = []
    with tempfile.TemporaryDirectory(dir=folder.parent) as target:
        try:
            format = format_of(ImportSettings(folder))
            settings = ImportSettings(folder, **settings_for(format))
            write(FORMATS[format].read(settings, Seen()), Path(target), reasons)
        except UserError as error:
            reasons.append(str(error))
    assert all(line.isprintable() for reason in reasons for line in reason.splitlines())
    assert not reasons or any(words in reason for reason in reasons)
    return bool(reasons)


def write(items, folder, reasons):
    """Write the rows of a source as recordings; append to the reasons why others are left out."""

    def usable(framed):
        for item in framed:
            if isinstance(item, LeftOut):
                reasons.append(item.shown)
            else:
                yield item

    with framed_rows(items) as framed:
        return write_recordings(usable(framed), folder)


def image_file(folder):
    """Return the first image that is not of the left camera."""
    images = sorted(folder.rglob("*.jpg"))
    return next(image for image in images if "left" not in image.name)


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def needed_files(folder):
    """Return the files without which a source cannot be read, except images."""
    endings = (".csv", ".mp4", ".catalog", "manifest.json", "info.json", ".parquet")
    return [path for path in files_of(folder) if path.name.endswith(endings)]


def wrong_json(path):
    """Change the last line of a file of JSON lines, or the whole file."""
    lines = path.read_text().splitlines()
    is_of_lines = lines[-1].startswith('{"')
    if not is_of_lines:
        lines = ["".join(lines)]
    *head, last = lines
    wrong = list(with_wrong_values(json.loads(last)))
    about_300 = wrong[:: 1 + len(wrong) // 300]
    for value in about_300:
        path.write_text("\n".join([*head, json.dumps(value)]) + "\n")
        yield
    path.write_text("\n".join(lines) + "\n")


def wrong_cells(path):
    lines = path.read_text().splitlines()
    for row in (0, 1):
        cells = lines[row].split(",")
        for column in range(len(cells)):
            for cell in CELLS:
                changed = ",".join([*cells[:column], cell, *cells[column + 1 :]])
                changed_lines = [*lines[:row], changed, *lines[row + 1 :]]
                path.write_text("\n".join(changed_lines) + "\n", encoding="utf-8")
                yield


def wrong_columns(path):
    import pyarrow
    from pyarrow import parquet

    types = {
        "[]": pyarrow.list_(pyarrow.float64()),
        "{'bytes': None}": pyarrow.struct([("bytes", pyarrow.binary())]),
    }
    table = parquet.read_table(path)
    for place, name in enumerate(table.schema.names):
        for value in COLUMNS:
            column = pyarrow.array([value] * len(table), types.get(str(value)))
            parquet.write_table(table.set_column(place, name, column), path)
            yield
        parquet.write_table(table.drop_columns([name]), path)
        yield


def wrong_bytes(path):
    content = path.read_bytes()
    random = Random(0)
    for _ in range(40):
        path.write_bytes(damaged(content, random))
        yield
    path.write_bytes(content)


WRONG = {
    ".csv": wrong_cells,
    ".json": wrong_json,
    ".catalog": wrong_json,
    ".parquet": wrong_columns,
    ".mp4": wrong_bytes,
}


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", *IMPORT_FORMATS])
def test_a_source_with_any_wrong_value_is_read_or_refused(tmp_path, format):
    folder = exported(tmp_path, format)
    assert not refused(folder)
    outcomes = set()
    for path in needed_files(folder):
        for _ in WRONG[path.suffix](path):
            outcomes.add(refused(folder))
    assert True in outcomes


def outside(tmp_path):
    """Return the path of an image that is not in the folder of the source."""
    (tmp_path / "secret.jpg").write_bytes(FRAME)
    return tmp_path / "secret.jpg"


@pytest.mark.parametrize(
    ("format", "path", "words"),
    [
        pytest.param("tub", "{}", "cannot be read: ", id="absolute-tub"),
        pytest.param("tub", "../../secret.jpg", "cannot be read: ", id="dots-tub"),
        pytest.param("csv", "{}", "not in the folder", id="absolute-csv"),
        pytest.param("csv", "../../../secret.jpg", "not in the folder", id="dots-csv"),
    ],
)
def test_no_image_outside_the_folder_is_read(tmp_path, format, path, words):
    folder = exported(tmp_path, format)
    secret = outside(tmp_path)
    image = image_file(folder)
    if format == "tub":
        table = folder / "catalog_0.catalog"
        name = image.name
    else:
        table = folder / "table.csv"
        name = image.relative_to(folder).as_posix()
    text = table.read_text()
    assert name in text
    table.write_text(text.replace(name, path.format(secret)))
    assert refused(folder, words)


def link_image(folder, path):
    path.unlink()
    path.symlink_to(outside(folder.parent))


def link_folder(folder, path):
    path.parent.rename(folder.parent / "moved")
    path.parent.symlink_to(folder.parent / "moved")


def link_root(folder, path):
    (path.parent / "all").symlink_to("/")


@pytest.mark.parametrize(
    ("format", "link"),
    [
        *itertools.product(("tub", "csv", "recording"), (link_image, link_folder)),
        ("csv", link_root),
        ("frames", link_image),
        ("frames", link_root),
    ],
)
def test_a_link_out_of_a_source_is_refused_unless_the_user_says_that_it_is_read(
    tmp_path, format, link
):
    folder = exported(tmp_path, format)
    link(folder, image_file(folder))
    settings = ImportSettings(folder, tmp_path / "out", **settings_for(format))
    with pytest.raises(UserError, match="leads out of the folder.*--follow-links") as refused:
        import_recording(settings)
    assert not (tmp_path / "out").exists()
    command = str(refused.value).partition("belongs to this source: ")[2]
    assert all(f" {word}" in command for word in (str(folder), *option_words(settings)))
    if link is not link_root:  # it would be searched for pictures
        words = shlex.split(command)
        run_command(*words[words.index("import") :])
        assert (tmp_path / "out" / "driving_log.csv").exists()


@pytest.mark.parametrize("link", [link_image, link_folder])
def test_a_recording_that_is_read_where_it_lies_may_have_its_pictures_elsewhere(tmp_path, link):
    folder = make_driven(tmp_path / "lake", rows=2)
    settings = ExportSettings(str(folder), tmp_path / "before")
    rows = export(settings).rows
    link(folder, image_file(folder))
    assert export(replace(settings, output=tmp_path / "after")).rows == rows


@pytest.mark.parametrize("format", ["csv", *IMPORT_FORMATS])
def test_links_within_a_source_are_read_and_the_source_may_be_one(tmp_path, format):
    folder = exported(tmp_path, format)
    rows = import_recording(ImportSettings(folder, tmp_path / "1", **settings_for(format))).rows
    for path in files_of(folder):
        path.rename(path.with_name(f".{path.name}"))
        path.symlink_to(f".{path.name}")
    (folder / "circle").symlink_to(folder)
    (tmp_path / "link").symlink_to(folder)
    settings = ImportSettings(tmp_path / "link", tmp_path / "2", **settings_for(format))
    assert import_recording(settings).rows == rows


def test_names_that_lead_out_are_no_links_that_are_followed(tmp_path):
    folder = exported(tmp_path, "tub")
    outside(tmp_path)
    catalog = folder / "catalog_0.catalog"
    catalog.write_text(catalog.read_text().replace(image_file(folder).name, "../../secret.jpg"))
    result = import_recording(ImportSettings(folder, tmp_path / "out", follow_links=True))
    assert (result.rows, result.seen.unreadable_images) == (1, 1)
    assert "leads out of the folder" in result.seen.left_out[0]


@pytest.mark.parametrize("format", ["csv", *IMPORT_FORMATS])
def test_no_file_of_a_source_may_be_a_link_that_leads_out(tmp_path, format):
    folder = exported(tmp_path, format)
    for number, path in enumerate(needed_files(folder)):
        other = path.rename(tmp_path / f"other{number}")
        path.symlink_to(other)
        assert refused(folder, "leads out of the folder")
        settings = ImportSettings(folder, follow_links=True, **settings_for(format))
        assert list(FORMATS[format if format != "csv" else "frames"].read(settings, Seen()))
        path.unlink()
        other.rename(path)
    assert not refused(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("format", ["csv", *IMPORT_FORMATS])
@pytest.mark.parametrize("kind", ["pipe", "huge", "folder"])
def test_what_is_no_file_of_a_usual_size_is_refused_at_once(tmp_path, format, kind):
    folder = exported(tmp_path, format)
    for path in files_of(folder):
        content = path.read_bytes()
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.touch()
            os.truncate(path, 1 << 42)
        if path.suffix != ".catalog_manifest":
            assert refused(folder)
        if kind == "folder":
            path.rmdir()
        else:
            path.unlink()
        path.write_bytes(content)
    assert not refused(folder)


def png_bomb(width, height):
    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def jpeg_bomb(width, height):
    data = bytearray(FRAME)
    frame_header = data.index(b"\xff\xc0")
    data[frame_header + 5 : frame_header + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "bomb", [png_bomb(30_000, 30_000), png_bomb(1 << 30, 1), jpeg_bomb(30_000, 30_000)]
)
def test_an_image_that_declares_too_many_pixels_takes_no_memory(tmp_path, bomb):
    folder = exported(tmp_path, "tub")
    image_file(folder).write_bytes(bomb)
    tracemalloc.start()
    try:
        assert refused(folder, "expected at most 16777216 in all")
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_many_scans_is_refused(tmp_path):
    folder = exported(tmp_path, "tub")
    end = FRAME[-2:]
    scan = FRAME[FRAME.index(b"\xff\xda") : -2]
    image_file(folder).write_bytes(FRAME.removesuffix(end) + 200 * scan + end)
    assert refused(folder, "scans")


def test_a_catalog_that_is_named_twice_is_read_once(tmp_path):
    folder = exported(tmp_path, "tub")
    text = (folder / "manifest.json").read_text()
    twice = text.replace('["catalog_0.catalog"]', '["catalog_0.catalog", "catalog_0.catalog"]')
    (folder / "manifest.json").write_text(twice)
    assert import_recording(ImportSettings(folder, tmp_path / "out")).rows == 2


def test_a_column_that_unpacks_to_much_more_than_its_file_is_refused(tmp_path):
    folder = exported(tmp_path, "lerobot")
    import pyarrow
    from pyarrow import parquet

    path = next(folder.glob("data/*/*.parquet"))
    table = parquet.read_table(path)
    name = "observation.images.front"
    images = [{"bytes": bytes(20 << 20), "path": None}] * len(table)
    image = pyarrow.array(images, table.schema.field(name).type)
    bomb = table.set_column(table.schema.get_field_index(name), name, image)
    parquet.write_table(bomb, path, compression="zstd")
    assert refused(folder, "bytes unpacked")


@pytest.mark.parametrize("name", ["../{}.jpg", "{}"])
def test_a_table_of_frames_reads_no_image_but_those_of_its_folder(tmp_path, name):
    folder = exported(tmp_path, "frames")
    name = name.format(FIRST_NS + 10**9)
    (folder / f"{FIRST_NS + 10**9}.jpg").symlink_to(outside(tmp_path))
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([*lines[:-1], f"{name},0.1"]) + "\n")
    assert refused(folder, "leads out of the folder")


def test_a_codec_that_no_camera_writes_is_refused(tmp_path):
    folder = exported(tmp_path, "video")
    (folder / "drive.mp4").unlink()
    import av

    with av.open(str(folder / "drive.avi"), "w") as container:
        stream = container.add_stream("rawvideo", rate=20)
        stream.width = 96
        stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(96, 64, "yuv420p")))
        container.mux(stream.encode())
    assert refused(folder, "its codec is rawvideo, expected one of")


def test_a_source_may_have_more_recordings_than_files_can_be_open(tmp_path):
    resource = pytest.importorskip("resource")
    rows = (Row(number, 0, 0, {"center": FRAME}, 0, 0, 0, 0, place="tub") for number in range(200))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files_open = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_open + 50, hard))
    try:
        assert len(write(rows, tmp_path, [])) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_rows_of_the_same_millisecond_are_named_in_linear_time(tmp_path):
    contents = (FRAME + number.to_bytes(2, "big") for number in range(1000))
    rows = (Row(0, 0, 5, {"center": content}, 0, 0, 0, 0, place="tub") for content in contents)
    with cpu_limit(60):
        write(rows, tmp_path, [])
    assert len(list((tmp_path / "IMG").iterdir())) == 1000


@pytest.mark.parametrize(
    "changes",
    [
        {"time_ms": 2**63}, {"time_ms": 1.5}, {"time_ms": ""}, {"episode": "one"}, {"episode": -1},
        {"steering": 1.1}, {"steering": 10**400}, {"speed_mph": float("nan")}, {"brake": True},
        {"driver": ["human"]}, {"take_over": -1}, {"track": "a\nb"}, {"track": 5}, {"x_m": 1e7},
        {"cross_track_m": None},
    ],
)  # fmt: skip
def test_a_row_is_checked_where_it_is_born(changes):
    numbers = ("time_ms", "steering", "trace_seconds", "x_m", "z_m", "cross_track_m")
    values = dict.fromkeys(numbers, 0.0)
    values |= {"driver": "human", "take_over": 1, "track": "lake"}
    assert row_of(values, {}, "here").driven == DrivenBy("human", 1)
    with pytest.raises(ValueError, match=r"expected|no 'time_ms'"):
        row_of(values | changes, {}, "here")


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have no names that are not UTF-8"
)
@pytest.mark.parametrize("format", ["csv", *IMPORT_FORMATS])
def test_a_name_that_is_not_utf_8_is_a_name(tmp_path, format):
    home = tmp_path / os.fsdecode(b"\xff")
    home.mkdir()
    folder = exported(home, format)
    back = folder.with_name(f"{folder.name}-back")
    import_recording(ImportSettings(folder, back, **settings_for(format)))
    assert len(files_of(back / "IMG")) == 6
