"""Command-line options shared by the commands, and how they become settings."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from bcclone.errors import UserError

Settings = TypeVar("Settings")

# those of images.PRESETS, which would load OpenCV; a test compares
PRESET_NAMES = ("carnd-128-rgb", "nvidia-66x200-yuv", "nvidia-66x200-yuv-bgr")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json, which means the same everywhere."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON value on standard output and nothing else there"
    )


def add_preprocess(parser: argparse.ArgumentParser) -> None:
    """Add --preprocess, for models that do not say how their input is made."""
    parser.add_argument(
        "--preprocess",
        metavar="NAME",
        choices=PRESET_NAMES,
        help=f"how a frame is prepared for a model that does not say it itself: {', '.join(PRESET_NAMES)}",
    )


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return those of the named options that the user gave; options left out are None."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def build(make: Callable[..., Settings], *positional: Any, **values: Any) -> Settings:
    """Return make(...), with the complaint of a settings dataclass turned into a message for the user."""
    try:
        return make(*positional, **values)
    except ValueError as error:
        raise UserError(str(error)) from None


def print_json(value: Any) -> None:
    """Print a result of --json."""
    print(json.dumps(value, allow_nan=False))


def say(text: str) -> None:
    """Print a notice beside the result, on standard error."""
    print(text, file=sys.stderr, flush=True)
