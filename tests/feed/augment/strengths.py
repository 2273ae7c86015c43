"""The settings of every augmentation, taken from their dataclass, so that tests run for a new one
by themselves.
"""

from dataclasses import fields, replace

from bcclone.feed.feed_settings import AugmentSettings

STRENGTHS = [field.name for field in fields(AugmentSettings) if isinstance(field.default, float)]
MOVEMENTS = ["shift_m", "turn_degrees", "pitch_degrees"]  # of the camera
APPEARANCE = [name for name in STRENGTHS if name not in MOVEMENTS]
NOTHING = replace(AugmentSettings(), **dict.fromkeys(STRENGTHS, 0))


def alone(name):
    """One augmentation at full strength, in every sample if it changes a fraction of them."""
    strength = getattr(AugmentSettings(), name)
    return replace(NOTHING, **{name: strength if strength > 1 or name in MOVEMENTS else 1.0})
