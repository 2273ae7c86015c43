"""What a hostile tub, data set or table may do: be refused with its file; nothing outside its folder is read."""

import json
import os
import struct
import sys
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from bcclone.dataset.images import encode_jpeg
from bcclone.lab.exchange.exchange_settings import EXPORT_FORMATS, IMPORT_FORMATS, ExportSettings, ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.recording_export import export
from bcclone.lab.exchange.recording_folder import RecordingFolder
from bcclone.lab.exchange.recording_import import (
    READERS,
    format_of,
    import_recording,
    record_images,
    write_recordings,
)
from bcclone.lab.exchange.rows import ExchangedRow
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.row import RowError
from bcclone.recording.run_tables import TracePoint, read_trace
from bcclone.system.errors import UserError
from tests.lab.exchange.driven_recordings import make_driven
from tests.lab.exchange.foreign_sources import FIRST_NS, make_car, make_video

FRAME = encode_jpeg(np.full((160, 320, 3), 90, np.uint8))
needs_pipes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
JSON_TEXTS = [
    "null", "true", "-1", "1.5", "9" * 400, "NaN", '""', '"a\\nb"', '"\\udc80"', '"\\u0000"', "[]", "{}", "[[1]]",
    "[" * 5000 + "]" * 5000,
]  # fmt: skip


def exported(tmp_path, format):
    if format == "lerobot":
        pytest.importorskip("pyarrow", reason="pip install 'bcclone[export]'")
    if format in EXPORT_FORMATS:
        export(ExportSettings(str(make_driven(tmp_path / "lake", rows=2)), tmp_path / "set", format))
    elif format == "frames":
        make_car(tmp_path / "set", count=6)
    else:
        make_video(tmp_path / "set" / "drive.mp4", count=6)
        (tmp_path / "set" / "drive.csv").write_text("steering\n" + "0.1\n" * 6)
    return tmp_path / "set"


def refused(folder, words=""):
    """Import a folder; return whether it or a row of it was refused, with one printable line that has these words."""
    findings, reasons = Findings(), []
    with tempfile.TemporaryDirectory(dir=folder.parent) as target:
        try:
            format = format_of(folder)
            settings = ImportSettings(folder, unit=None if format in EXPORT_FORMATS else "ratio")
            write_recordings(READERS[format](settings, findings), Path(target), findings)
        except UserError as error:
            reasons.append(str(error))
    reasons += findings.examples
    assert all(map(str.isprintable, reasons))
    assert not reasons or any(words in reason for reason in reasons)
    return bool(reasons)


def image_file(folder):
    return next(path for path in sorted(folder.rglob("*")) if path.suffix == ".jpg" and "left" not in path.name)


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def with_value(value, path, text):
    """Return a JSON text in which the value at a path is replaced by another text."""
    copy = json.loads(json.dumps(value))
    holder, key = copy, path[-1]
    for step in path[:-1]:
        holder = holder[step]
    holder[key] = "@"
    return json.dumps(copy).replace('"@"', text)


def places(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        yield from places(member, (*path, key))


@pytest.mark.parametrize("name", ["manifest.json", "catalog_0.catalog"])
def test_every_field_of_a_tub_may_have_any_type(tmp_path, name):
    folder = exported(tmp_path, "tub")
    lines = (folder / name).read_text().splitlines()
    number = len(lines) - 1
    value = json.loads(lines[number])
    outcomes = set()
    for path in places(value):
        for text in JSON_TEXTS:
            changed = [*lines[:number], with_value(value, path, text), *lines[number + 1 :]]
            (folder / name).write_text("\n".join(changed) + "\n")
            outcomes.add(refused(folder))
    assert outcomes == {True, False}


def test_every_field_of_a_description_may_have_any_type(tmp_path):
    folder = exported(tmp_path, "lerobot")
    info = folder / "meta" / "info.json"
    value = json.loads(info.read_text())
    outcomes = set()
    for path in (
        ("fps",),
        ("features",),
        *(path for path in places(value) if path[:2] == ("features", "action")),
    ):
        for text in JSON_TEXTS:
            info.write_text(with_value(value, path, text))
            outcomes.add(refused(folder))
    assert outcomes == {True, False}


def test_every_column_of_a_data_set_may_have_any_type(tmp_path):
    folder = exported(tmp_path, "lerobot")
    import pyarrow
    from pyarrow import parquet

    path = next(folder.glob("data/*/*.parquet"))
    table = parquet.read_table(path)
    values = (
        None,
        True,
        -1,
        2**62,
        1.5,
        float("nan"),
        "a\nb",
        b"\xff",
        [],
        [1.0],
        [None] * 4,
        {"bytes": None},
        {"a": 1},
    )
    outcomes = set()
    for place, name in enumerate(table.schema.names):
        for value in values:
            column = pyarrow.array([value] * len(table), pyarrow.list_(pyarrow.float64()) if value == [] else None)
            if column.type == pyarrow.struct([("bytes", pyarrow.null())]):
                column = pyarrow.array([value] * len(table), pyarrow.struct([("bytes", pyarrow.binary())]))
            parquet.write_table(table.set_column(place, name, column), path)
            outcomes.add(refused(folder))
        parquet.write_table(table.drop_columns([name]), path)
        outcomes.add(refused(folder))
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    "cell", ["x", "-1", "1e400", "nan", "9" * 400, "9" * 5000, "a\nb", "\x1b[1m", "\x00", "n" * 200_000, "\x85", '"']
)
def test_every_cell_of_a_table_may_have_any_text(tmp_path, cell):
    folder = exported(tmp_path, "csv")
    lines = (folder / "table.csv").read_text().splitlines()
    cells = lines[1].split(",")
    for number in range(len(cells)):
        changed = [*cells[:number], f'"{cell}"', *cells[number + 1 :]]
        (folder / "table.csv").write_text("\n".join([lines[0], ",".join(changed), *lines[2:]]) + "\n")
        refused(folder)


def outside(tmp_path):
    """Return the path of an image that is not in the folder of the source."""
    (tmp_path / "secret.jpg").write_bytes(FRAME)
    return tmp_path / "secret.jpg"


@pytest.mark.parametrize("format", ["tub", "csv"])
@pytest.mark.parametrize("way", ["absolute", "dots", "link", "linked folder"])
def test_no_image_outside_the_folder_is_read(tmp_path, format, way):
    folder, secret = exported(tmp_path, format), outside(tmp_path)
    image = image_file(folder)
    if way == "linked folder":
        images = image.parent
        images.rename(tmp_path / "moved")
        images.symlink_to(tmp_path / "moved")
    elif way == "link":
        image.unlink()
        image.symlink_to(secret)
    else:
        text = str(secret) if way == "absolute" else "../../../secret.jpg" if format == "csv" else "../../secret.jpg"
        table = folder / ("catalog_0.catalog" if format == "tub" else "table.csv")
        name = image.name if format == "tub" else image.relative_to(folder).as_posix()
        assert name in table.read_text()
        table.write_text(table.read_text().replace(name, text))
    assert refused(folder, "cannot be read: " if format != "frames" else "")


@pytest.mark.parametrize("format", IMPORT_FORMATS)
def test_no_file_of_a_source_may_be_a_link_that_leads_out(tmp_path, format):
    folder = exported(tmp_path, format)
    needed = [
        path
        for path in files_of(folder)
        if path.suffix in (".csv", ".mp4") or path.name in ("manifest.json", "info.json")
    ]
    needed += [*folder.glob("*.catalog"), *folder.glob("data/*/*.parquet")]
    for number, path in enumerate(needed):
        other = path.rename(tmp_path / f"other{number}")
        path.symlink_to(other)
        assert refused(folder, "leads out of the folder")
        path.unlink()
        other.rename(path)
    assert not refused(folder)


@needs_pipes
@pytest.mark.parametrize("format", IMPORT_FORMATS)
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
        used = path.suffix != ".catalog_manifest" and path.name not in ("stats.json", "tasks.parquet")
        if used and "episodes" not in path.parts:
            assert refused(folder)
        path.rmdir() if kind == "folder" else path.unlink()
        path.write_bytes(content)
    assert not refused(folder)


def png_bomb(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def jpeg_bomb(width, height):
    data = bytearray(FRAME)
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("bomb", [png_bomb(30_000, 30_000), png_bomb(1 << 30, 1), jpeg_bomb(30_000, 30_000)])
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
    at = FRAME.index(b"\xff\xda")
    scan = FRAME[at:-2]
    image_file(folder).write_bytes(FRAME[:-2] + 200 * scan + FRAME[-2:])
    assert refused(folder, "scans")


def test_a_catalog_that_is_named_twice_is_refused(tmp_path):
    folder = exported(tmp_path, "tub")
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(
        text.replace('["catalog_0.catalog"]', '["catalog_0.catalog", "catalog_0.catalog"]')
    )
    assert refused(folder, "names a catalog twice")


def test_a_column_that_unpacks_to_much_more_than_its_file_is_refused(tmp_path):
    folder = exported(tmp_path, "lerobot")
    import pyarrow
    from pyarrow import parquet

    path = next(folder.glob("data/*/*.parquet"))
    table = parquet.read_table(path)
    name = "observation.images.center"
    image = pyarrow.array([{"bytes": bytes(20 << 20), "path": ""}] * len(table), table.schema.field(name).type)
    bomb = table.set_column(table.schema.get_field_index(name), name, image)
    parquet.write_table(bomb, path, compression="zstd")
    assert refused(folder, "bytes unpacked")


@pytest.mark.parametrize("name", ["../{}.jpg", "/etc/{}.jpg", "{}"])
def test_a_table_of_frames_reads_no_image_but_those_of_its_folder(tmp_path, name):
    folder = exported(tmp_path, "frames")
    name = name.format(FIRST_NS + 10**9)
    (folder / f"{FIRST_NS + 10**9}.jpg").symlink_to(outside(tmp_path))
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([*lines[:-1], f"{name},0.1"]) + "\n")
    assert refused(folder, "leads out of the folder")


@pytest.mark.parametrize(
    "cell", ["nan", "inf", "1e400", "9" * 5000, "-0x1", "\x00", "\x1b[1m", "n" * 99_000, '"', "é\x85"]
)
@pytest.mark.parametrize("format", ["frames", "video"])
def test_every_cell_of_a_foreign_table_may_have_any_text(tmp_path, format, cell):
    folder = exported(tmp_path, format)
    path = folder / ("labels.csv" if format == "frames" else "drive.csv")
    lines = path.read_text().splitlines()
    for row in (0, 1):
        cells = lines[row].split(",")
        for number in range(len(cells)):
            changed = ",".join([*cells[:number], cell, *cells[number + 1 :]])
            path.write_text("\n".join([*lines[:row], changed, *lines[row + 1 :]]) + "\n", encoding="utf-8")
            refused(folder)


def test_a_table_with_a_row_for_more_frames_than_a_video_has_takes_the_videos_number(tmp_path):
    folder = exported(tmp_path, "video")
    (folder / "drive.csv").write_text("steering\n" + "0.1\n" * 5000)
    findings, settings = Findings(), ImportSettings(folder, unit="ratio")
    (written,) = write_recordings(READERS["video"](settings, findings), tmp_path / "out", findings)
    assert (written.rows, findings.left_out["records_without_image"]) == (6, 4994)


@pytest.mark.parametrize("start", [0, 30, 48, 200, 800])
def test_a_video_with_wrong_bytes_ends_in_no_other_error(tmp_path, start):
    folder = exported(tmp_path, "video")
    content = bytearray((folder / "drive.mp4").read_bytes())
    random = np.random.default_rng(start)
    for _ in range(10):
        places = start + random.integers(0, 200, 8)
        changed = bytearray(content)
        for place in places[places < len(content)]:
            changed[place] = random.integers(256)
        (folder / "drive.mp4").write_bytes(changed)
        refused(folder)


def test_a_codec_that_no_camera_writes_is_refused(tmp_path):
    folder = exported(tmp_path, "video")
    (folder / "drive.mp4").unlink()
    import av

    with av.open(str(folder / "drive.avi"), "w") as container:
        stream = container.add_stream("rawvideo", rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(96, 64, "yuv420p")))
        container.mux(stream.encode())
    assert refused(folder, "its codec is rawvideo, expected one of")


def test_a_source_may_have_more_recordings_than_files_can_be_open(tmp_path):
    resource = pytest.importorskip("resource")
    rows = (ExchangedRow(number, 0, 0, {"center": FRAME}, 0, 0, 0, 0, place="tub") for number in range(200))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 50, hard))
    try:
        assert len(write_recordings(rows, tmp_path, Findings())) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def calls_while(action):
    """Return how many functions were called, built-in ones included."""
    count = 0

    def counted(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def test_rows_of_the_same_millisecond_take_steps_that_grow_with_their_number(tmp_path):
    def write(count):
        recording = RecordingFolder(tmp_path / str(count))
        for number in range(count):
            images = {"center": FRAME + bytes([number % 256, number // 256])}
            recording.write(record_images(ExchangedRow(0, 0, 5, images, 0, 0, 0, 0)))
        assert len(list((tmp_path / str(count) / "IMG").iterdir())) == count

    write(2)  # caches are filled
    few, many = calls_while(lambda: write(100)), calls_while(lambda: write(400))
    assert many < 4.4 * few


@pytest.mark.parametrize(
    "changes",
    [
        {"time_ms": 2**63}, {"time_ms": 1.5}, {"time_ms": True}, {"episode": "1"}, {"recording": None},
        {"steering": "0"}, {"steering": 10**400}, {"speed_mph": float("nan")}, {"brake": True},
        {"images": {"center": "text"}},
    ],
)  # fmt: skip
def test_a_row_is_checked_where_it_is_born(changes):
    values = {"recording": 0, "episode": 0, "time_ms": 0, "images": {"center": FRAME}}
    values |= dict.fromkeys(("steering", "throttle", "brake", "speed_mph"), 0.0)
    ExchangedRow(**values)
    with pytest.raises(RowError):
        ExchangedRow(**values | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"track": "a\nb"}, {"track": 5}, {"track": "n" * 5000}, {"track": "\udc80"},
        {"x_m": float("inf")}, {"x_m": 1e7}, {"seconds": "1"}, {"z_m": 10**400},
    ],
)  # fmt: skip
def test_a_point_and_a_driver_are_checked_where_they_are_born(changes):
    values = {"seconds": 0.0, "track": "lake", "x_m": 0.0, "z_m": 0.0, "cross_track_m": 0.0}
    TracePoint(**values)
    with pytest.raises(ValueError, match="expected"):
        TracePoint(**values | changes)
    for number in (True, "1", 1.5, 10**400, 0):
        with pytest.raises(ValueError, match="expected 1 to"):
            DrivenRow("human", number)
    with pytest.raises(ValueError, match="expected model or human"):
        DrivenRow(["human"])


def test_a_name_with_quotes_comes_back_from_a_trace(tmp_path):
    point = TracePoint(0.0, 'roads/"a",b.json', 1.0, 2.0, 3.0)
    (tmp_path / "trace.csv").write_text("image,seconds,track,x_m,z_m,cross_track_m\n" + point.row("a.jpg") + "\n")
    assert read_trace(tmp_path) == {"a.jpg": point}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not UTF-8")
@pytest.mark.parametrize("format", IMPORT_FORMATS)
def test_a_name_that_is_not_utf_8_is_a_name(tmp_path, format):
    home = tmp_path / os.fsdecode(b"\xff")
    home.mkdir()
    folder = exported(home, format)
    unit = None if format in EXPORT_FORMATS else "ratio"
    import_recording(ImportSettings(folder, Path(f"{folder}-back"), unit=unit))
    assert len(files_of(Path(f"{folder}-back") / "IMG")) == 6
