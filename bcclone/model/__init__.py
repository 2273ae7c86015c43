"""Networks: build one, save and load it, and steer with it, frame by frame.

`model_file` saves and loads models, those of other programs by `foreign`; `policy` steers.
"""
