from __future__ import annotations

import copy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from mudata import MuData

from scminnet import MinNet, read_lazy
from scminnet.model.training.run_description import digest_values

from ..conftest import QUIET, normalised, setup

SMALL = {"n_hidden": 16, "n_components": 10, "n_canonical": 5}
EPOCHS = 6

KILLED = """
import os, signal, sys
import lightning.pytorch as pl
import torch
from mudata import read_h5mu
from scminnet import MinNet

torch.set_num_threads(int(sys.argv[3]))

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
    # sums differ between numbers of threads, and scanpy's numba functions may have changed that of this process
    given = str(data), str(checkpoint), str(torch.get_num_threads())
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, *given], check=False)
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
        {
            "pairing": "sampled",
            "plan_kwargs": {"lr_schedule": "constant", "reduce_lr_on_plateau": True, "lr_patience": 0},
        },
        {"early_stopping": True, "early_stopping_patience": 2, "early_stopping_min_delta": 1.0, "max_epochs": 8},
    ],
    ids=["plateau", "early stopping"],
)
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


def test_a_checkpoint_of_other_values_is_refused(tmp_path) -> None:
    """Also with the same names of cells and features."""
    mdata = setup(normalised())
    interrupt(mdata, tmp_path / "c", epoch=1)
    changed = normalised()
    changed["atac"].X.data[7] += 1
    with pytest.raises(ValueError, match=r"`checkpoint`.*another training: values of atac \w+, now \w+\. Give another"):
        train(setup(changed), tmp_path / "c")


def test_values_have_one_hash_in_every_storage(tmp_path) -> None:
    mdata = normalised()
    expected = digest_values(mdata["rna"].X)
    mdata.write(tmp_path / "m.h5mu")
    stored = read_lazy(tmp_path / "m.h5mu")["rna"].X
    shuffled = mdata["rna"].X.copy()
    for row in range(shuffled.shape[0]):
        part = slice(*shuffled.indptr[row : row + 2])
        shuffled.indices[part], shuffled.data[part] = shuffled.indices[part][::-1], shuffled.data[part][::-1]
    shuffled.has_sorted_indices = False
    for matrix in (stored, mdata["rna"].X.toarray(), shuffled, mdata["rna"].X.tocsc()):
        assert digest_values(matrix) == expected
    assert digest_values(mdata["rna"].X[::-1]) != expected
    moved = mdata["rna"].X.copy()
    moved.indices[0] = (set(range(80)) - set(moved[0].indices)).pop()
    assert digest_values(moved) != expected


def test_a_strangers_checkpoint_is_refused(tmp_path, reference: MuData) -> None:
    """Plain data that do not fit the training, with one error each; what is not plain is tried among the models."""
    setup(reference)
    file = tmp_path / "c"
    interrupt(reference, file, epoch=1)
    whole = torch.load(file, weights_only=True)

    def put(*path: Any, value: Any) -> dict[str, Any]:
        changed = copy.deepcopy(whole)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return changed

    head, optimizer = "module.embedding_head.weight", ("optimizer_states", 0)
    counts = ("loops", "fit_loop")
    for changed, words in (
        ({**whole, "scminnet": []}, "was not written by `MinNet.train`"),
        (put("scminnet", "run", value=[]), "was not written by `MinNet.train`"),
        (put("scminnet", "history", value={"a": ["epoch", [0], ["x"]]}), "was not written by `MinNet.train`"),
        (put("scminnet", "run", "seed", value="9" * 1000), "of another training: seed 9{80}, now 0"),
        (put("state_dict", value=[]), "differ in"),
        (put("state_dict", "module.evil", value=torch.ones(1)), "differ in 'evil'"),
        (put("state_dict", head, value=torch.ones(1)), "'embedding_head.weight' has another shape"),
        (put("state_dict", head, value=whole["state_dict"][head] * float("nan")), "or holds NaN"),
        (put("optimizer_states", value=[]), "has other optimisers"),
        (put(*optimizer, "param_groups", 0, "lr", value="high"), "of another type"),
        (put(*optimizer, "param_groups", 0, "evil", value=1), "lacks one of"),
        (put(*optimizer, "state", 0, "exp_avg", value=torch.ones(2)), "moments of another shape"),
        (put(*optimizer, "state", 999, value={}), "has no moments"),
        (put("lr_schedulers", value={}), "has other optimisers or schedules"),
        (put("lr_schedulers", 0, "get_lr", value=1), "lacks one of"),
        (put("lr_schedulers", 0, "total_steps", value=3), "schedule of another length"),
        (put("lr_schedulers", 0, "_schedule_phases", value=[]), "lists of another length"),
        (put("loops", value=3), "lacks one of"),
        (put(*counts, "epoch_progress", "current", "ready", value="x"), "of another type"),
        (put("callbacks", value=[1]), "has no callbacks"),
    ):
        torch.save(changed, file)
        with pytest.raises(ValueError, match=rf"`checkpoint` .*{words}.*remove this one") as caught:
            train(reference, file)
        assert len(str(caught.value)) < 1000
    torch.save(whole, file)
    train(reference, file)


def test_what_can_not_be_saved_as_plain_data_is_said_at_once(tmp_path, reference: MuData) -> None:
    class Stateful(pl.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"a path": Path()}

    with pytest.raises(TypeError, match=r"`checkpoint\['callbacks'\].*a path.* is a PosixPath"):
        train(setup(reference), tmp_path / "c", callbacks=[Stateful()])


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
