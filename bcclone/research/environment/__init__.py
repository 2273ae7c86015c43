"""The simulator as Gymnasium environments: bcclone/Lake-v0, bcclone/Mountain-v0, bcclone/Road-v0.

    import gymnasium
    import bcclone.research.environment  # registers the environments

    env = gymnasium.make("bcclone/Lake-v0", height=64, width=64)

Importing this loads neither TensorFlow nor the renderer; the first environment loads the renderer.
It needs Gymnasium: pip install 'bcclone[gym]'.
"""

from dataclasses import dataclass

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.simulator.world_settings import LOST_M, TOP_SPEED_MPH, Conditions
from bcclone.system.errors import require_package
from bcclone.system.settings import Checked as Checked
from bcclone.system.settings import Metres, Mph, SettingError, setting
from bcclone.system.values import names_of

require_package("gymnasium", "an environment", "bcclone[gym]")
from gymnasium.envs.registration import register, registry  # noqa: E402

OBSERVATIONS = ("center", "left", "right", "segmentation", "depth")
ACTIONS = ("steering", "steering-throttle")
CONDITIONS = tuple(names_of(Conditions))

for _name, _road in (("Lake", "lake"), ("Mountain", "mountain"), ("Road", "random:0")):
    if f"bcclone/{_name}-v0" not in registry:
        register(
            f"bcclone/{_name}-v0",
            entry_point="bcclone.research.environment.driving_env:Simulator",
            vector_entry_point="bcclone.research.environment.vector_env:DrivingVectorEnv",
            kwargs={"road": _road},
        )


@dataclass(frozen=True)
class EnvironmentSettings(Conditions):
    """What an environment simulates, which observations it gives and which actions it takes.

    With one name in `observations`, an observation is an array; with several, a dictionary of
    arrays by these names.
    """

    road: str = setting("lake", "lake, mountain, random:SEED, or a .json file of control points")
    reverse: bool = setting(False, "drive the road in the opposite direction")
    # the numbers after a help are the smallest and largest value
    height: int = setting(FRAME_HEIGHT, "height of the pictures", 8, 2048)
    width: int = setting(FRAME_WIDTH, "width of the pictures", 8, 4096)
    observations: tuple[str, ...] = setting(("center",), "what is observed", choices=OBSERVATIONS)
    action: str = setting(
        "steering", "what is controlled; with steering alone, the speed is held", choices=ACTIONS
    )
    speed_mph: Mph = setting(20.0, "speed that is held", 1, TOP_SPEED_MPH)
    laps: float = setting(1.0, "laps of an episode", maximum=1000, above=0)
    limit_m: Metres = setting(
        0.0,
        "distance from the centre line that ends an episode",
        0,
        LOST_M,
        zero="a wheel off the road",
    )
    time_limit: float = setting(300.0, "longest episode, in simulated seconds", 0.04, 1e6)
    random_start: bool = setting(False, "start anywhere on the road, a little off its middle")

    def validate(self) -> None:
        super().validate()
        if not self.observations or len(set(self.observations)) < len(self.observations):
            raise SettingError(
                "{observations} {value}, expected each at most once, and at least one",
                value=self.observations,
            )
