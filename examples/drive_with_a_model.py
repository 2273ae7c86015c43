"""Let a model drive a lap of a road that it has never seen, and print how far it comes.

python examples/drive_with_a_model.py models/lake.h5 random:7
"""

import sys

import numpy as np

import bcclone


def main(model: str, road: str) -> None:
    """Drive one episode."""
    policy = bcclone.load_policy(model)
    env = bcclone.Simulator(road=road, speed_mph=15.0)
    frame, info = env.reset(seed=0)
    ended = False
    while not ended:
        frame, _, terminated, truncated, info = env.step(
            np.array([policy.answer(frame).steering], np.float32)
        )
        ended = terminated or truncated
    env.close()
    lap_m = env.track.lap_m
    print(
        f"{road}: {info['cause']} after {info['progress']:.0f} of {lap_m:.0f} m and "
        f"{info['sim_time']:.0f} s"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2])
    except bcclone.UserError as error:
        sys.exit(f"error: {error}")
