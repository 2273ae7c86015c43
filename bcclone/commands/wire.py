"""What the commands that play the car's side to a drive server share: where it is, and what the wire measured."""

import argparse
from typing import Any


def add_server(parser: argparse.ArgumentParser, port: int | None) -> None:
    """Add where the drive server is, and how the car's machine writes numbers. port: the default, None: no server."""
    parser.add_argument("--host", default="127.0.0.1", help="where the drive server is (127.0.0.1)")
    shown = "none: no server" if port is None else port
    parser.add_argument("--port", type=int, default=port, help=f"and its port ({shown})")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for the server to start (0)"
    )
    parser.add_argument("--decimal-comma", action="store_true", help="write numbers as machines with decimal commas do")


def play(connection: Any, world: Any, decimal_comma: bool) -> dict[str, Any]:
    """Drive the world by the server's answers and return what the wire measured."""
    import numpy as np

    from bcclone.simulator.client import UnityClient

    report = UnityClient(connection, world, decimal_comma).drive()
    p50, p99 = np.percentile(report.latencies_ms, [50, 99]) if report.latencies_ms else (None, None)
    return {
        "telemetries": report.telemetries,
        "steers": report.steers,
        "manuals": report.manuals,
        "lost_loops": report.lost_loops,
        "request_to_steer_ms": {"p50": p50 and round(float(p50), 3), "p99": p99 and round(float(p99), 3)},
    }


def show_wire(figures: dict[str, Any]) -> None:
    """Print what the wire measured, for people."""
    latency = figures["request_to_steer_ms"]
    print(
        f"{figures['telemetries']} telemetries, {figures['steers']} steers, {figures['manuals']} manuals; "
        f"request to steer p50 {latency['p50']} ms, p99 {latency['p99']} ms"
    )
