"""Frames and their steering -> the same as seen from beside the line, or on another day.

draws (random numbers) -> viewpoint (where the camera is moved, and the steering that goes with it), appearance (light,
colors, shadows, blur, dirt, noise) -> on_cpu (OpenCV, image by image) or on_device (tensor operations in the training
step). Both apply the same parameters, so that they give the same images to within rounding.
"""
