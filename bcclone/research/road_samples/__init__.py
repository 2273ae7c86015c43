"""Render frames along many random roads, and write them with the steering of an expert as a store.

Every frame is seen from another place: the car stands anywhere on its road, off the middle and
turned at random, and the frame's steering is the one that brings the car back. So a network sees
more in a thousand of these frames than in a thousand consecutive frames of a drive.

Importing this loads nothing large, so that --help answers at once.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.image_size import Size, check_one_size
from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.system.pool_settings import Jobs, Scheduler, check_one_pool
from bcclone.system.settings import (
    Checked,
    Count,
    Force,
    Fraction,
    Metres,
    Seed,
    SettingError,
    setting,
)

FIRST_ROAD = 100_000  # seeds below this one are left for roads to score models on
# what random_road.py may choose from for each seed, by default
RANGES = "length=250-700,radius=8-16,hills=0-40,width=6-11,shape=any,neighbor=any,slopes=any"


@dataclass(frozen=True)
class RoadSamplesSettings(Checked):
    """How many roads, how many frames of each road, and how the frames are stored."""

    output: Path = setting(Path("roads.h5"), "store to write")
    force: Force = setting(False)
    # the numbers after a help are the smallest and largest value
    roads: int = setting(300, "number of random roads", 2, 100_000)
    frames: Count = setting(200, "number of frames of each road", 1, 10_000)
    first_road: int = setting(
        FIRST_ROAD, "seed of the first road; the others follow", 0, 900_000_000
    )
    ranges: str = setting(
        "",
        "what each seed chooses a road from; a value given here, as in surface=dirt,hills=0, "
        "replaces the default of that name",
        shown=RANGES,
        unit="RANGES",
    )
    recolored: Fraction = setting(
        0.5,
        "fraction of the frames in which road, ground, sky and objects have random colours",
        rare=True,
    )
    camera_height_m: Metres = setting(
        0.0,
        "mount the camera higher by up to this, drawn anew with the weather, every 100 frames",
        0,
        3,
        rare=True,
    )
    any_camera: Fraction = setting(
        0.0,
        "fraction of the frames that come from any camera, each on a road of its own: with a "
        "narrow lens or a fisheye, low or high, tilted, in any colours",
    )
    own_camera: Fraction = setting(
        0.0,
        "fraction of the frames of --any-camera that the simulator's camera sees instead, near the "
        "middle of the road",
        rare=True,
    )
    any_lens: Fraction = setting(
        0.0,
        "fraction of the simulator's frames that are seen through another lens, tilted, and with a "
        "cheap camera's faults",
        rare=True,
    )
    flip: bool = setting(
        True,
        "add the mirror image of each frame, with the opposite steering; mirror images hide that "
        "the simulator's camera looks a little to the right",
    )
    validation: Fraction = setting(
        0.1, "fraction of the roads that are kept for validation", 0, 0.9
    )
    size: Size | None = setting(None, "size of the stored images, N or WIDTHxHEIGHT", shown="128")
    preprocess: PreprocessingText | None = setting(
        None,
        "how the stored images are prepared, instead of --size: a preset, or parts as for a model",
        shown="carnd-128-rgb",
    )
    seed: Seed = setting(0)
    jobs: Jobs = setting(0)
    scheduler: Scheduler = setting("")

    def validate(self) -> None:
        check_one_pool(self.scheduler, self.jobs)
        check_one_size(self.preprocess, self.size)
        self._check_validation()

    def _check_validation(self) -> None:
        """Refuse a validation fraction that is so small or large that it gives no road, or all."""
        if not self.validation or 0 < self.validation_roads < self.roads:
            return
        if self.validation_roads:
            words = "all"
            smaller_part = 1 - self.validation
        else:
            words = "none"
            smaller_part = self.validation
        # with this many roads, the smaller part is more than half a road, which rounds to one
        least = int(0.5 / smaller_part) + 1
        raise SettingError(
            "{validation} {fraction} of {number} roads is {words}; make {least} {roads} or more, "
            "or train on all of them with {validation} 0",
            fraction=f"{self.validation:g}",
            number=self.roads,
            words=words,
            least=least,
        )

    @property
    def validation_roads(self) -> int:
        """Return how many roads, the last ones, are kept for validation."""
        return round(self.validation * self.roads)

    def road(self, number: int) -> str:
        """Return the name of a road by its number, from 0.

        The values in `ranges` replace the values of the same name in RANGES.
        """
        chosen = [part.strip() for part in self.ranges.split(",") if part.strip()]
        names = {part.partition("=")[0].strip() for part in chosen}
        defaults = [part for part in RANGES.split(",") if part.partition("=")[0] not in names]
        ranges = ",".join([*defaults, *chosen])
        return f"random:{self.first_road + number}:{ranges}"
