"""What the demo did: its steps, and the figures of its drive -> a text, JSON values, and a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.pictures.report import write_report
from bcclone.simulator.score import LAPS_DRIVEN
from bcclone.system.errors import Table, TableColumn, shown_command

# names of the steps up to which the demo's time is told
FIRST_CLIP_STEP = "clip of the recording"
DRIVE_STEP = "drive and score"


@dataclass(frozen=True)
class TimedStep:
    """A completed step of the demo; both times are 0 if an earlier demo had completed it."""

    step: str  # name of the step
    made: Path  # the file or folder that it wrote
    seconds: float = 0.0  # how long it took
    ended: float = 0.0  # seconds from the start of the demo


@dataclass(frozen=True)
class DemoResult:
    """What the demo did."""

    steps: tuple[TimedStep, ...]
    drive: Mapping[str, Any]  # the figures of the drive, as JSON values
    page: Path

    @property
    def on_the_road(self) -> bool:
        """Return whether the model completed its drive without an intervention."""
        return self.drive["ended"] == LAPS_DRIVEN and not self.drive["interventions"]

    def seconds_to(self, name: str) -> float | None:
        """Return the seconds from the demo's start to the end of the step `name`.

        None if an earlier demo had completed some of the steps.
        """
        ended = {step.step: step.ended for step in self.steps}
        return ended[name] if all(ended.values()) else None

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "steps": [
                {"step": step.step, "made": step.made, "seconds": round(step.seconds, 2)}
                for step in self.steps
            ],
            "seconds_to_first_picture": self.seconds_to(FIRST_CLIP_STEP),
            "seconds_to_trained_lap": self.seconds_to(DRIVE_STEP),
            "page": self.page,
            "drive": self.drive,
        }

    def as_text(self) -> str:
        """Return the table of the steps, and the figures of the drive."""
        columns = [
            TableColumn("step"),
            TableColumn("seconds", "{:.1f}".format),
            TableColumn("what it made"),
        ]
        rows = [(step.step, step.seconds, str(step.made)) for step in self.steps]
        rows.append(("in all", max(step.ended for step in self.steps), ""))
        lines = ["", str(Table(columns, rows)), ""]
        first_clip = self.seconds_to(FIRST_CLIP_STEP)
        if first_clip is not None:
            lap = self.seconds_to(DRIVE_STEP)
            lines += [
                f"first moving picture after {first_clip:.0f} s, "
                f"trained and driven after {lap:.0f} s",
                "",
            ]
        lines += self._sentences()
        if self.on_the_road:
            lines.append("The car stayed on the road.")
        elif self.drive["ended"] == LAPS_DRIVEN:
            lines.append("The car left the road on the way, and was set back.")
        else:
            lines.append(f"The car did not complete its drive: {self.drive['ended']}.")
        return "\n".join(lines)

    def _sentences(self) -> list[str]:
        """Return the figures of the drive in sentences."""
        drive = self.drive
        return [
            f"Its score: autonomy {drive['autonomy_percent']:.1f} %, {drive['interventions']} "
            f"interventions in {drive['laps']:.2f} laps at {drive['mean_speed_mph']:.1f} mph.",
            f"It was {drive['mean_abs_cross_track_m']:.2f} m from the middle of the road on "
            f"average, and {drive['max_abs_cross_track_m']:.2f} m at most; half of its answers "
            "took less than "
            f"{drive['request_to_steer_ms']['p50']} ms.",
        ]

    def write_page(self, recorded_laps: float, epochs: int) -> None:
        """Write the page; drive/, with its clip, and runs/demo/ have to be in its folder.

        recorded_laps: laps of all recordings together
        epochs: epochs of the training
        """
        sentences = [
            f"An expert drove {recorded_laps:g} laps of a simulated lake in six kinds of light and "
            "weather, and three cameras recorded what it saw and how it steered.",
            f"A network that knew nothing was trained on these frames {epochs} times over, "
            "on this machine.",
            "Then it drove alone.",
            *self._sentences(),
            "The four commands at the end of this page do the same with a recording of your own.",
        ]
        folder = self.page.parent
        captions = {
            "drive/map.png": "The road from above, and the line that the network drove",
            "drive/views.png": "The views from the car along the way",
            "runs/demo/plots/history.png": "The errors on samples that it learned from, "
            "and on others, after each pass",
            "runs/demo/plots/saliency.png": "What the network saw: "
            "the pixels that its steering depends on most",
        }
        # a picture for which the data did not suffice is absent
        drawn = {
            caption: folder / name
            for name, caption in captions.items()
            if (folder / name).is_file()
        }
        times = [("step", "seconds")]
        for step in self.steps:
            took = f"{step.seconds:.0f}" if step.seconds else "earlier"
            times.append((step.step, took))
        commands = {
            "Make training data of your recordings": shown_command(
                "preprocess", "RECORDING", "-o", "data.h5"
            ),
            "Train the network": shown_command("model", "data.h5", "-o", "model.h5"),
            "Let it drive the simulator": shown_command("drive", "model.h5", "run1"),
            "Make a clip of the drive": shown_command("video", "run1"),
        }
        write_report(
            self.page,
            "A network drives",
            sentences,
            folder / "drive" / "clip.mp4",
            drawn,
            times,
            commands,
        )
