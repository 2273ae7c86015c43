"""Serve the simulator over sockets: websocket, both Socket.IO dialects, access control, two kinds of host."""
