"""What the names of figures mean, for who meets them in a report."""

MEANINGS = {
    # of a drive
    "autonomy": "share of the time in which no person would have had to drive: 6 s are taken off "
    "for each intervention",
    "interventions": "how often a person would have had to take over, because the car left the road",
    "left the road": "how often all of the car was beyond the edge; it was then set back",
    "from the middle": "how far the car's middle was from the road's, on average",
    "left the centre line, times": "how often the car came so far from the road's middle",
    "change of the steering": "how much the steering changes in a second, where 1 is full steering; "
    "a calm drive has less",
    "time of an answer": "from a picture's arrival to the steering for it",
    # of a training
    "loss": "mean squared difference of the network's steering from the labels; smaller is better",
    "mean error": "mean difference of the network's steering from the labels, where 1 is full "
    "steering",
    "correlation": "1 where the network's steering rises and falls exactly with the labels, 0 where "
    "it has nothing to do with them",
    "bends steered to their side": "share of the bends in which the network steers to the side to "
    "which the road turns",
    "mean steering": "a driver who always gives the mean of all steering; a network has to beat it",
}
