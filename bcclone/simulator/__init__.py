"""Simulate the tracks and the car, without the Unity program; a client connects to drive servers as Unity does."""
