"""What names and texts of a source say of a steering besides its unit.

That is: which side is positive, which number is the middle, that the numbers are scaled, and that
they are of a steering wheel, or a rate.
"""

import re

from bcclone.exchange.plain_names import divided, plain

_SIDE = (
    "left|right|links|rechts|gauche|droite|izquierda|derecha|sinistra|destra|starboard|"
    "(?<!serial )(?<!usb )(?<!udp )(?<!tcp )(?<!network )port(?!\\W*\\d)|lh|rh"
)
# a sense of turning, which says the side by itself
_SENSE = (
    "(?:counter|anti)[-_ ]?clockwise|clockwise|ccw|cw|(?:gegen|im)?[-_ ]?uhrzeigersinn|"
    "(?:anti)?horaire|(?:anti)?horari[oa]|trigonom[eé]tri\\w*|mathemati\\w*[-_ ]positiv\\w*|"
    "right[-_ ]?hand(?:ed)?[-_ ]?rule|iso[-_ ]?8855|sae[-_ ]?j670|rep[-_ ]?103|"
    "[xyz](?:[-_ ]axis)?[-_ =:]+(?:is )?(?:to the )?(?:left|right)"
)
_BESIDE = rf"(?:{_SIDE}|{_SENSE}|l|r)"
_SIGN = r"(?:positive|pos|negative|neg|plus|minus|\+|-)"
# bounded, so that a line of dashes takes no long time
_JOINT = r"[-\s_=:]{0,3}(?:(?:is|are|to|the|for|means)[-\s_=:]{1,3}){0,3}"
_BEGIN, _END = r"(?<![^\W_])", r"(?![^\W_])"
# what says which side is positive: left_positive, + = left, ccw
_SIDED = re.compile(
    rf"[-\s_,;:/]{{0,3}}(?:{_BEGIN}{_BESIDE}{_JOINT}{_SIGN}{_END}|{_SIGN}{_JOINT}{_BESIDE}{_END}|"
    rf"{_BEGIN}(?:{_SENSE}){_END})",
    re.IGNORECASE,
)
_OF_SIGN = re.compile(
    r"[-+]\d|[<>+]|(?<![^\W_])(?:positi\w*|pos|negati\w*|neg|plus|minus|sign\w*|above|below|greater|less|"
    r"increas\w*|decreas\w*|steer\w*|angle|giro\w*|lenk\w*|braquage|sterz\w*|direction)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_ANY_SIDE = re.compile(
    rf"{_BEGIN}(?:{_SIDE}|{_SENSE}|inverted|mirrored|flipped|reversed){_END}", re.I
)

_WHEEL = re.compile(r"(?:^|_)(?:steer(?:ing)?_?wheel|hand_?wheel|swa)(?:_|$)")
_MIDDLE = (
    "zero|null|cent(?:er|re)d?|offset|neutral|straight(?: ahead)?|middle|bias|trim|mitte|geradeaus"
)
_NO_MIDDLE = r"(?<!time )(?<!clock )(?<!utc )(?<!frame )(?<!film )"
# a middle beside a number other than 0: zero at 3.5 deg, 1500 is neutral; but not the center camera
_OF_MIDDLE = re.compile(
    rf"{_BEGIN}{_NO_MIDDLE}(?:{_MIDDLE}){_END}(?!\W*(?:cam|image|line|lane|road))"
    r"[^\d,;|]{0,30}?(?<![\w.])-?(?P<behind>\d+(?:[.,]\d+)?)|"
    rf"(?<![\w.,])-?(?P<before>\d+(?:[.,]\d+)?)[^\d,;|]{{0,20}}?{_BEGIN}(?:{_MIDDLE}){_END}"
    r"(?!\W*(?:cam|image|line|lane|road))",
    re.IGNORECASE,
)
# numbers that are a multiple of what they mean: multiplied by 10, x10, 0.1 * raw, scaled; but not
# the size 320x160
_SCALED = re.compile(
    rf"{_BEGIN}(?:multipl\w*|scal(?:ed?|ing)|divided|factor|tenths?|hundredths?|thousandths?){_END}|"
    r"(?<![\w.])(?<!\d )[x\u00d7*]\s?\d|\d\s?[\u00d7*]\s?[^\W\d]|"
    rf"{_BEGIN}times\s+\d|/\s?10+{_END}",
    re.IGNORECASE,
)
_OF_STEERING = ("angle", "angular", "wheel", "yaw", "swa")
_RATES = ("rate", "speed", "velocity", "vel", "acceleration", "accel", "torque", "current")
_ANGLE_PER_SECOND = re.compile(
    r"(?:^|_)(?:deg|degs|degrees|rad|rads|radians)_(?:per_)?(?:s|sec|second)$"
)


def without_side(name: str) -> str:
    """Return a column's name without what says which side is positive."""
    text = _SIDED.sub("", divided(name))
    if text == divided(name):
        return name
    text = re.sub(r"(?<=[\[(])[\s,;:/]+|[\s,;:/]+(?=[\])])", "", text)
    return re.sub(r"[\[(][\])]", "", text).strip(" _")


def names_a_side(text: str) -> bool:
    """Return whether a text has a word for a side, or for one that is turned round."""
    spelled = divided(text)
    return bool(_SIDED.search(spelled) or _ANY_SIDE.search(spelled))


def states_a_side(text: str) -> bool:
    """Return whether a text has a word for a side, and one for a sign; or a sense of turning."""
    spelled = divided(text)
    is_of_sign = bool(_OF_SIGN.search(spelled))
    return bool(_SIDED.search(spelled) or (is_of_sign and _ANY_SIDE.search(spelled)))


def names_a_wheel(text: str) -> bool:
    """Return whether a text speaks of a steering wheel, whose angle is not that of the wheels."""
    return bool(_WHEEL.search(plain(text)))


def names_a_rate(column: str) -> bool:
    """Return whether a column is called as the speed or the torque of a steering."""
    name = plain(column)
    words = name.split("_")
    is_of = [word.startswith("steer") or word in _OF_STEERING for word in words]
    behind = words[is_of.index(True) + 1 :] if any(is_of) else []
    return bool(_ANGLE_PER_SECOND.search(name)) or not set(_RATES).isdisjoint(behind)


def states_a_middle(text: str) -> bool:
    """Return whether a text has a word for the middle beside a number other than 0."""
    numbers = [match["behind"] or match["before"] for match in _OF_MIDDLE.finditer(text)]
    return any(number.strip("0.,") for number in numbers)


def states_a_scale(text: str) -> bool:
    """Return whether a text says that numbers are a multiple of what they mean."""
    return bool(_SCALED.search(text))
