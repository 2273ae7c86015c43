"""Serve the simulator over sockets: websocket, both Socket.IO dialects, limits, access control, two kinds of host."""
