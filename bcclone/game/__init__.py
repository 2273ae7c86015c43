"""Let a person drive the simulated car on a web page, alone or with a model:
play_server.play(PlaySettings(...)).
"""
