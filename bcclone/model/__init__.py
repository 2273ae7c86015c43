"""Networks: build one, save and load it (files of Keras 1 to 3, too), and steer with it, frame by
frame.
"""
