"""Write what another program recorded as a recording, which preprocess.py takes.

The recording has driving_log.csv and IMG/, as the simulator writes them. SOURCE is a donkeycar tub, a LeRobot data set,
a folder of frames with a table, a video with a table, or our own table.csv. Rows that cannot be used are counted and
left out. Steering is -1 (left) to 1 (right), where 1 is 25 degrees of the front wheels, or --max-degrees.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bcclone.commands.options import Command, Given, Result, notify, number_of
from bcclone.lab.exchange.exchange_settings import ImportSettings

if TYPE_CHECKING:
    from bcclone.lab.exchange.findings import Summary

COMMAND = Command("read recordings of other programs", (ImportSettings,))
_COLUMNS = 20  # shown


def run(given: Given) -> Result:
    """Import."""
    settings = given.make(ImportSettings)
    from bcclone.lab.exchange.recording_import import import_recording

    result = import_recording(settings)
    if result.converted:
        how = f"framed by {settings.framing}" if settings.framing else "stretched"
        notify(f"note: {number_of(result.converted, 'image')} {how} to JPEG of 320x160 pixels")
    if result.deleted:
        notify(
            f"note: {number_of(result.deleted, 'row')} marked as deleted, as in the source; "
            f"to change that: bcclone edit {result.output}"
        )
    lines = [
        f"{result.output}: {number_of(result.recordings, 'recording')} from {result.format}, "
        f"{number_of(result.rows, 'row')}, {result.seconds:.1f} s",
        *_describe(result.seen),
        f"next: bcclone preprocess {result.output} --check",
    ]
    return Result(result, "\n".join(lines))


def _describe(seen: "Summary") -> Iterator[str]:
    """Yield what an import saw, in words."""
    from bcclone.lab.exchange.findings import KINDS

    sizes = ", ".join(seen.sizes) if len(seen.sizes) > 1 else f"{seen.size[0]}x{seen.size[1]}"
    rate = f", {seen.frame_rate:g} frames a second" if seen.frame_rate else ""
    yield f"images: {sizes} pixels, {seen.aspect:g} to 1{rate}"
    yield from seen.notes
    steering = f"{seen.left:.0%} left, {seen.straight:.0%} straight, {seen.right:.0%} right"
    yield f"steers {steering}; {seen.steering_mean:+.3f} on average"
    counts = [(getattr(seen, kind), words) for kind, words in KINDS.items() if getattr(seen, kind)]
    if counts:
        yield f"left out: {', '.join(f'{count} {words[count != 1]}' for count, words in counts)}"
        yield from (f"  {line}" for line in seen.left_out)
    if seen.below_min_throttle:
        yield f"left out: {number_of(seen.below_min_throttle, 'row')} below --min-throttle"
    if seen.images_without_record:
        yield f"{number_of(seen.images_without_record, 'image')} without record"
    if seen.standing:
        yield f"{number_of(seen.standing, 'row')} standing still; --min-throttle leaves out rows without throttle"
    if seen.columns_left_out:
        yield f"not read: {', '.join(seen.columns_left_out[:_COLUMNS])}"
