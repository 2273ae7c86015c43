"""A film of driving without steering -> a recording whose steering is what the film shows.

The first pictures are read to find the camera's framing, then the whole film is read. Its frames
wait in a folder until the steering of all of them has been estimated.
"""

import shutil
import time

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.framed_rows import framed_rows
from bcclone.exchange.left_out import Findings
from bcclone.exchange.recording_import import (
    ImportResult,
    chosen_format,
    read_rows,
    result_of,
    write_recordings,
)
from bcclone.realcar.film_framing import find_camera
from bcclone.realcar.film_steering import with_steering
from bcclone.system.atomic import replacing_folder
from bcclone.system.output import NEW_FOLDER, writes


@writes(NEW_FOLDER)
def import_film(settings: ImportSettings) -> ImportResult:
    """Write a film as a recording, with the rows in which it shows how it was steered.

    Raises UserError as import_recording() does, and if the focal length cannot be found, or no row
    shows a steering.
    """
    start = time.monotonic()
    format = chosen_format(settings)
    camera = find_camera(format, settings)
    findings = Findings(settings.min_throttle)
    with replacing_folder(settings.output) as folder:
        waiting = folder / "waiting"
        rows = read_rows(format, settings, findings, camera.framing)
        with framed_rows(rows, findings, camera.framing) as framed:
            steered = with_steering(framed, camera, waiting, settings.source, findings)
            recordings = write_recordings(steered, folder)
        shutil.rmtree(waiting)
    return result_of(settings, format, findings, recordings, start)
