"""Settings of the simulated world, of its expert driver and of the connection to a drive server.

This module loads neither NumPy nor the renderer, so that --help answers at once. Fields without an
option are for programs, such as the suite.
"""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from bcclone.system.settings import (
    SIMULATOR_PORT,
    Checked,
    Degrees,
    Fraction,
    Laps,
    Metres,
    Milliseconds,
    Mph,
    Port,
    Seconds,
    Seed,
    Setting,
    setting,
)

TRACKS = ("lake", "mountain")
STEERINGS = ("smooth", "keyboard")
LAPS_DRIVEN = "laps driven"  # how a successful drive ends
TOP_SPEED_MPH = 30.0  # of the simulator's car
UNITY_ROWS_PER_SECOND = 15.0  # that the Unity program records
LOST_M = 15.0  # a drive ends when the car is farther from the centre line

# Groups of options, as --help shows them
DISTURBANCES = "disturbances"
SERVER = "connection to the drive server"
_APPEARANCE = "appearance of the world"
_EXPERT = "the expert driver"

Track = Annotated[
    str,
    Setting(
        "road: lake (1,138 m), mountain (1,509 m, steep), random:SEED or "
        "random:SEED:NAME=VALUE,... for a road from a seed, or a .json file of the control points "
        "of a road",
        unit="ROAD",
        option="road",
    ),
]
Reverse = Annotated[bool, Setting("drive the road in the opposite direction")]
Limit = Annotated[int, Setting(minimum=0, maximum=1000)]

# Conditions, WorldSettings and ExpertSettings are parts that the settings of drives inherit. Their
# values are given by name, so that those of a drive may be given by position. The numbers after a
# help are the smallest and largest value.
_appearance = partial(setting, group=_APPEARANCE)
_disturbance = partial(setting, group=DISTURBANCES)
_expert = partial(setting, group=_EXPERT)
_server = partial(setting, group=SERVER)


@dataclass(frozen=True, kw_only=True)
class Conditions(Checked):
    """Appearance of the world and mounting of the camera.

    The defaults are as in the Unity simulator.
    """

    light: float = _appearance(1.0, "brightness of the light; 1 is normal", 0, 4)
    fog: float = _appearance(1.0, "density of the fog; 1 is normal, 0 is none", 0, 20)
    sun_elevation: Degrees = _appearance(42.2, "height of the sun above the horizon", 10, 90)
    sun_azimuth: Degrees = _appearance(
        89.7, "direction of the sun, from the +z axis of the track towards +x", rare=True
    )
    texture_seed: Seed = _appearance(0, "seed of the generated textures and plants")
    rain: Fraction = _appearance(0.0, "rain: drops, a wet road, less light; 1 is a downpour")
    snow: Fraction = _appearance(
        0.0, "snow: flakes, and a cover on road and ground; 1 is a snowstorm"
    )
    night: Fraction = _appearance(0.0, "darkness; 1 is a night with headlights")
    # seconds from day to night and back, as in a row of the suite; 0: no change
    night_cycle: Annotated[float, Setting(minimum=0, maximum=1e6)] = 0.0
    # of other colours for sky, ground, road, lines and objects, as the shipped networks were
    # trained on (models/making); 0: their own
    color_seed: Seed = 0
    line_visibility: Fraction = 1.0  # of the lines on the road; 0 paints them over
    # of the camera: how far to the right and how much higher it is mounted, and its upward pitch
    camera_shift_m: Annotated[float, Setting(minimum=-3, maximum=3)] = 0.0
    camera_height_m: Annotated[float, Setting(minimum=-0.3, maximum=3)] = 0.0
    camera_pitch: Annotated[float, Setting(minimum=-20, maximum=20)] = 0.0


@dataclass(frozen=True, kw_only=True)
class WorldSettings(Checked):
    """Length and disturbances of a simulated drive."""

    laps: Laps = setting(1.0)
    start_m: Annotated[float, Setting(minimum=0)] = 0.0  # begin so far along the lap
    start_offset_m: Metres = _disturbance(
        0.0,
        "lateral offset of the car at the start, to the right of the centre line",
        above=-LOST_M,
        below=LOST_M,
    )
    # degrees by which the car is turned to the right at the start
    start_turn: Annotated[float, Setting(minimum=-90, maximum=90)] = 0.0
    perturbation_m: Metres = _disturbance(
        0.0,
        "every 100 m, push the car sideways by this distance, alternately to the right and to the "
        "left, but never off the asphalt",
        0,
        5,
    )
    perturbation_every_m: Annotated[float, Setting(minimum=1)] = 100.0  # between two pushes
    latency_ms: Milliseconds = _disturbance(
        0.0, "delay between a control command and its effect", 0, 5000
    )
    # a car that leaves the road is put back on the centre line; if False, it drives on
    set_back: bool = True
    most_interventions: Limit = 0  # the drive ends at this intervention; 0: at none
    # simulated time follows the wall clock instead of the frames
    real_time: bool = setting(False, "let simulated time run on while the server computes")


@dataclass(frozen=True, kw_only=True)
class ExpertSettings(Checked):
    """How the expert drives: its speed, how well it keeps to the line, its recoveries."""

    speed_mph: Mph = _expert(
        30.0,
        "speed on straights; the expert slows down for bends",
        3,
        TOP_SPEED_MPH,
        option="speed",
    )
    wander_m: Metres = _expert(
        0.35, "standard deviation of the expert's distance from the centre line", 0, 2
    )
    recoveries: float = _expert(
        8.0,
        "recoveries per minute: the expert drives towards the edge without recording, and records "
        "the way back",
        0,
        30,
        unit="N",
    )
    # the expert aims at a point 4 m ahead, plus the way that it drives in this time; the longer,
    # the gentler it steers, and the more delay it bears
    lookahead_seconds: Annotated[float, Setting(minimum=0, maximum=3)] = 0.45
    steering: str = _expert(
        "smooth",
        "smooth, as with a mouse, or as with a keyboard: in steps of 0.05 while a key is held, 0 "
        "when it is released",
        choices=STEERINGS,
        rare=True,
    )


@dataclass(frozen=True)
class RecordSettings(Conditions, ExpertSettings):
    """What the expert drives while it is recorded; the same seed gives the same bytes."""

    track: Track = setting("lake")
    reverse: Reverse = setting(False)
    laps: Laps = setting(1.0)
    seed: Seed = setting(0)
    rows_per_second: float = setting(
        UNITY_ROWS_PER_SECOND,
        "rows to record in a second; the Unity program records 15, of which neighbours are nearly "
        "the same, so that fewer rows of more laps teach as much",
        2,  # a longer gap would begin a new episode
        UNITY_ROWS_PER_SECOND,
        unit="N",
    )


@dataclass(frozen=True)
class SimulationSettings(Conditions, WorldSettings):
    """A drive by a drive server, another program: the track and its direction, and the world."""

    track: Track = setting("lake")
    reverse: Reverse = setting(False)
    run_folder: Path | None = setting(
        None,
        "run folder that the drive server records into on this machine; the car's position at each "
        "frame is added, for video.py",
        unit="RUN",
        shown="none",
        option="run",
    )
    _: KW_ONLY
    # as in the Unity simulator, nothing puts a car back that leaves the road
    set_back: bool = False


@dataclass(frozen=True)
class ServerSettings(Checked):
    """Where the drive server listens, and how long to wait for it."""

    host: str = _server("127.0.0.1", "address of the drive server", unit="HOST")
    port: Port = _server(SIMULATOR_PORT, "port of the drive server", 1)
    wait: Seconds = _server(0.0, "time to wait for the server to start")
