"""Learn to drive the lake track by reinforcement learning, with PPO of Stable-Baselines3, and drive
a lap.

pip install 'bcclone[gym]' stable-baselines3
python examples/ppo.py --steps 100000 --output lake_ppo.zip

The policy sees the picture of the centre camera, 64x64, and controls the steering; the car holds 20
mph. Episodes start anywhere on the lap and end off the road or after 20 s. Ctrl-C ends the training
early. Curve: benchmarks/lab-log.
"""

import argparse
from contextlib import suppress
from pathlib import Path

import gymnasium

from bcclone import Simulator  # noqa: F401  (registers the environments)

try:
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize
except ImportError as error:
    raise SystemExit(f"{error}; install it with: pip install stable-baselines3") from None

CARS, STEPS_OF_A_CAR = 8, 256  # an update of the policy follows 8 x 256 steps
PICTURE = {"height": 64, "width": 64}


class Curve(BaseCallback):
    """Print the mean reward and progress of the last 100 episodes before each update."""

    def _on_training_start(self) -> None:
        print("   steps  episodes  reward  metres", flush=True)
        self._episodes = 0

    def _on_step(self) -> bool:
        self._episodes += int(self.locals["dones"].sum())
        return True

    def _on_rollout_end(self) -> None:
        last = self.model.ep_info_buffer
        if last:
            reward, metres = (
                sum(one[key] for one in last) / len(last) for key in ("r", "progress")
            )
            print(
                f"{self.num_timesteps:8d}{self._episodes:10d}{reward:8.1f}{metres:8.1f}", flush=True
            )


def train(steps: int, seed: int) -> PPO:
    """Return a policy after at least so many steps of the environment, or after Ctrl-C."""
    cars = make_vec_env(
        "bcclone/Lake-v0",
        CARS,
        seed=seed,
        env_kwargs={**PICTURE, "random_start": True, "time_limit": 20.0},
        monitor_kwargs={"info_keywords": ("progress",)},  # written down for each episode
    )
    model = PPO(
        "CnnPolicy",
        VecNormalize(cars, norm_obs=False, gamma=0.97),  # rewards of about 1 for the value network
        n_steps=STEPS_OF_A_CAR,
        batch_size=256,
        n_epochs=5,
        gamma=0.97,  # looks 1.3 s ahead
        policy_kwargs={"log_std_init": -1.0},  # explores with steering angles of 9 degrees
        seed=seed,
        device="cpu",
    )
    with suppress(KeyboardInterrupt):
        model.learn(steps, callback=Curve())
    return model


def drive_lap(model: PPO) -> dict[str, float | str]:
    """Drive a lap from the start line without exploration; return the environment's last info."""
    env = gymnasium.make("bcclone/Lake-v0", **PICTURE)
    (observation, info), ended = env.reset(seed=0), False
    while not ended:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    env.close()
    return info


def main() -> None:
    """Train, drive a lap and save the policy."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--steps", type=int, default=100_000, help="steps of the environment, 0.04 s each"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file for the policy, .zip")
    arguments = parser.parse_args()
    info = drive_lap(model := train(arguments.steps, arguments.seed))
    print(f"lap: {info['cause']} after {info['progress']:.0f} m and {info['sim_time']:.0f} s")
    if arguments.output:
        model.save(arguments.output)


if __name__ == "__main__":
    main()
