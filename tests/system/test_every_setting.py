"""Every setting refuses what is out of its range, and says what it expects."""

import math
import re
from dataclasses import MISSING, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

from bcclone.system.settings import Checked, declared_in, settings_of

ROOT = Path(__file__).parents[2]


def settings_modules():
    """Yield the modules of the package and the benchmarks that declare settings."""
    for folder in ("bcclone", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if re.search(r" = \w*setting\(", path.read_text(encoding="utf-8")):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield import_module(name)


def settings_classes():
    """Return the settings dataclasses."""
    classes = []
    for module in settings_modules():
        for value in vars(module).values():
            if not isinstance(value, type) or not is_dataclass(value) or value in classes:
                continue
            if any(settings_of(value)):
                classes.append(value)
    return classes


def wrong_values(declared):
    """Return values of another type, and values just out of the range of a setting.

    For a setting of several values, each is repeated in a tuple.
    """
    kind, rule = declared.kind, declared.setting
    values = []
    if kind in (int, float):
        values += ["1", True]
    if rule.choices:
        values.append("no-such-choice")
    values += numbers_out_of_range(kind, rule)
    if "tuple" in str(kind):
        return [(value, value) for value in values]
    return values


def numbers_out_of_range(kind, declared):
    """Return the nearest number below the range, and that above it; none without a lower limit."""
    low = declared.minimum
    if low is None:
        low = declared.above  # itself out of the range
    if low is None:
        return []
    step = 1 if "int" in str(kind) else 1e-3
    candidates = (low, low - step, low - 2 * step)
    numbers = [next(number for number in candidates if not declared.allows(number))]
    if kind is float:
        numbers.append(math.nan)

    high = declared.maximum
    if high is None:
        high = declared.below
    if high is not None:
        is_allowed = declared.allows(high)
        numbers.append(high + step if is_allowed else high)
    return numbers


def make(settings_class, name, value):
    """Make settings of a class, of which one has this value."""
    values = {}
    for declared in declared_in(settings_class):
        field = declared.field
        if field.default is MISSING and field.default_factory is MISSING:
            values[field.name] = 1 if declared.kind is int else Path("somewhere")
    values[name] = value
    return settings_class(**values)


CLASSES = settings_classes()
assert len(CLASSES) > 30


def test_every_settings_dataclass_is_frozen_and_checked():
    for settings_class in CLASSES:
        assert issubclass(settings_class, Checked)
        assert settings_class.__dataclass_params__.frozen


@pytest.mark.parametrize(
    "settings_class", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_a_value_out_of_its_range_is_refused_with_name_value_and_range(settings_class):
    for declared in declared_in(settings_class):
        for value in wrong_values(declared):
            match = rf"^{declared.name}(\[0\])? .*, expected "
            with pytest.raises(ValueError, match=match) as refused:
                make(settings_class, declared.name, value)
            text = str(refused.value)
            assert shown(value) in text
            is_number = declared.kind in (int, float)
            if not is_number or type(value) in (int, float):
                assert text.endswith(declared.setting.expected.removeprefix("one of "))


def shown(value):
    """Return how a message shows a value, or the first of several."""
    if isinstance(value, tuple):
        value = value[0]
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
