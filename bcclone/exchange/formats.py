"""A source -> its format, and for each format the functions that read and write it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.exchanged_rows import Items, Row, Seen
from bcclone.exchange.image_folder import (
    is_image_folder,
    is_labelled_folder,
    read_images,
    write_csv,
)
from bcclone.exchange.inquiry import import_of
from bcclone.exchange.labelled_video import is_labelled_video, read_video
from bcclone.exchange.lerobot import INFO, is_lerobot, read_lerobot
from bcclone.exchange.simulator_log import is_log, read_simulator_log
from bcclone.exchange.table_files import TABLE_ENDINGS
from bcclone.exchange.tub import MANIFEST, is_tub, read_tub, write_tub
from bcclone.exchange.video_file import VIDEO_ENDINGS
from bcclone.recording.files import LOG_NAME, is_recording, subfolders
from bcclone.recording.log import other_file_at
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import as_local, is_hidden
from bcclone.system.settings import SettingError


@dataclass(frozen=True)
class Format:
    """How the sources of a format are recognized, and read into rows."""

    detect: Callable[[Path], bool]  # whether a path looks like a source in this format
    # yields the rows of the source; closing it closes the source
    read: Callable[[ImportSettings, Seen], Items]
    expected: str  # what a folder in this format holds, for messages
    options: Collection[str] = ()  # names of the settings of tables that the format reads


_OF_FILES = OF_TABLES | {"table", "decimal_comma", "time_column", "time_form", "frame_rate"}
_OF_IMAGES = _OF_FILES | {"image_column"}
_OF_VIDEOS = _OF_FILES | {"film_offset"}
FORMATS: Mapping[str, Format] = {  # a source is read in the first format that fits its files
    "tub": Format(
        is_tub,
        read_tub,
        f"{MANIFEST} or record_N.json",
        {"frame_rate", "left_positive", "image_column"},
    ),
    "lerobot": Format(is_lerobot, read_lerobot, INFO, OF_TABLES | {"image_column"}),
    "recording": Format(is_log, read_simulator_log, f"a {LOG_NAME} of the simulator"),
    "video": Format(
        is_labelled_video,
        read_video,
        f"a table beside a video ({', '.join(VIDEO_ENDINGS)})",
        _OF_VIDEOS,
    ),
    "frames": Format(
        is_image_folder,
        read_images,
        f"a table ({', '.join(TABLE_ENDINGS)}) beside frames",
        _OF_IMAGES,
    ),
}

# format of an export -> what writes its rows into an empty folder
WRITERS: Mapping[str, Callable[[Iterable[Row], Path], None]] = {"csv": write_csv, "tub": write_tub}


def chosen_format(settings: ImportSettings) -> str:
    """Return the format that the settings name, or else the one that the source's files show.

    Raises SettingError for a setting of tables that the format does not read.
    """
    given = settings.given_of_tables
    name = settings.format or format_of(settings)
    for option in given:
        if option not in FORMATS[name].options:
            fitting = [other for other, format in FORMATS.items() if option in format.options]
            # a setting's name in braces, such as {unit}, becomes its option; the others are facts
            raise SettingError(
                f"{{{option}}} is only for {{fitting}}, but {{source}} is {name}; leave it out",
                fitting=", ".join(fitting),
                source=settings.source,
            )
    return name


def format_of(settings: ImportSettings) -> str:
    """Return the name of a source's format, found by its files; raises UserError for none.

    If the first format that fits the files reads no settings of tables (a recording of the
    simulator), and such are given, the first one that fits and reads all of them is taken:
    driving_log.csv is then read as any other table.
    """
    source = settings.source
    given = settings.given_of_tables
    detected = [name for name, format in FORMATS.items() if format.detect(source)]
    if "table" in given and source.is_dir():
        detected.append("frames")
    # a text file beside folders of tubs is not a table of their pictures
    of_table = set(given) - set(FORMATS["tub"].options)
    is_doubtful = detected == ["frames"] and not of_table and source.is_dir()
    if not detected or (is_doubtful and _has_sources_alone(source)):
        raise _unknown(settings)
    is_part = is_doubtful and not settings.steering and not is_labelled_folder(source)
    if is_part and (error := _of_whole(settings)):
        raise error
    of_tables = [name for name in detected if set(FORMATS[name].options).issuperset(given)]
    is_table = of_tables and not FORMATS[detected[0]].options
    return of_tables[0] if is_table else detected[0]


def _of_whole(settings: ImportSettings) -> UserError | None:
    """Return the error for a file or folder in a tub or a data set; None for any other."""
    source = settings.source
    whole = source.parent if source.parent.name else source.resolve().parent
    name = next((name for name in ("tub", "lerobot") if FORMATS[name].detect(whole)), "")
    if not name:
        return None
    reason = f"a part of a source ({name}); import all of it: {import_of(settings, whole)}"
    return UserError(f"{source}: {reason}", exit_code=2)


def _has_sources_alone(source: Path) -> bool:
    """Return whether a folder of frames is rather a folder of sources: of tubs or data sets, or of
    frames with tables of their own.
    """
    inside = _sources_in(source, ("tub", "lerobot"))
    return bool(inside) or (not is_labelled_folder(source) and bool(_sources_in(source, FORMATS)))


def _unknown(settings: ImportSettings) -> UserError:
    """Return the error for a source in none of the formats: what it is, or what it holds."""
    source = settings.source
    if source.is_file() and (error := _of_whole(settings)):
        return error
    expected = ", ".join(f"{format.expected} ({name})" for name, format in FORMATS.items())
    reason = f"no such file or folder; expected a folder with {expected}"
    if source.exists():
        reason = f"none of the formats; expected a folder with {expected}"
    if source.is_file():
        reason += f"; of a table, name the folder of its pictures, and --table {source.name}"
    divided = (
        [path.name for path in source.iterdir() if "\\" in path.name] if source.is_dir() else []
    )
    if divided:
        reason = (
            f"its files have the names of folders in their own, such as {min(divided)!r}; unpack "
            "the archive with a program that makes folders of them, such as unzip"
        )
        return UserError(f"{source}: {reason}", exit_code=2)
    for path in (source, *(sorted(source.iterdir())[:100] if source.is_dir() else ())):
        if not is_hidden(path.name) and (other := other_file_at(path)):
            reason = other if path == source else f"{path.name} is {other}"
            break
    else:
        if inside := _sources_in(source, FORMATS):
            others = [path for path in inside if not is_recording(path)]
            remedy = f"recordings need no import: {shown_command('preprocess', *inside)}"
            if others:
                importing = import_of(settings, others[0], of_several=len(others) > 1)
                remedy = f"import each by itself, the first with: {importing}"
            names = ", ".join(str(path.relative_to(source)) for path in inside[:20])
            reason = f"its folders are sources, {len(inside)} of them: {names}; {remedy}"
    return UserError(f"{source}: {reason}", exit_code=2)


def _is_whole(folder: Path, name: str) -> bool:
    """Return whether a folder is a source of a format; frames need a table beside them."""
    if name == "frames":
        return is_labelled_folder(folder)
    return FORMATS[name].detect(folder)


def _sources_in(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the folders in a folder, and in these, that are sources in one of the formats."""
    if not folder.is_dir():
        return []
    found: list[Path] = []
    for path in map(as_local, subfolders(folder)):
        candidates = [path, *map(as_local, subfolders(path))]
        fitting = [at for at in candidates if any(map(partial(_is_whole, at), names))]
        found += [path] if path in fitting else fitting
    return found
