"""Docstrings tell what a signature does not: the shapes of arrays, the units of quantities, the errors that are raised.

What holds for a whole class or module may be told there, once.
"""

import ast
import re
from dataclasses import dataclass

import pytest

from tests.conftest import ROOT

SHAPE = re.compile(r"\((?:\d+|\.\.\.|\*?[a-z_]+),(?: (?:\d+|\*?[a-z_]+),)*(?: (?:\d+|\*?[a-z_]+))?\)")
# not of Order, SampleTable and RowTable, which are (samples,) or (rows,) by their names
ARRAY = re.compile(
    r"\b(?:ndarray|NDArray|Image|Mask|Floats|Array|Positions|Maps|Points|Pictures|Places|Seconds|(?<!keras\.)Layer)\b"
)
ERRORS = re.compile(r"\b(?:[Rr]aises?|[Rr]efuses?)\b")
QUANTITY = re.compile(
    r"(?:^|_)(?:speed|latency|distance|duration|angle|heading|pitch|yaw|turn|elevation|azimuth|lookahead|delay|depth)$"
)
UNIT = re.compile(r"\b(?:metres?|m/s|mph|radians?|degrees?|seconds?|milliseconds?|ms|pixels?)\b")


@dataclass(frozen=True)
class Told:
    """A definition and the docstrings that speak of it: its own first, then those around it."""

    name: str
    node: ast.AST
    own: str
    around: str

    @property
    def all(self) -> str:
        return f"{self.own} {self.around}"


def told_in(source, name):
    """Return the module, its public classes, and the public functions and methods of these."""
    module = ast.parse(source)
    text = ast.get_docstring(module) or ""
    found = [Told(name, module, text, "")]
    for node in module.body:
        found += _told(node, f"{name}: ", text, source.splitlines())
    return found


def _told(node, before, around, lines):
    if not isinstance(node, ast.ClassDef | ast.FunctionDef) or _is_hidden(node):
        return []
    own = ast.get_docstring(node) or ""
    if isinstance(node, ast.FunctionDef):
        return [Told(before + node.name, node, own, around)]
    comments = " ".join(
        lines[part.lineno - 1].partition("# ")[2] for part in node.body if isinstance(part, ast.AnnAssign)
    )
    parts = [_told(part, f"{before}{node.name}.", f"{own} {around}", lines) for part in node.body]
    return [Told(before + node.name, node, own, f"{comments} {around}"), *(one for part in parts for one in part)]


def _is_hidden(node):
    if node.name.startswith("_") and node.name != "__init__":
        return True
    if ast.unparse(node.body[0]) == "...":  # of a protocol, whose own docstring tells
        return True
    return any(isinstance(part, ast.Attribute) and part.attr == "setter" for part in node.decorator_list)


def annotated(node):
    """Return name and annotation of what a function takes and returns, or of a class's fields."""
    if isinstance(node, ast.ClassDef):
        return [(part.target.id, ast.unparse(part.annotation)) for part in node.body if isinstance(part, ast.AnnAssign)]
    if not isinstance(node, ast.FunctionDef):
        return []
    taken = [
        (part.arg, ast.unparse(part.annotation)) for part in (*node.args.args, *node.args.kwonlyargs) if part.annotation
    ]
    return taken + ([("return", ast.unparse(node.returns))] if node.returns else [])


def without_docstring(told):
    return [one.name for one in told if not one.own and not one.name.endswith(".__init__")]


def without_shape(told):
    return [
        f"{one.name}: {name}"
        for one in told
        for name, kind in annotated(one.node)
        if ARRAY.search(kind) and not SHAPE.search(one.all)
    ]


def without_unit(told):
    return [
        f"{one.name}: {name}"
        for one in told
        for name, kind in annotated(one.node)
        if kind in ("float", "float | None") and QUANTITY.search(name) and not UNIT.search(one.all)
    ]


def without_errors(told):
    return [
        one.name
        for one in told
        if isinstance(one.node, ast.FunctionDef) and any(_raised(one.node)) and not ERRORS.search(one.all)
    ]


def _raised(node):
    """Yield what a function raises itself, not in functions within it, and not an error that it only lets pass."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.FunctionDef | ast.Lambda):
            continue
        if isinstance(part, ast.Raise) and part.exc is not None:
            yield part
        yield from _raised(part)


@pytest.fixture(scope="module")
def house():
    files = sorted((ROOT / "bcclone").rglob("*.py"))
    return [one for file in files for one in told_in(file.read_text(), str(file.relative_to(ROOT)))]


CHECKS = (without_docstring, without_shape, without_unit, without_errors)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_docstrings_tell_what_a_signature_does_not(check, house):
    assert len(house) > 500
    assert check(house) == []


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (without_docstring, "def f(): pass"),
        (without_docstring, "class A:\n    '''A.'''\n    def f(self): pass"),
        (without_shape, "def f(frame: Image) -> None:\n    '''Show a frame.'''"),
        (without_shape, "class A:\n    '''A.'''\n    x: npt.NDArray[np.float32]"),
        (without_unit, "def f(speed: float) -> None:\n    '''Drive.'''"),
        (without_unit, "class A:\n    '''A.'''\n    camera_pitch: float = 0.0"),
        (without_errors, "def f():\n    '''Load.'''\n    if x:\n        raise UserError('no')"),
    ],
)
def test_what_is_not_told_is_found(check, line):
    assert check(told_in(f"'''Module.'''\n{line}\n", "module"))


@pytest.mark.parametrize(
    "line",
    [
        "def f(frame: Image) -> None:\n    '''Show a frame, uint8 (height, width, 3).'''",
        "class A:\n    '''A.'''\n    x: npt.NDArray[np.float32]  # (samples,)",
        "def f(speed: float) -> None:\n    '''Drive; speed: m/s.'''",
        "def f():\n    '''Load; raises UserError.'''\n    raise UserError('no')",
        "def f():\n    '''Pass errors on.'''\n    try:\n        g()\n    except OSError:\n        raise",
        "class A(Protocol):\n    '''x: metres.'''\n    def x(self) -> float: ...",
    ],
)
def test_what_is_told_is_left_alone(line):
    told = told_in(f"'''Module.'''\n{line}\n", "module")
    assert [check(told) for check in CHECKS] == [[]] * len(CHECKS)
