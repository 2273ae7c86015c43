"""Behavioral cloning for the Udacity simulator: record, preprocess, train, drive, evaluate.

    import bcclone

    bcclone.convert(bcclone.PreprocessSettings(inputs=("laps",), output="laps.h5"))

What a program may use is listed in __init__.pyi, and loaded when it is asked for. Everything deeper
may move.

A listing shows the folders by name. Driving data passes through them in this order: recording ->
dataset -> feed -> training -> model -> drive -> evaluation. Beside this line are camera, diagnosis,
simulator, web, game and pictures; editor, exchange, realcar and research are wings, which
the line does not need. system serves them all, and commands has a function for each command.
docs/explanation/design.md is the map.
"""

try:
    from lazy_loader import attach_stub
except ModuleNotFoundError:
    pass  # the environment is not active: the commands say so, and how to mend it
else:
    __getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
