"""Models of other programs: Keras files of any version, LiteRT files, and their import.

No code in a file is run. `stored` reads a Keras file as plain data, `tree` lists its layers,
`layers` makes each layer in the current Keras, and `weights` gives it its arrays. The result is a
`RebuiltModel`; it becomes a model of ours once its preprocessing is stated (`preprocessing`).
"""
