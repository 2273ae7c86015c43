"""Frames and their steering -> as they would be from beside the line, or on another day.

settings -> viewpoint (moves the camera, and the steering with it) -> look (light, colours, dirt) -> variation
"""
