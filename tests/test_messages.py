"""What a user reads on the way, in a Python of its own: nothing twice, and nothing that only developers can act on."""

from __future__ import annotations

import subprocess
import sys

FROM_PYTHON = """
import logging
import sys
import scminnet as mn

mdata = mn.datasets.simulate_multiome(300, n_genes=60, n_peaks=200, seed=0)
mn.pp.gene_activity(mdata, mdata["rna"].var.rename_axis("gene").reset_index())
mn.pp.normalize(mdata)
mn.pp.select_features(mdata, ["rna", "activity"], n_top_genes=40)
mdata.obs["cell_type"] = mdata.obs["cell_type"].astype(str)
mdata.obs.loc[mdata.obs_names[0], "cell_type"] = "rare"
mn.MinNet.setup_mudata(mdata, modalities=["rna", "activity"], labels_key="cell_type", batch_key="batch")
model = mn.MinNet(mdata)
model.train(max_epochs=2, enable_progress_bar=False, checkpoint=sys.argv[1] + ".ckpt")
model.save(sys.argv[1])
mn.MinNet.prepare_query_mudata(mdata, sys.argv[1])
mn.MinNet.load_query_data(mdata, sys.argv[1])
mn.MinNet.load(sys.argv[1], adata=False)
assert logging.getLogger().handlers == []
"""

WITH_A_BAR = """
import scminnet as mn

mdata = mn.datasets.simulate_multiome(300, n_genes=60, n_peaks=200, seed=0)
mn.pp.normalize(mdata)
mn.MinNet.setup_mudata(mdata, modalities=["rna", "atac"], labels_key="cell_type", batch_key="batch")
mn.MinNet(mdata).train(max_epochs=2)
"""

FROM_THE_SHELL = """
import sys
from scminnet.cli import main

sys.exit(main(["demo", "--cells", "300", "--max-epochs", "1", "--no-progress", "--out", sys.argv[1]]))
"""


def heard(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_from_python_nothing_is_said_twice_and_what_is_warned_of_can_be_mended(tmp_path) -> None:
    text = heard(FROM_PYTHON, tmp_path / "model")
    assert text.count("cell types with fewer than 3 cells: 'rare'") == 1
    # what packages say of each other as they are imported depends on their versions
    assert [
        word
        for word in (
            "pull_on_update",
            "not unique",
            "treespec",
            "Category",
            "downloaded",
            "weights_only",
            "TPU",
            "Tip",
            "litlogger",
            "train_dataloader",
            "max_epochs",
        )
        if word in text
    ] == []


def test_the_bar_shows_both_losses_of_the_finished_epoch_and_no_number_of_a_logger() -> None:
    text = heard(WITH_A_BAR)
    bar = text.split("Epoch 2/2: 100%")[-1]
    assert "train_loss=" in bar
    assert "validation_loss=" in bar
    assert "v_num" not in text
    assert "TPU" not in text


def test_the_demo_says_what_it_does_and_no_more(tmp_path) -> None:
    text = heard(FROM_THE_SHELL, tmp_path / "demo")
    assert text.count("building the margin graph") == 1
    assert [
        word for word in ("GPU available", "litlogger", "max_epochs", "arning:", "deprecated") if word in text
    ] == []
