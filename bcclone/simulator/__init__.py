"""Simulate tracks and car without the Unity program: controls in, camera frames out; and its side
of the protocol.
"""
