"""Simulate tracks and car without the Unity program: controls in, camera frames out.

unity_client.py plays the Unity program's part of the protocol.
"""
