"""Let a model drive a road that it has never seen, and print how far it comes.

python examples/drive_with_a_model.py models/lake.h5 random:7
"""

import sys

import gymnasium
import numpy as np

import bcclone.environment  # noqa: F401  (registers the environments)
from bcclone.policy import load_policy


def main(model: str, road: str) -> None:
    """Drive one episode."""
    policy = load_policy(model)
    env = gymnasium.make("bcclone/Road-v0", road=road, speed_mph=15.0, time_limit=120.0)
    frame, info = env.reset(seed=0)
    ended = False
    while not ended:
        frame, _, terminated, truncated, info = env.step(np.array([policy.act(frame)], np.float32))
        ended = terminated or truncated
    env.close()
    print(f"{road}: {info['cause']} after {info['progress']:.0f} m and {info['sim_time']:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:3])
