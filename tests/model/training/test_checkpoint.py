from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from mudata import MuData

from scminnet import MinNet

from ..conftest import QUIET, normalised, setup

SMALL = {"n_hidden": 16, "n_components": 10, "n_canonical": 5}
EPOCHS = 6

KILLED = """
import os, signal, sys
import lightning.pytorch as pl
from mudata import read_h5mu
from scminnet import MinNet

class Kill(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == 3 and trainer.global_step % 4 == 2:
            os.kill(os.getpid(), signal.SIGKILL)

mdata = read_h5mu(sys.argv[1])
MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
model = MinNet(mdata, n_hidden=16, n_components=10, n_canonical=5)
model.train(6, batch_size=64, checkpoint=sys.argv[2], callbacks=[Kill()], enable_progress_bar=False, accelerator="cpu")
"""


class Stop(pl.Callback):
    """Ends a training in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: pl.Trainer, *_) -> None:
        if trainer.current_epoch == self.epoch and trainer.global_step:
            raise RuntimeError("stopped")


def train(mdata: MuData, checkpoint: Path | None = None, **changes) -> MinNet:
    model = MinNet(mdata, **SMALL)
    model.train(**{"max_epochs": EPOCHS, "batch_size": 64, "checkpoint": checkpoint, **QUIET, **changes})
    return model


def interrupt(mdata: MuData, checkpoint: Path, epoch: int = 2, **changes) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        train(mdata, checkpoint, callbacks=[Stop(epoch)], **changes)


def assert_same_model(first: MinNet, second: MinNet) -> None:
    for (name, a), b in zip(first.module.state_dict().items(), second.module.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert first.history.keys() == second.history.keys()
    for name, frame in first.history.items():
        np.testing.assert_array_equal(frame.index, second.history[name].index)
        np.testing.assert_array_equal(frame[name].to_numpy(float), second.history[name][name].to_numpy(float))
    np.testing.assert_array_equal(first.train_indices, second.train_indices)


def test_a_killed_training_goes_on_and_ends_with_the_same_model(tmp_path) -> None:
    data, checkpoint = tmp_path / "data.h5mu", tmp_path / "training.ckpt"
    normalised().write(data)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(data), str(checkpoint)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert checkpoint.exists()
    mdata = setup(normalised())
    trained = []

    class Count(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, *_) -> None:
            trained.append(trainer.current_epoch)

    resumed = train(mdata, checkpoint, callbacks=[Count()])
    assert trained == [3, 4, 5]
    whole = train(mdata)
    assert_same_model(whole, resumed)
    np.testing.assert_array_equal(whole.get_latent_representation(), resumed.get_latent_representation())
    # a second time it has the last epoch to do
    assert_same_model(whole, train(mdata, checkpoint))


@pytest.mark.parametrize(
    "changes",
    [
        {"pairing": "sampled", "plan_kwargs": {"lr_schedule": "constant", "reduce_lr_on_plateau": True, "lr_patience": 0}},
        {"early_stopping": True, "early_stopping_patience": 2, "early_stopping_min_delta": 1.0, "max_epochs": 8},
    ],
    ids=["plateau", "early stopping"],
)  # fmt: skip
def test_schedules_and_early_stopping_go_on(tmp_path, changes: dict) -> None:
    mdata = setup(normalised())
    interrupt(mdata, tmp_path / "c", **changes)
    resumed, whole = train(mdata, tmp_path / "c", **changes), train(mdata, **changes)
    assert_same_model(whole, resumed)
    assert resumed.trainer.current_epoch == whole.trainer.current_epoch
    if "early_stopping" in changes:
        assert whole.trainer.current_epoch < 8


def test_a_checkpoint_changes_nothing_and_neither_does_a_learned_layer(tmp_path) -> None:
    mdata = setup(normalised())
    given = {**SMALL, "input_layer": "learned", "input_dropout": 0.3}
    models = [MinNet(mdata, **given) for _ in range(3)]
    arguments = {"max_epochs": 3, "batch_size": 64, **QUIET}
    models[0].train(**arguments)
    models[1].train(checkpoint=tmp_path / "c", **arguments)
    models[2].train(checkpoint=tmp_path / "c", **arguments)
    assert_same_model(models[0], models[1])
    assert_same_model(models[0], models[2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed 0, now 1"),
        ({"max_epochs": 7}, "max_epochs 6, now 7"),
        ({"plan_kwargs": {"m0": 2.0}}, "m0 1.0, now 2.0"),
        ({"early_stopping": True}, "early_stopping False, now True"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, changes: dict, words: str) -> None:
    mdata = setup(normalised())
    interrupt(mdata, tmp_path / "c", epoch=1)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(ValueError, match=rf"`checkpoint`.*another training: {words}.*remove this one"):
        train(mdata, tmp_path / "c", **changes)
    assert (tmp_path / "c").read_bytes() == before


def test_a_checkpoint_of_other_data_is_refused(tmp_path) -> None:
    interrupt(setup(normalised()), tmp_path / "c", epoch=1)
    fewer = setup(normalised(slice(1, 241)))
    with pytest.raises(ValueError, match=r"`checkpoint`.*another training: cells"):
        train(fewer, tmp_path / "c")


def test_what_is_no_checkpoint_is_refused(tmp_path, reference: MuData) -> None:
    setup(reference)
    file = tmp_path / "c"
    interrupt(reference, file, epoch=1)
    whole = file.read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"`checkpoint`.*can not be read.*truncated.*remove this one"):
            train(reference, file)
    torch.save({"weights": 1}, file)
    with pytest.raises(ValueError, match="not written by `MinNet.train`"):
        train(reference, file)
    with pytest.raises(IsADirectoryError, match="`checkpoint` is the folder"):
        train(reference, tmp_path)
    with pytest.raises(FileNotFoundError, match="`checkpoint`: there is no folder"):
        train(reference, tmp_path / "no" / "c")
    with pytest.raises(TypeError, match="`checkpoint` is 3"):
        train(reference, 3)
    with pytest.raises(TypeError, match="`checkpoint` and `ckpt_path`"):
        train(reference, tmp_path / "d", ckpt_path="x")


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, reference: MuData) -> None:
    resource = pytest.importorskip("resource")
    file = tmp_path / "c"
    interrupt(setup(reference), file, epoch=2)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(Exception, match=r"File too large|file write failed|unexpected pos"):
            train(reference, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    train(reference, file)
