"""Settings of the simulated world, of its expert driver and of the connection to a drive server.

Loads neither NumPy nor the renderer, so that --help answers at once.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bcclone.system.settings import SIMULATOR_PORT, check_settings, setting

TRACKS = ("lake", "mountain")
STEERINGS = ("smooth", "keyboard")
TOP_SPEED_MPH = 30.0
LOST_M = 15.0  # a drive ends when the car is farther from the centre line
DISTURBANCES = "disturbances"
_APPEARANCE, _EXPERT = "appearance of the world", "the expert driver"
_SERVER = "connection to the drive server"


def track_setting() -> Any:
    """Return the field for the name of a track."""
    return setting(
        "lake",
        "track: lake (1,138 m), mountain (1,509 m, steep), random:SEED or random:SEED:NAME=VALUE,... for a road from a "
        "seed, or a .json file of the control points of a road",
        unit="TRACK",
        short="--road",
    )


def reverse_setting() -> Any:
    """Return the field for the direction on a track."""
    return setting(False, "drive the track in the opposite direction")


def laps_setting() -> Any:
    """Return the field for the length of a drive, in laps."""
    return setting(1.0, "length of the drive, in laps", unit="LAPS", minimum=0, above_minimum=True, maximum=1000)


_appearance = partial(setting, group=_APPEARANCE)
_fraction = partial(_appearance, unit="FRACTION", minimum=0, maximum=1)
_disturbance = partial(setting, group=DISTURBANCES)
_expert = partial(setting, group=_EXPERT)


def texture_seed_setting() -> Any:
    """Return the field for the seed of textures."""
    return _appearance(0, "seed of the generated textures and plants", minimum=0)


@dataclass(frozen=True)
class Conditions:
    """Appearance of the world and mounting of the camera; the defaults are as in the Unity simulator."""

    light: float = _appearance(1.0, "brightness of the light; 1 is normal", minimum=0, maximum=4)
    fog: float = _appearance(1.0, "density of the fog; 1 is normal, 0 is none", minimum=0, maximum=20)
    sun_elevation: float = _appearance(
        42.2, "height of the sun above the horizon, in degrees", unit="DEGREES", minimum=10, maximum=90
    )
    sun_azimuth: float = _appearance(
        89.7,
        "direction of the sun, in degrees, from the +z axis of the track towards +x",
        unit="DEGREES",
        minimum=-360,
        maximum=360,
    )
    texture_seed: int = texture_seed_setting()
    color_seed: int = _appearance(
        0,
        "seed of other colours for sky, ground, road, lines and objects",
        minimum=0,
        maximum=2**31 - 1,
        zero="their own",
    )
    line_visibility: float = _fraction(1.0, "visibility of the lines on the road; 0 paints them over")
    road_visibility: float = _fraction(
        1.0, "visibility of the whole road; 0 paints it over, to check that a model looks at the road"
    )
    rain: float = _fraction(0.0, "rain: drops, a wet road, less light; 1 is a downpour")
    snow: float = _fraction(0.0, "snow: flakes, and a cover on road and ground; 1 is a snowstorm")
    night: float = _fraction(0.0, "darkness; 1 is a night with headlights")
    night_cycle: float = _appearance(
        0.0,
        "from day to night and back in this time, in seconds",
        unit="SECONDS",
        minimum=1,
        maximum=1e6,
        zero="no change",
    )
    camera_shift_m: float = _appearance(
        0.0, "shift of the camera to the right, in metres", unit="M", minimum=-3, maximum=3
    )
    camera_height_m: float = _appearance(
        0.0, "how much higher the camera is mounted, in metres", unit="M", minimum=-0.3, maximum=3
    )
    camera_pitch: float = _appearance(
        0.0, "upward pitch of the camera, in degrees", unit="DEGREES", minimum=-20, maximum=20
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class WorldSettings:
    """Length and disturbances of a simulated drive.

    set_back: an intervention puts the car back on the centre line, otherwise it drives on; most_interventions: end the
    drive at this one, 0 for never; real_time: simulated time follows the wall clock instead of the frames.
    """

    laps: float = laps_setting()
    start_offset_m: float = _disturbance(
        0.0,
        "lateral offset of the car at the start, to the right of the centre line, in metres",
        unit="M",
        minimum=-LOST_M,
        maximum=LOST_M,
        above_minimum=True,
        below_maximum=True,
    )
    start_turn: float = _disturbance(
        0.0, "yaw of the car at the start, to the right, in degrees", unit="DEGREES", minimum=-90, maximum=90
    )
    perturbation_m: float = _disturbance(
        0.0,
        "push the car sideways by this distance, alternately to the right and to the left, but never off the asphalt, "
        "in metres",
        unit="M",
        minimum=0,
        maximum=5,
    )
    perturbation_every_m: float = _disturbance(
        100.0, "distance between two perturbations, in metres", unit="M", minimum=1
    )
    latency_ms: float = _disturbance(
        0.0,
        "delay between a control command and its effect, in milliseconds",
        unit="MS",
        minimum=0,
        maximum=5000,
    )
    set_back: bool = setting(True, "put the car back on the centre line after it left the road", hidden=True)
    most_interventions: int = setting(
        0, "end the drive at this intervention", minimum=1, maximum=1000, zero="never", hidden=True
    )
    real_time: bool = setting(False, "let simulated time run on while the server computes")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class ExpertSettings:
    """How the expert drives: its speed, how precisely it keeps to the centre line, and its recoveries."""

    speed_mph: float = _expert(
        30.0,
        "speed on straights, in mph; the expert slows down for bends",
        unit="MPH",
        minimum=3,
        maximum=TOP_SPEED_MPH,
        option="speed",
    )
    wander_m: float = _expert(
        0.35,
        "standard deviation of the expert's distance from the centre line, in metres",
        unit="M",
        minimum=0,
        maximum=2,
    )
    recoveries: float = _expert(
        8.0,
        "recoveries per minute: the expert drives towards the edge without recording, and records the way back",
        unit="N",
        minimum=0,
        maximum=30,
    )
    recovery_m: float = _expert(
        2.2,
        "largest distance from the centre line at which a recovery begins, in metres",
        unit="M",
        minimum=0,
        maximum=3,
    )
    lookahead_seconds: float = _expert(
        0.45,
        "how far ahead the expert aims, beyond 4 m; the farther, the gentler it steers, and the more delay it bears",
        unit="SECONDS",
        minimum=0,
        maximum=3,
        option="lookahead",
    )
    steering: str = _expert(
        "smooth",
        "smooth, as with a mouse, or as with a keyboard: in steps of 0.05 while a key is held, 0 when it is released",
        choices=STEERINGS,
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class RecordSettings:
    """What the expert drives while it is recorded; the same seed gives the same bytes."""

    track: str = track_setting()
    reverse: bool = reverse_setting()
    laps: float = laps_setting()
    seed: int = setting(0, "seed of the expert's wandering; the same seed gives the same bytes", minimum=0)
    expert: ExpertSettings = field(default_factory=ExpertSettings)
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class SimulationSettings:
    """A drive by a drive server that runs elsewhere: the track and its direction, and the world."""

    track: str = track_setting()
    reverse: bool = reverse_setting()
    world: WorldSettings = field(default_factory=lambda: WorldSettings(set_back=False))
    conditions: Conditions = field(default_factory=Conditions)
    run_folder: Path | None = setting(
        None,
        "run folder that the drive server records into on this machine; the car's position at each frame is added, for "
        "video.py",
        unit="RUN",
        shown="none",
        option="run",
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class ServerSettings:
    """Where the drive server listens, and how the simulator's machine writes numbers."""

    host: str = setting("127.0.0.1", "address of the drive server", unit="HOST", group=_SERVER)
    port: int = setting(SIMULATOR_PORT, "port of the drive server", minimum=1, maximum=65535, group=_SERVER)
    wait: float = setting(
        0.0, "time to wait for the server to start, in seconds", unit="SECONDS", minimum=0, maximum=1e6, group=_SERVER
    )
    decimal_comma: bool = setting(
        False, "send numbers with a decimal comma, as the simulator does in many countries", group=_SERVER
    )

    def __post_init__(self) -> None:
        check_settings(self)
