"""What is said of a network before it is trained."""

from bcclone.network import build_network, layer_table


def test_the_layer_table_lists_the_layers_that_see_each_frame_of_a_window():
    model = build_network(64, 64, network="gru", seq_length=3)
    names = [line.split()[0] for line in layer_table(model).splitlines()]
    assert names[names.index("each_frame") :][:4] == ["each_frame", "crop", "normalize", "conv1"]
    assert names[-1] == "total"
