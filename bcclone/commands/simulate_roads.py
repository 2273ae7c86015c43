"""Render frames all over many random roads, with the steering of an expert, and write them as a store."""

from bcclone.commands.options import Command, Given, Result, notify
from bcclone.lab.road_samples.road_samples_settings import RoadSamplesSettings

COMMAND = Command("write a store of frames of many random roads", (RoadSamplesSettings,))


def run(given: Given) -> Result:
    """Render the samples."""
    settings = given.make(RoadSamplesSettings)
    from bcclone.lab.road_samples.writing import make_road_samples

    result = make_road_samples(settings, notify)
    return Result(
        result,
        f"{result.output}: {result.frames} frames of {result.roads} roads, {result.train} training and "
        f"{result.validation} validation samples, {result.seconds:.0f} s\n"
        f"next: bcclone model {result.output} -o model.h5 --predict path",
    )
