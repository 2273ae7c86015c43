"""What the names of figures mean, for who meets them in a report."""

import re

# name of a figure -> what it means; N stands for any number. tests/pictures/test_words.py finds the
# names in reports that are missing here
_MEANINGS = {
    # of a drive
    "autonomy": "share of the time in which no person would have had to drive; each intervention "
    "takes 6 s off",
    "interventions": "how often a person would have had to take over, because the car left the "
    "road",
    "left the road": "how often a wheel left the asphalt and the car was set back; a drive that "
    "ended before its goal counts once",
    "from the middle, on average": "how far the car was from the middle of the road, on average",
    "at most": "how far the car was from the middle of the road at the worst place",
    "speed": "how fast the car was on average",
    "from the centre line": "how far the car was from the middle of the road",
    "driven": "how far the car came, and in which time",
    "ended": "why the drive ended; its goal is that the laps are driven",
    "left the centre line, times": "how often the car came so far from the middle of the road",
    "change of the steering": "how much the steering changes in a second, where 1 is full "
    "steering; a calm drive has less",
    "time of an answer": "from the arrival of a picture to the steering for it",
    # of a training
    "of training": "from the first step to the last",
    "for the training on your machine": "with reading the data and drawing the pictures",
    "validation": "what steers, measured on the validation samples, from which the network does "
    "not learn",
    "start": "the network from which this training began, as it was",
    "halfway": "a network between the two: each of its weights is the mean of start's and "
    "trained's",
    "trained": "the network of this training",
    "loss": "mean squared difference between the network's steering and what it should learn; "
    "smaller is better",
    "mean error": "mean difference between the network's steering and what it should learn, where "
    "1 is full steering",
    "off the driver": "mean difference of the front wheels' angle from the recorded one",
    "off, if it always steered the same": "the same for a driver who never changes the steering, "
    "which is always the mean; a network has to beat it",
    "mean steering": "a driver who never changes the steering, which is always the mean; a network "
    "has to beat it",
    "correlation": "1 where the network's steering rises and falls exactly with the driver's, 0 "
    "where the two have nothing to do with each other",
    "frames in bends, steered to their side": "of the frames in which the driver clearly steers to "
    "a side, the share in which the network steers to the same side",
    # of a replay
    "driver": "who steers: a network, or one of those to compare it with",
    "off N m": "how often the car was more than so far from the recorded path",
    "off N heights": "how often the car was more than so far from the recorded path, in heights of "
    "the camera above the road",
    "a km": "how often the car was set back in a kilometre",
    "a 1000": "how often the car was set back in a way of 1,000 heights of the camera above the "
    "road",
    "rms": "how far the car is from the recorded path: the root of the mean square",
    "r": "correlation of the steering with the recorded one: 1 where they rise and fall together",
    "mean r": "correlation with the mean of the recorded steering over 9 rows, which a keyboard "
    "needs",
    "off by": "mean difference from the recorded steering, where 1 is full steering",
    "the human": "the recorded steering itself, which has to stay on its path",
    "no steering": "a car that drives straight on",
    "any-road.h5, shipped": "a network that comes with bcclone, which has learned from simulated "
    "roads",
    # of a suite
    "model": "the file of a network",
    "rows without an intervention": "how many of the drives needed no person, because the car "
    "stayed on the road",
    "not driven, because": "why the file could not be read, or gave no steering; the others drove",
    "the built-in expert": "steers along the middle of the road, which it knows; it needs no "
    "picture",
}


def meaning_of(name: str) -> str | None:
    """Return what a figure of this name means, None if there is no definition of it.

    The name may begin with whose figure it is, such as "model.h5: left the road".
    """
    figure = name.rpartition(": ")[2]
    return _MEANINGS.get(re.sub(r" [0-9.]+ ", " N ", figure))
