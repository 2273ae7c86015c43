"""How much a client may ask of the server. The simulator needs a small part of each (docs/reference/protocol.md)."""

MESSAGE_BYTES = 1_000_000  # a camera frame is 20,000; also what engineio allows by default
CONTROL_BYTES = 200  # any packet but an event: a ping, a probe, a CONNECT
OPENING_BRACKETS = 64  # of an event, and so its depth; telemetry has 2
QUEUED_ANSWERS = 64  # that a client has not read; the simulator waits for 2 at most
SESSIONS = 64  # of Engine.IO
DASHBOARDS = 8
SOCKETS = 160  # open TCP connections
SOCKETS_LEAVING = 400  # that were hung up on, and are not closed yet
FILES = 1024  # that the process needs to be allowed for them; macOS begins with 256
REQUEST_SECONDS = 10.0  # for a request to come in whole
SILENT_SECONDS = 85.0  # of a websocket; its pings come every 25
NEW_SESSIONS_PER_SECOND, NEW_SESSIONS_AT_ONCE = 5.0, 40.0  # a simulator that is turned away returns after 5 ms
LONGEST_WAIT_SECONDS = 5.0  # of a new session, when more come than that
