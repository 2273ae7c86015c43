"""The history of a training is written and read again, and names its best epoch."""

import contextlib
from dataclasses import replace
from random import Random

from bcclone.system.errors import UserError
from bcclone.train.history import Epoch, best_epoch, history_csv, read_history
from tests.hostile import damaged

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


def test_a_damaged_history_is_read_or_refused(tmp_path):
    valid, random = history_csv(BY_EPOCH).encode(), Random(0)
    for _ in range(300):
        (tmp_path / "history.csv").write_bytes(damaged(valid, random))
        with contextlib.suppress(UserError):
            read_history(tmp_path / "history.csv")
