"""Settings -> a clip: which frames, drawn how, side by side or alone, into a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone import atomic
from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.video.encode import encode
from bcclone.video.facts import Facts, read_facts, time_frames
from bcclone.video.frames import find_frames
from bcclone.video.lane import Lane, Look, Onlooker
from bcclone.video.overlay import beside, make_overlay
from bcclone.video.settings import ClipSettings
from bcclone.video.timeline import at_ticks, each_once, ticks


@dataclass(frozen=True)
class Clip:
    """What was made. skipped: names of the frames left out, each with the reason; notes: what else is missing."""

    path: Path
    frames: int
    seconds: float
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def make_clip(settings: ClipSettings, onlookers: Sequence[Onlooker] = ()) -> Clip:
    """Encode frames in order of time, as H.264 or GIF.

    onlookers: for each run a model whose steering and saliency are drawn; none for none. Frames that are broken, or
    of another size than most, are skipped. Raises UserError when nothing can be shown, and when the encoder fails.
    """
    lanes = [_open_lane(settings, number, onlookers) for number in range(len(settings.runs))]
    places = _places(settings, lanes)
    total = len(places[0])
    if not total:
        raise _nothing_within(settings, lanes)

    def drawn(numbers: Sequence[int]) -> Iterator[Image | None]:
        return _drawn(lanes, [[of_lane[number] for number in numbers] for of_lane in places], settings.real_time)

    with atomic.replacing(settings.output) as temporary:
        count = encode(temporary, drawn, total, settings)
        if not count:
            raise lanes[0].frames.nothing_to_show()
    skipped = tuple(f"{name}: {reason}" for lane in lanes for name, reason in lane.frames.skipped.items())
    notes = tuple(f"{lane.frames.folder}: {note}" for lane in lanes for note in lane.facts.notes)
    return Clip(settings.output, count, count / settings.rate, skipped, notes)


def _open_lane(settings: ClipSettings, number: int, onlookers: Sequence[Onlooker]) -> Lane:
    folder = settings.runs[number]
    frames = find_frames(folder)
    if not settings.overlay:
        return Lane(frames, Facts(time_frames(frames), ""), Look(settings.run_width, settings.is_gif))
    facts = read_facts(frames)
    onlooker = onlookers[number] if onlookers else None
    width = settings.run_width or frames.size[0]
    overlay = make_overlay(folder.resolve().name, width, facts, frames.size, onlooker is not None)
    return Lane(frames, facts, Look(width, settings.is_gif, overlay), onlooker)


def _places(settings: ClipSettings, lanes: Sequence[Lane]) -> list[list[int]]:
    """Return for each run the frame of each picture of the clip; where it is over, the place behind its last one."""
    if not settings.real_time:
        return [each_once(lanes[0].facts.seconds, settings.span).tolist()]
    longest = max(float(lane.facts.seconds[-1]) for lane in lanes)
    moments = ticks(longest, settings.span, settings.rate)
    places = []
    for lane in lanes:
        of_lane = at_ticks(lane.facts.seconds, moments)
        if len(lanes) > 1:
            of_lane[moments > lane.facts.seconds[-1] + 1 / settings.rate] = lane.end
        places.append(of_lane.tolist())
    return places


def _drawn(lanes: Sequence[Lane], places: Sequence[Sequence[int]], hold: bool) -> Iterator[Image | None]:
    pictures = [lane.pictures(of_lane, hold) for lane, of_lane in zip(lanes, places, strict=True)]
    if len(lanes) == 1:
        yield from pictures[0]
        return
    blanks = [lane.blank() for lane in lanes]
    for pair in zip(*pictures, strict=True):
        left, right = (blank if picture is None else picture for picture, blank in zip(pair, blanks, strict=True))
        yield beside(left, right)


def _nothing_within(settings: ClipSettings, lanes: Sequence[Lane]) -> UserError:
    longest = max(float(lane.facts.seconds[-1]) for lane in lanes)
    names = " and ".join(str(lane.frames.folder) for lane in lanes)
    return UserError(
        f"{names}: no frame in the range {settings.span.begin:g}:{settings.span.end:g}, "
        f"expected some of 0 to {longest:.1f} s; choose another range"
    )
