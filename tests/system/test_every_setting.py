"""Every setting of every settings dataclass refuses what is out of its range, and says what it
expects.
"""

import math
import re
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

from bcclone.system.settings import declared_in, settings_of, type_of

ROOT = Path(__file__).parents[2]


def settings_modules():
    """The modules of the package and the benchmarks that declare settings, found by their text."""
    for folder in ("bcclone", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if re.search(r" = \w*setting\(", path.read_text(encoding="utf-8")):
                yield import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def settings_kinds():
    """The settings dataclasses that are checked; others are only inherited from."""
    values = [value for module in settings_modules() for value in vars(module).values()]
    classes = dict.fromkeys(
        value for value in values if isinstance(value, type) and is_dataclass(value)
    )
    return [kind for kind in classes if any(settings_of(kind)) and hasattr(kind, "__post_init__")]


def out_of_range(each, declared):
    """Values just out of the range of a setting, or with another type; for a setting of several
    values in a tuple.
    """
    kind = type_of(each)
    values = ["1", True] if kind in (int, float) else []
    if declared.choices:
        values.append("no-such-choice")
    step = 1 if kind is int else 1e-3
    low, high = declared.minimum, declared.maximum
    low, high = declared.above if low is None else low, declared.below if high is None else high
    if low is not None:
        values.append(
            next(value for value in (low, low - step, low - 2 * step) if not declared.allows(value))
        )
        values += [math.nan] if kind is float else []
        values += [] if high is None else [high if not declared.allows(high) else high + step]
    return [(value, value) if "tuple" in str(kind) else value for value in values]


def make(kind, /, **values):
    required = [
        each.name
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    ]
    return kind(**(dict.fromkeys(required, Path("somewhere")) | values))


KINDS = settings_kinds()
assert len(KINDS) > 30


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_value_out_of_its_range_is_refused_with_name_value_and_range(kind):
    for each, declared in declared_in(kind):
        for value in out_of_range(each, declared):
            with pytest.raises(ValueError, match=f"^{each.name} .*, expected ") as refused:
                make(kind, **{each.name: value})
            text = str(refused.value)
            one = value[0] if isinstance(value, tuple) else value
            assert (f"{one:g}" if isinstance(one, float) else str(one)) in text
            if type_of(each) not in (int, float) or type(value) in (int, float):
                assert text.endswith(declared.expected.removeprefix("one of "))
