"""Augment training samples: random viewpoints, with the steering that returns the car to its line, and random light.

A module for each augmentation contains all of it: the random numbers that it needs, the parameters computed from them
(by NumPy, or by keras.ops for tensors), and the change itself twice, compiled for the processor and as operations on
arrays for the device. `kinds` lists them; `on_cpu` and `on_device` apply them, with the same result up to rounding.
"""
