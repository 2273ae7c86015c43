"""Put bcclone's simulator behind udacity-gym, in place of the Unity program.

RoadSimulator has the methods that UdacityGym calls, so UdacityGym(simulator=RoadSimulator()) and
the agents and callbacks of that project run on it: udacity_gym/simulator.py and gym.py of
https://github.com/DragonBanana/udacity-gym. Without that project, actions and observations are
namespaces with the same names.

step() advances by 0.04 s, and nothing moves between two steps, so pause() and resume() do nothing,
and observe() never has to wait. Tracks: lake, mountain and all other roads of docs/how-to/roads.md.
"""

from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from bcclone import Simulator  # noqa: F401  (registers the environments)

try:
    from udacity_gym import UdacityAction, UdacityObservation
except ImportError:
    from types import SimpleNamespace as UdacityAction
    from types import SimpleNamespace as UdacityObservation

WEATHER: dict[str, dict[str, float]] = {
    "sunny": {},
    "rainy": {"rain": 1},
    "snowy": {"snow": 1},
    "foggy": {"fog": 5},
}
DAYTIME: dict[str, dict[str, float]] = {"day": {}, "night": {"night": 1.0}}
KMH_PER_MPH = 1.609344


class RoadSimulator:
    """A simulator for UdacityGym. sim_state: the state that it reads, a dictionary. settings: of
    the environment.
    """

    def __init__(self, **settings: Any) -> None:
        settings = {"time_limit": 1e6, "laps": 1000, **settings}
        self._env = gymnasium.make(
            "bcclone/Lake-v0",
            action="steering-throttle",
            observations=("center", "segmentation"),
            disable_env_checker=True,
            **settings,
        )
        self.sim_state: dict[str, Any] = {}  # filled by reset()
        self._options: dict[str, Any] = {}

    def start(self) -> None:
        """Do nothing: the simulator runs in this process."""

    def reset(
        self,
        new_track_name: str = "lake",
        new_weather_name: str = "sunny",
        new_daytime_name: str = "day",
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; return its first observation. Raises ValueError for an unknown weather
        or time of day.
        """
        if new_weather_name not in WEATHER or new_daytime_name not in DAYTIME:
            raise ValueError(
                f"{new_weather_name}, {new_daytime_name}: expected {list(WEATHER)}, {list(DAYTIME)}"
            )
        conditions = {**WEATHER[new_weather_name], **DAYTIME[new_daytime_name]}
        self._options = {"road": new_track_name, "conditions": conditions}
        seen, info = self._env.reset(seed=0, options=self._options)
        stopped = UdacityAction(steering_angle=0.0, throttle=0.0)
        self.sim_state = {"action": stopped, "events": [], "episode_metrics": None, "paused": False}
        return self._observe(seen, info), {}

    def step(self, action: Any) -> Any:
        """Advance by 0.04 s with an action's steering_angle and throttle, -1 to 1; begin again
        after the end.
        """
        self.sim_state["action"] = action
        control = np.clip([action.steering_angle, action.throttle], -1, 1).astype(np.float32)
        seen, _, terminated, truncated, info = self._env.step(control)
        if terminated or truncated:
            self.sim_state["events"] += [{"key": info["cause"], "timestamp": info["sim_time"]}]
            self.sim_state["episode_metrics"] = info
            seen, info = self._env.reset(options=self._options)
        return self._observe(seen, info)

    def observe(self) -> Any:
        """Return the latest observation."""
        return self.sim_state["observation"]

    def pause(self) -> None:
        """Do nothing: time passes in step() only."""

    def resume(self) -> None:
        """Do nothing: time passes in step() only."""

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _observe(self, seen: dict[str, Any], info: dict[str, Any]) -> Any:
        action = self.sim_state["action"]
        observation = UdacityObservation(
            input_image=Image.fromarray(seen["center"]),
            semantic_segmentation=Image.fromarray(seen["segmentation"]),
            position=(info["pos_x"], info["pos_y"], info["pos_z"]),
            steering_angle=action.steering_angle,
            throttle=action.throttle,
            speed=info["speed"] * KMH_PER_MPH,
            time=round(info["sim_time"] * 1000),
            **{name: info[name] for name in ("cte", "next_cte", "lap", "sector")},
        )
        self.sim_state["observation"] = observation
        return observation
