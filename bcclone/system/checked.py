"""Settings that are checked when they are made: types, ranges and choices, and forms of texts."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from bcclone.system.errors import shown
from bcclone.system.setting import Setting, declared_in, type_of
from bcclone.system.typed_value import WrongType, kind_in_words, typed

_LONGEST_VALUE = 60  # characters of a wrong value that an error repeats without quotes


class SettingError(ValueError):
    """A setting that is wrong.

    text: the message. {name} in it stands for a fact, or else for the setting of this name, which a
        program knows as a field, a command line as an option, and a settings file as a key
    facts: name -> value that replaces {name} in the text
    """

    def __init__(self, text: str, **facts: object) -> None:
        super().__init__(text)
        self._text = text
        self._facts = facts

    def __str__(self) -> str:
        return self.naming(lambda name: name)

    def naming(self, name_of: Callable[[str], str]) -> str:
        """Return the message; name_of: name of a field -> what the message calls the setting."""

        def words_for(braces: re.Match[str]) -> str:
            name = braces[1]
            return str(self._facts.get(name, name_of(name)))

        return re.sub(r"{(\w+)}", words_for, self._text)


class Checked:
    """Base of the settings dataclasses; making one raises SettingError for the first wrong value.

    A list may stand for a tuple, a text for a path, a path for a text, and a single text for a
    tuple of texts.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for declared_field, declared in declared_in(kind):
            given = getattr(self, declared_field.name)
            value = check_value(declared_field, declared, given)
            if value is not given:
                object.__setattr__(self, declared_field.name, value)
        self.validate()
        for name, value in self.normal_form().items():
            object.__setattr__(self, name, value)

    def validate(self) -> None:
        """Raise SettingError for values that do not fit together; subclasses add such checks."""

    def normal_form(self) -> Mapping[str, Any]:
        """Return values that replace those that were given, by the names of their fields.

        So settings that mean the same are equal. validate() has passed.
        """
        return {}


def check_value(declared_field: Any, declared: Setting, given: Any) -> Any:
    """Return a value as its field stores it; raises SettingError if the setting expects another.

    declared_field: field of the dataclass
    declared: Setting of this field
    """
    name = f"{{{declared_field.name}}}"  # in braces, as SettingError takes it

    # the type
    try:
        value = typed(given, declared_field.type)
    except WrongType:
        raise SettingError(
            name + " {value}, expected {kind}",
            value=shown(given),
            kind=kind_in_words(declared_field.type),
        ) from None
    if value is None:
        return value

    # a text that must have a form, but is stored unparsed; the parser's message begins with it
    is_text = isinstance(value, str) and type_of(declared_field) is str
    if is_text and declared.parse is not None:
        try:
            declared.parse(value)
        except ValueError as error:
            raise SettingError(name + " {value}", value=error) from None

    # the range or the choices
    if declared.allows(value):
        return value
    expected = declared.expected
    if isinstance(value, tuple):
        expected = expected.replace("one of", "some of")
    text = _short_text(value, declared)
    raise SettingError(name + " {value}, expected {expected}", value=text, expected=expected)


def _short_text(value: Any, declared: Setting) -> str:
    """Return a wrong value as an error repeats it, such as "0.5" or "320x5000"."""
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, tuple):
        return str(value)[:_LONGEST_VALUE]
    between = "x" if declared.unit == "SIZE" else ", "
    return between.join(map(str, value))[:_LONGEST_VALUE]
