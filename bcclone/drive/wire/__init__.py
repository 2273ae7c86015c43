"""Sockets <-> the driver's seat: websocket and Socket.IO in both dialects, limits, who may come in, and two hosts."""
