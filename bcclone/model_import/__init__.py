"""A Keras model's file, ours or of others -> the same network in current layers; no code of the file is run.

The file is read in a process of its own: `hdf5`, `archive` <- `child` <- `stored` (plain data). What was read is
rebuilt: `marshal_data` (byte code as data) <- `lambda_code` (what it computes) <- `arguments` <- `convolutions`,
`layers` (configuration -> layers) <- `kinds`; `tree` (the model's layers, one after the other), `layout` (where the
channels stand), `weights` (which array belongs where) <- `model`.
"""


class Refused(ValueError):
    """Something in a stored model that is not rebuilt; the text is the reason, on one line, without the path."""
