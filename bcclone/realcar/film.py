"""A film of driving without steering -> a recording whose steering is what the film shows.

The first pictures are read to find the camera's framing, then the whole film is read. Its frames
wait in a folder until the steering of all of them has been estimated.
"""

import shutil
import time
from dataclasses import replace

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import chosen_format
from bcclone.exchange.recording_import import (
    ImportResult,
    open_source,
    result_of,
    write_recordings,
)
from bcclone.exchange.seen import Seen
from bcclone.realcar.film_framing import find_camera
from bcclone.realcar.film_steering import estimate_steering, keep_frames, with_frames
from bcclone.system.files import NEW_FOLDER, replacing_folder, writes


@writes(NEW_FOLDER)
def import_film(settings: ImportSettings) -> ImportResult:
    """Write a film as a recording, with the rows in which it shows how it was steered.

    Raises UserError as import_recording() does, and if the focal length cannot be found, or no row
    shows a steering.
    """
    start = time.monotonic()
    format = chosen_format(settings)
    # the start of the film is read twice: the framing that makes its frames is found in them
    camera = find_camera(format, settings)
    seen = Seen(settings.min_throttle)
    with replacing_folder(settings.output) as folder:
        waiting = folder / "waiting"
        with open_source(format, settings, seen, camera.framing) as rows:
            drives = keep_frames(rows, waiting)
        seen.check(settings.source)
        steered = estimate_steering(drives, camera, settings.source)
        for row in steered.left_out:
            seen.add(row)
        recordings = write_recordings(with_frames(steered.rows), folder, steered.hidden)
        shutil.rmtree(waiting)
    result = result_of(format, settings, recordings, seen, start)
    summary = result.seen.with_steering(steered.steering, steered.notes)
    return replace(result, seen=summary, has_estimates=True)
