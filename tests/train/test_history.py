"""The history of a training is written and read again, and names its best epoch."""

from dataclasses import replace

from bcclone.train.history import Epoch, best_epoch, read_history

ERRORS = [(1, 0.5, 0.4, 0.3, 0.2), (2, 0.2, 0.2, 0.1, 0.1), (3, 0.1, 0.1, 0.1, 0.2)]
BY_EPOCH = [Epoch(*errors, 1e-3, 7.0, 100.0, 0.1) for errors in ERRORS]


def test_the_best_epoch_has_the_smallest_validation_loss_or_without_one_the_smallest_loss():
    assert best_epoch(BY_EPOCH).epoch == 2
    assert best_epoch([replace(epoch, val_loss=None) for epoch in BY_EPOCH]).epoch == 3


def test_a_history_file_may_lack_validation_errors(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(
        "epoch,loss,mae,val_loss,val_mae,learning_rate,seconds,samples_per_second,data_wait_share\n"
        "1,0.5,0.4,0.3,0.2,0.001,7,100,0.1\n2,0.25,0.2,,,0.001,7,100,0.1\n"
    )
    assert read_history(path) == [BY_EPOCH[0], Epoch(2, 0.25, 0.2, None, None, 0.001, 7.0, 100.0, 0.1)]
