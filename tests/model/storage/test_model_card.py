"""A model on the scvi-tools hub, as far as it goes without a network: the folder to be pushed, and what is pulled."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from mudata import MuData

from scminnet import MinNet
from scminnet.model import model_card

from ..conftest import setup

pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def folder(trained: MinNet, tmp_path_factory) -> Path:
    from scvi.hub import HubMetadata, HubModel

    folder = tmp_path_factory.mktemp("hub") / "model"
    trained.save(folder)
    card = model_card(
        trained, license="cc-by-4.0", description="Simulated cells: #1.", tissues=["blood"], references="None."
    )
    (folder / "README.md").write_text(card)
    metadata = HubMetadata.from_dir(str(folder), version("anndata"), model_parent_module="scminnet.model")
    HubModel(str(folder), metadata=metadata).save(overwrite=True)
    return folder


def test_a_shared_model_embeds_without_its_reference(folder: Path, trained: MinNet, query: MuData) -> None:
    from scvi.hub import HubModel

    pulled = HubModel(str(folder))
    assert pulled.metadata.model_cls_name == "MinNet"
    pulled.load_model(adata=False, accelerator="cpu")
    np.testing.assert_array_equal(
        pulled.model.get_latent_representation(query), trained.get_latent_representation(query)
    )
    assert pulled.model.diagnose(query).verdict == trained.diagnose(query).verdict


def test_the_card_says_what_a_user_must_know(folder: Path, trained: MinNet) -> None:
    from scvi.hub import HubModel

    card = HubModel(str(folder)).model_card
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "scvi-tools"
    assert {"modality:rna", "tissue:blood", "model_cls_name:MinNet"} <= set(card.data.tags)
    for text in ("Simulated cells: #1.", "| rna | 80 |", *map(str, trained.labels), "pair_accuracy_rna", "None."):
        assert text in card.content


def test_a_strangers_code_does_not_run_by_way_of_the_hub(folder: Path, tmp_path) -> None:
    from scvi.hub import HubModel

    class Stranger:
        def __reduce__(self):
            return (tmp_path / "mark").touch, ()

    saved = torch.load(folder / "model.pt", weights_only=False)
    whole = (folder / "model.pt").read_bytes()
    saved["attr_dict"]["note_"] = Stranger()
    torch.save(saved, folder / "model.pt")
    try:
        with pytest.raises(ValueError, match="which is not plain data and could run code"):
            HubModel(str(folder)).load_model(adata=False)
    finally:
        (folder / "model.pt").write_bytes(whole)
    assert not (tmp_path / "mark").exists()


def test_no_card_of_an_untrained_model(reference: MuData) -> None:
    with pytest.raises(RuntimeError, match=r"not trained.*train\(\)"):
        model_card(MinNet(setup(reference)), license="mit", description="")
