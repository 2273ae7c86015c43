"""Compare a result with the expected one in expected/TOPIC.json, or write that anew.

A result is what JSON holds: dictionaries, lists, texts and numbers. A difference is named by its
keys: `stores.json, plain: samples.steering`.
"""

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "expected"
WRITE = "BCCLONE_WRITE_GOLDEN"  # set by `python -m tests.golden`
SHOWN = 12  # differences in a message


def check(topic, case, result, rtol=0.0, atol=0.0):
    """Fail, naming what changed, if a result is not the expected one.

    rtol, atol: how much a number may differ, relative and absolute; whole numbers and texts are
    compared exactly
    """
    path = FOLDER / f"{topic}.json"
    cases = json.loads(path.read_text()) if path.exists() else {}
    result = json.loads(json.dumps(result))
    expected = cases.get(case)
    changed = _differences(expected, result, "", rtol, atol)
    if not changed:
        return
    if WRITE in os.environ:
        cases[case] = result
        path.write_text(json.dumps(cases, indent=1, sort_keys=True) + "\n")
        return
    more = f"\n... and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    raise AssertionError(
        f"{topic}.json, {case}: the result changed (tests/golden/README.md says what to do)\n"
        + "\n".join(changed[:SHOWN])
        + more
    )


def _differences(expected, result, keys, rtol, atol):
    if isinstance(expected, dict) and isinstance(result, dict):
        pairs = [(f"{keys}.{key}".lstrip("."), key) for key in sorted({*expected, *result})]
        gone = object()
        pairs = [(at, expected.get(key, gone), result.get(key, gone)) for at, key in pairs]
        changed = []
        for at, before, now in pairs:
            if before is gone:
                changed.append(f"{at}: new, {_shown(now)}")
            elif now is gone:
                changed.append(f"{at}: gone, was {_shown(before)}")
            else:
                changed += _differences(before, now, at, rtol, atol)
        return changed
    if isinstance(expected, list) and isinstance(result, list):
        return _differences_of_lists(expected, result, keys, rtol, atol)
    if type(expected) is type(result):
        if expected == result:
            return []
        if isinstance(expected, float) and math.isclose(
            expected, result, rel_tol=rtol, abs_tol=atol
        ):
            return []
    return [f"{keys or 'all'}: expected {_shown(expected)}, got {_shown(result)}"]


def _differences_of_lists(expected, result, keys, rtol, atol):
    if len(expected) == len(result):
        pairs = enumerate(zip(expected, result, strict=True))
        return [
            difference
            for index, (before, now) in pairs
            for difference in _differences(before, now, f"{keys}[{index}]", rtol, atol)
        ]
    place = keys or "all"
    gone = [f"{place}: gone, was {_shown(one)}" for one in expected if one not in result]
    new = [f"{place}: new, {_shown(one)}" for one in result if one not in expected]
    return gone + new or [f"{place}: expected {len(expected)} members, got {len(result)}"]


def _shown(value):
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:97] + "..."


def digest(data):
    """Return a short SHA-256 of bytes, a text or an array, of which type and shape count, too."""
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()[:16]
    data = np.ascontiguousarray(data)
    shape = "x".join(map(str, data.shape))
    return f"{data.dtype.str[1:]} {shape} {hashlib.sha256(data.tobytes()).hexdigest()[:16]}"


def key_paths(value, keys=""):
    """Return the paths of the keys of a JSON value, sorted; those of a list's items are one."""
    if isinstance(value, dict):
        inner = [key_paths(item, f"{keys}.{key}".lstrip(".")) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [key_paths(item, f"{keys}[]") for item in value]
    else:
        inner = []
    return sorted({keys}.union(*inner) - {""}) if not any(inner) else sorted(set().union(*inner))
