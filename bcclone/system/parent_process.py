"""Tell the program that started this process what has happened, by events among its output.

An event is one line of JSON after a record separator, as in RFC 7464:
`\\x1e{"event": "listening", "value": 4567}`. The events stand in standard output, between the lines
for people, because their place there tells which of these lines came before and which after; and
standard output is inherited alike on every system. A process writes events only if its environment
asks for them, so people never see one.

    subprocess.Popen(command, stdout=output, env=os.environ | ASKING)
    ...
    events = read_events(output.read())
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

_VARIABLE = "BCCLONE_TELLS_PARENT"
ASKING = {_VARIABLE: "1"}  # environment variables that ask a child process for events
_SEPARATOR = "\x1e"  # lines for people never contain it: errors.printable() escapes it

# names of events
LISTENING = "listening"  # a server accepts connections; the value is its port
CAR_CONNECTED = "car connected"  # the first car drives
NOTE = "note"  # the value is a line that a user should see
ERROR = "error"  # the command ends with an error; the value is its message
INTERRUPTED = "interrupted"  # the command ends because it was interrupted


@dataclass(frozen=True)
class Event:
    """Something that a child process has told its parent."""

    name: str
    value: str | int | None
    following: str  # what the process printed after it, up to the next event


def tell_parent(name: str, value: str | int | None = None) -> None:
    """Tell the parent process of an event, if it has asked for events."""
    if _VARIABLE not in os.environ:
        return
    line = _SEPARATOR + json.dumps({"event": name, "value": value}) + "\n"
    with suppress(OSError):  # the parent reads no more
        sys.stdout.write(line)
        sys.stdout.flush()


def read_events(output: str) -> Sequence[Event]:
    """Return the events in the output of a process, which may still go on printing."""
    events = []
    for part in output.split(_SEPARATOR)[1:]:
        line, newline, following = part.partition("\n")
        if newline:  # otherwise the line is not complete yet
            told = json.loads(line)
            events.append(Event(told["event"], told["value"], following))
    return events
