"""A Keras model that others saved -> the same network in current layers; no code of the file is run.

`marshal_data` (byte code as data) <- `lambda_code` (what it computes) <- `layers` (configuration -> layers),
`weights` (the arrays of the file) <- `model`.
"""


class Refused(ValueError):
    """Something in a foreign model that is not rebuilt; the text is the reason, on one line, without the path."""
