"""The sockets of a drive: websocket, both Socket.IO dialects, limits, access control, and two hosts to serve with."""
