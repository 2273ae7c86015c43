"""The state of Python's random generator, from which Keras draws the seeds of layers."""

import random

from bcclone.system.tensorflow_quietly import random_state_kept


def test_blocks_within_a_block_draw_one_after_the_other_and_the_outer_one_gives_the_state_back():
    random.seed(1)
    expected = [random.random(), random.random()]
    random.seed(1)
    drawn = []
    with random_state_kept():
        for _ in range(2):
            with random_state_kept():
                drawn.append(random.random())
    assert drawn == expected
    assert random.random() == expected[0]
