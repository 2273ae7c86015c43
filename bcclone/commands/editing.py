"""The command edit: a recording or a tub, and an edit of its rows -> what later commands read.

Without an edit, it opens a page on which a person edits the recording, or lists its rows.
"""

import gc
import sys
from dataclasses import replace

from bcclone.commands.options import Browser, Common, Given, Result, command
from bcclone.editor.page_settings import PageSettings
from bcclone.recording.edit_settings import EditSettings
from bcclone.system.errors import UserError
from bcclone.system.hardware import has_browser


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
        # Python ends by looking through all objects for garbage, for seconds on a loaded machine;
        # frozen objects are left out, so that Ctrl-C ends the command at once
        gc.freeze()
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
