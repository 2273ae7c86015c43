"""Simulate tracks and car without the Unity program: a road and controls -> camera frames.

world.py simulates the car, render/ draws what its cameras see, and unity_client.py plays the Unity
program's part of the protocol with a drive server.
"""
