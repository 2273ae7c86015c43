"""The commands preprocess and edit: convert recordings to a store, check them, and edit one."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bcclone.cluster.cluster_settings import ShardingSettings
from bcclone.cluster.convert import convert
from bcclone.commands.options import Browser, Common, Given, Result, SettingsFile, command, notify
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.editor.page_settings import PageSettings
from bcclone.recording.edit_settings import EditSettings
from bcclone.system.errors import UserError
from bcclone.system.hardware import has_browser
from bcclone.system.json_values import names_of
from bcclone.system.settings import argument, setting
from bcclone.system.settings_file import read_settings_file


@dataclass(frozen=True)
class Recordings:
    """The recordings to convert or to check."""

    recordings: tuple[str, ...] = argument(
        "folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern",
        (),
        unit="RECORDING",
        shown="driving_log.csv, or else the recordings in ./recordings/ or ./data/",
    )
    check: bool = setting(
        False,
        "only inspect the recordings and report their faults, with a remedy for each; exit code 1 "
        "if there are some",
    )


@command(
    ShardingSettings,
    after_interrupt="an existing store is unchanged; a folder keeps its finished shards, which the "
    "same command and --resume complete",
)
def preprocess(given: Given, chosen: Recordings, file: SettingsFile) -> Result:
    """Turn recordings of the simulator into one HDF5 store for training.

    RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as
    'recordings/*/'. Without it, the command reads driving_log.csv of the current folder, or else
    the recordings in ./recordings/ or ./data/.
    """
    # options override the settings file
    values = {}
    if file.settings:
        values = read_settings_file(file.settings, ShardingSettings)
    values |= given.of(ShardingSettings)

    # without a RECORDING, take those in the usual places; except where --add only adds recordings
    # of validation or test to a store
    inputs = chosen.recordings
    adds_others = values.get("add") and not {"validation_recordings", "test_recordings"}.isdisjoint(
        values
    )
    if not inputs and (chosen.check or not adds_others):
        from bcclone.recording.files import default_inputs

        inputs = tuple(default_inputs())
        notify(f"no RECORDING named; taking {', '.join(inputs)}")

    if chosen.check:
        given.refuse(
            ShardingSettings,
            "changes nothing in --check, which takes recordings as they are; leave it out",
        )
        return _check(inputs)
    explicit = tuple(name for name in names_of(SampleSettings) if name in values)
    result = convert(ShardingSettings(inputs, explicit=explicit, **values), notify)
    notes = [f"note: {notice}" for notice in result.notices]
    notes += [f"skipped: {reason}" for reason in result.skips]
    return Result.of(result, notes=notes)


def _check(inputs: Sequence[str]) -> Result:
    """Report the faults of recordings; the exit code is 1 for faults, 2 for an unreadable log."""
    from bcclone.diagnosis.advice import advise
    from bcclone.diagnosis.check import check

    reports = check(inputs)
    diagnoses = [report.diagnosis for report in reports if report.diagnosis]
    advice = advise([diagnosis.coverage for diagnosis in diagnoses if diagnosis.coverage])
    parts = [report.as_text() for report in reports]
    if advice:
        parts.append("\n  ".join(("what to record next:", *advice)))
    as_json = {"recordings": [report.as_json() for report in reports], "record_next": list(advice)}
    code = 0
    if any(diagnosis.findings for diagnosis in diagnoses):
        code = 1
    if any(report.log is None for report in reports):
        code = 2
    return Result(as_json, "\n\n".join(parts), code=code)


@command(
    after_interrupt="the recording is unchanged; its edits are the old ones or the new ones, see: "
    "bcclone edit RECORDING",
)
def edit(given: Given, settings: EditSettings, page: PageSettings, opening: Browser) -> Result:
    """List the rows of a recording; delete or restore some, or correct its steering; its files are
    not changed.

    Deleted rows are left out by every command, and every command takes the corrected steering. The
    edits are in a file next to the log, driving_log.edits.json, which is removed when the last one
    is undone; of a tub of donkeycar, its own list of deleted records is edited. Without an edit, a
    page opens in a browser, where you see the recording and edit it; without a terminal or a
    browser, the rows are listed.
    """
    # the page opens if an option asks for it, or if a person can see it and asks for nothing else
    listed = settings.edits or given.make(Common).json
    is_seen = opening.browser and sys.stdin.isatty() and sys.stdout.isatty() and has_browser()
    needs_page = page.model or page.other
    if needs_page and not (page.page or is_seen):
        raise UserError(
            "--model and a second recording are shown on the page; add --page", exit_code=2
        )
    if page.page or needs_page or (is_seen and not listed):
        if listed:
            raise UserError(
                "the page edits by itself; leave out the edit and --json, or the page", exit_code=2
            )
        from bcclone.editor.editor_page import serve_page

        serve_page(settings.recording, page, opening.browser, given.say)
        return Result({"recording": settings.recording}, text=None)

    from bcclone.exchange.edited_tub import open_edited

    recorded = open_edited(settings.recording)
    result = recorded.edit(recorded.parse(settings))
    if not recorded.keeps_history:
        result = replace(result, edits=0)  # another command cannot undo this one
    notes = []
    if recorded.unusable:
        notes.append(f"note: {recorded.unusable}")
    return Result.of(result, notes=notes)
