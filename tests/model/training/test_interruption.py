"""A training that is interrupted, or fails, leaves the model as it was."""

from __future__ import annotations

import signal

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from scminnet import MinNet, datasets, pp

pytestmark = pytest.mark.usefixtures("ctrl_c")

QUICK = {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False}


class Stop(pl.Callback):
    """Presses Ctrl-C in the first batch, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def on_train_batch_end(self, *args, **kwargs) -> None:
        if self.error is not None:
            raise self.error
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def model() -> MinNet:
    mdata = datasets.simulate_multiome(200, n_types=3, n_lineages=2, n_genes=40, n_peaks=100)
    pp.normalize(mdata)
    MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type")
    return MinNet(mdata)


def state(model: MinNet) -> dict:
    found = {name: value for name, value in vars(model).items() if name.endswith("_")}
    return found | {"history_": {name: len(frame) for name, frame in (model.history_ or {}).items()}}


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("lightning", ["exits", "goes on"])
def test_ctrl_c_is_raised_and_the_model_is_as_before(
    model: MinNet, monkeypatch, capsys, trained: bool, lightning: str
) -> None:
    if trained:
        model.train(**QUICK)
    if lightning == "goes on":
        # as versions before 2.4
        monkeypatch.setattr("lightning.pytorch.trainer.call.sys.exit", lambda code: None)
    before = state(model)
    weights = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    capsys.readouterr()
    # a second time, because Lightning ignores Ctrl-C after the first
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt, match="the model is as before"):
            model.train(**QUICK, callbacks=[Stop()])
    assert "Exception raised during training" not in capsys.readouterr().out
    assert state(model) == before
    assert model.is_trained_ is trained
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.module.state_dict().items())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    model.train(**QUICK)
    assert model.is_trained_
    assert len(model.history["train_loss"]) == 1 + trained
    if trained:
        assert np.isfinite(model.get_latent_representation()).all()


def test_another_error_passes_through(model: MinNet, capsys) -> None:
    before = state(model)
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.train(**QUICK, callbacks=[Stop(ZeroDivisionError("mine"))])
    assert state(model) == before
    assert "Exception raised" not in capsys.readouterr().out


def test_an_interrupted_training_does_not_change_the_next(model: MinNet) -> None:
    other = MinNet(model.adata)
    with pytest.raises(KeyboardInterrupt):
        model.train(**QUICK, callbacks=[Stop()])
    model.train(**QUICK)
    other.train(**QUICK)
    np.testing.assert_array_equal(model.get_latent_representation(), other.get_latent_representation())
