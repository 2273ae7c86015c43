"""Rebuild the network of a Keras model file, of any version, in current layers, without running
code in the file.

`stored.read_stored()` reads the file as plain data. `tree` lists its layers;
`rebuild.rebuild_model()` makes each of them, for which `arguments` translates what is stored, and
assigns the arrays.
"""


class UnsupportedModel(ValueError):
    """A stored model that cannot be rebuilt; the text is the reason, on one line, without the path."""
