"""The commands edit, import and export.

- edit: a recording or a tub, and an edit of its rows -> what later commands read;
- import: a source of another program -> a recording;
- export: recordings, a store or a model -> a file or folder in another program's format.
"""

import gc
import sys
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.command import Command, Given, Result, command, notify
from bcclone.exchange.exchange_settings import EXPORT_FORMATS, ExportSettings, ImportSettings
from bcclone.realcar.export_settings import FORMATS, ExportModelSettings
from bcclone.recording.edit_settings import EditSettings
from bcclone.recording.files import LOG_NAME
from bcclone.system.codec import MODEL_ENDINGS
from bcclone.system.errors import UserError, first_line, number_of, shown_command
from bcclone.system.hardware import has_browser
from bcclone.system.location import free_name
from bcclone.system.settings import Checked, argument, option_words, setting
from bcclone.system.values import to_json
from bcclone.web.access import Access, AllowedNames, check_access

if TYPE_CHECKING:  # it loads OpenCV
    from bcclone.diagnosis.first_check import FirstCheck
    from bcclone.exchange.recording_import import ImportResult

_SHOWN_SKIPS = 10  # how many rows that were left out are named


@dataclass(frozen=True)
class PageSettings(Checked):
    """What the page shows besides the recording, and how it is served."""

    other: str | None = argument(
        "another recording, or a run, to show below on the page", None, unit="OTHER"
    )
    page: bool = setting(
        False, "serve the page also without a terminal or a browser on this machine"
    )
    model: Path | None = setting(
        None, "show on the page how this model would steer, too", unit="MODEL", shown="none"
    )
    port: int = setting(
        0, "port of the page", 0, 65535, shown="4569, or a free one if it is in use", rare=True
    )
    token: str = setting("", "secret that the page asks for; required with --allow-host", rare=True)
    allow_host: AllowedNames = setting((), rare=True)

    def validate(self) -> None:
        check_access("127.0.0.1", self.token, self.allow_host)


@command(
    after_interrupt="the recording is unchanged; its edits are the old ones or the new ones; "
    "edit lists them",
)
def edit(
    given: Given,
    settings: EditSettings,
    page: PageSettings,
    browser: bool = setting(
        True, "at a terminal, open the page in a browser, where this machine has one"
    ),
) -> Result:
    """List the rows of a recording; delete or restore some, or correct its steering; its files are
    not changed.

    Deleted rows are left out by every command, and every command takes the corrected steering. The
    edits are in a file next to the log, driving_log.edits.json, which is removed when the last one
    is undone; of a tub of donkeycar, its own list of deleted records is edited. Without an edit, a
    page opens in a browser, where you see the recording and edit it; without a terminal or a
    browser, the rows are listed.
    """
    # the page opens if an option asks for it, or if a person can see it and asks for nothing else
    listed = settings.edits or given.get("json")
    is_seen = browser and sys.stdin.isatty() and sys.stdout.isatty() and has_browser()
    if page.page or page.model or page.other or (is_seen and not listed):
        if listed:
            raise UserError(
                "the page edits by itself; leave out the edit and --json, or the page", exit_code=2
            )
        from bcclone.commands.next_steps import after_editing
        from bcclone.editor.editor_page import serve_page

        recordings = [name for name in (settings.recording, page.other) if name]
        access = Access(token=page.token, allow_from=None, allow_host=page.allow_host)
        serve_page(
            recordings,
            page.model,
            page.port,
            browser,
            given.say,
            access=access,
            next_step=after_editing,
        )
        # Python ends by looking through all objects for garbage, for seconds on a loaded machine;
        # frozen objects are left out, so that Ctrl-C ends the command at once
        gc.freeze()
        return Result({"recording": settings.recording}, text=None)

    from bcclone.exchange.edited_tub import open_edited

    recorded = open_edited(settings.recording)
    result = recorded.edit(recorded.parse(settings))
    if recorded.kind == "tub":
        result = replace(result, edits=0)  # another command cannot undo this one
    notes = [f"note: {recorded.unusable}"] if recorded.unusable else []
    return Result(result, result.as_text(), notes=notes)


@command()
def import_(settings: ImportSettings) -> Result:
    """Write what another program recorded as a recording, which preprocess.py takes.

    The recording has driving_log.csv and IMG/, as the simulator writes them. SOURCE is a donkeycar
    tub, a LeRobot data set, a folder of frames with a table, a video with a table, or our own
    table.csv. Rows that cannot be used are counted and left out. Steering is -1 (left) to 1
    (right), where 1 is 25 degrees of the front wheels, or --max-degrees. After Ctrl-C, nothing is
    written, or the whole recording.
    """
    if settings.steering:
        from bcclone.realcar.film import import_film as read
    else:
        from bcclone.exchange.recording_import import import_recording as read
    stood_there = _has_files(settings.output)
    try:
        return _described_import(read(settings), settings)
    except KeyboardInterrupt:
        if stood_there or not _has_files(settings.output):
            raise
        # it was written whole, and only its first check was interrupted
        check = shown_command("preprocess", settings.output, "--check")
        raise KeyboardInterrupt(
            f"{settings.output} is complete, but what its pictures say of its steering was not "
            f"looked at; to look: {check}"
        ) from None


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _described_import(result: "ImportResult", settings: ImportSettings) -> Result:
    """Return what is said of a recording that is imported: its rows, its first check, the next
    command.
    """
    from bcclone.commands.next_steps import after_import

    notes = []
    if result.converted:
        is_framed = settings.framing or settings.steering
        how = f"framed by {settings.framing or result.output}" if is_framed else "stretched"
        notes.append(
            f"note: {number_of(result.converted, 'image')} {how} to JPEG of 320x160 pixels"
        )
    if result.deleted:
        notes.append(
            f"note: {number_of(result.deleted, 'row')} marked as deleted, as in the source; "
            f"to change that: {shown_command('edit', result.output)}"
        )
    check = None if settings.steering else checked_import(result, settings)
    lines = [result.as_text(), *([f"check: {check.words}"] if check else [])]
    lines.append(after_import(result, settings))
    facts = check.as_json() if check else None
    return Result({**to_json(result), "check": facts}, "\n".join(lines), notes=notes)


@dataclass(frozen=True)
class ImportCheck:
    """What the turns of the pictures say of an imported steering."""

    found: "FirstCheck"
    words: str
    remedy: str  # the command that mends it, or shows what is wrong; "" for none

    def as_json(self) -> dict[str, Any]:
        return {**to_json(self.found), "words": self.words, "remedy": self.remedy or None}


def checked_import(result: "ImportResult", settings: ImportSettings) -> ImportCheck:
    """Compare an imported steering with the turns of the pictures.

    Of several recordings, the longest is looked at. A check that fails is said in these words: it
    comes after a complete import.
    """
    from bcclone.diagnosis.first_check import FirstCheck, Turning, first_check
    from bcclone.exchange.formats import FORMATS as SOURCES

    try:
        logs = [result.output / LOG_NAME]
        if result.recordings > 1:
            logs = sorted(result.output.glob(f"*/{LOG_NAME}"))
        log = max(logs, key=lambda path: path.stat().st_size)
        found = first_check(log)
    except (UserError, OSError, MemoryError) as error:  # the whole check shows it, too
        why = f"{type(error).__name__}: {first_line(error)}"
        log = result.output / LOG_NAME
        found = FirstCheck(Turning.NOT_MADE, None, 0, why)
    figures = "" if found.correlation is None else f"correlation {found.correlation:g}"
    words = {
        Turning.AS_STEERED: "the pictures turn to the side to which the car is steered",
        Turning.MIRRORED: "the pictures turn to the other side than the car is steered",
        Turning.UNRELATED: "the pictures do not turn as the car is steered",
        Turning.UNKNOWN: "whether the pictures turn as the car is steered cannot be told",
        Turning.NOT_MADE: "the recording is complete, but what its pictures say of the steering "
        "could not be looked at",
    }[found.turning]
    if found.lag_frames:
        side = "after" if found.lag_frames > 0 else "before"
        frames = number_of(abs(found.lag_frames), "frame")
        figures += f" with the steering {abs(found.lag_ms or 0)} ms, {frames}, {side} the turn"
    words += f" ({', '.join(filter(None, (figures, found.why)))})"
    remedy = found.remedy
    if found.turning == Turning.MIRRORED:
        remedy = shown_command("edit", log.parent, "--mirror-steering")
        if "left_positive" in SOURCES[result.format].options:
            output = result.output
            if output.name in ("", ".."):  # such as the current folder
                output = output.resolve()
            free = Path(free_name(f"{output}-mirrored"))
            turned = replace(settings, output=free, left_positive=not settings.left_positive)
            remedy = shown_command("import", settings.source, *option_words(turned))
        words += f"; import it the other way round: {remedy}"
    elif found.turning in (Turning.UNRELATED, Turning.NOT_MADE):
        remedy = shown_command("preprocess", log.parent, "--check")
        words += f"; see what is wrong: {remedy}"
    elif remedy:
        words += f"; that is not usual: {remedy}"
    return ImportCheck(found, words, remedy)


@command(ExportSettings, ExportModelSettings)
def export(
    given: Given,
    source: str = argument("folder with recordings, a CSV file, a pattern, a store, or a model"),
    to: str = setting(
        MISSING,
        f"format: {', '.join(EXPORT_FORMATS)} for recordings and stores, {', '.join(FORMATS)} for "
        "models",
        choices=(*EXPORT_FORMATS, *FORMATS),
    ),
    output: Path | None = setting(
        None,
        "file or folder to write",
        shown=f"{ExportSettings.output}; of a model, a file of its name beside it",
        writes=True,
    ),
) -> Result:
    """Write a recording, a store or a model in the format of another program.

    Recordings and stores become a CSV table, or a tub of donkeycar; rows that `bcclone edit` has
    deleted are left out. A model becomes a file for ONNX Runtime, LiteRT or donkeycar that takes
    the camera's own pictures, with a short program beside it that steers with it; the result says
    how far its steering differs from the model's. A failed export writes nothing.
    """
    from bcclone.system.hdf5_file import kind_of

    is_model = to in FORMATS
    path = Path(source)
    without_effect = ExportSettings if is_model else ExportModelSettings
    given.refuse(without_effect, f"has no effect with --to {to}; leave it out")
    if is_model and path.is_dir():
        raise UserError(
            f"{path}: a folder, expected a model file; recordings go --to "
            f"{next(iter(EXPORT_FORMATS))}"
        )
    if not is_model and (path.suffix in MODEL_ENDINGS or kind_of(path) == "model"):
        raise UserError(
            f"{path}: a model, expected a recording or a store; a model goes --to "
            f"{' or '.join(FORMATS)}"
        )
    if is_model:
        from bcclone.commands.next_steps import after_export
        from bcclone.realcar.export import export_model

        exported = export_model(given.make(ExportModelSettings, model=path), notify)
        text = f"{exported.as_text()}\n{after_export(exported)}"
        return Result(exported, text.rstrip())
    from bcclone.exchange import recording_export

    result = recording_export.export(given.make(ExportSettings))
    notes = [f"left out: {line}" for line in result.skipped[:_SHOWN_SKIPS]]
    return Result(result, result.as_text(), notes=notes)


COMMANDS: dict[str, Command] = {"edit": edit, "import": import_, "export": export}
