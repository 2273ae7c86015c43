"""The name of a column -> its plain name: in lower case, with underscores between its words."""

import re


def plain(name: str) -> str:
    """Return a plain name: steeringAngle [°] -> steering_angle_deg."""
    signs = {"°": " deg", "º": " deg", "%": " percent", "µ": "u", "μ": "u"}
    spelled = re.sub(f"[{''.join(signs)}]", lambda sign: signs[sign[0]], name)
    return re.sub(r"[^a-z0-9]+", "_", divided(spelled).lower()).strip("_")


def divided(name: str) -> str:
    """Return a name with a mark between the words of steeringAngle."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


def last_name(column: str) -> str:
    """Return the plain name of a column without that of a feature: action.Steering -> steering."""
    return plain(re.sub(r"^[^\s\[(]*\.(?=[^\W\d])", "", column))
