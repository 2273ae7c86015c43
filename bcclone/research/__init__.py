"""For research: improving a model, Gymnasium environments, margins, samples of roads.

Each folder is one of them; its `__init__.py` has the settings.
"""
