"""Let a person drive the simulated car on a web page, alone or with a model:
play.play(PlaySettings(...)).
"""
