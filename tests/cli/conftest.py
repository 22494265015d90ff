"""Small files for the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mudata import MuData

from scminnet import datasets
from scminnet.cli import main


def write_tss(mdata: MuData, path: Path) -> Path:
    """Write the starts of the simulated genes as BED."""
    var = mdata["rna"].var
    rows = zip(var["chrom"], var["tss"], var["tss"] + 1, var.index, ["0"] * len(var), var["strand"], strict=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def cells() -> MuData:
    """Paired cells with counts, labels and batches."""
    return datasets.simulate_multiome(240, n_types=3, n_lineages=2, n_genes=60, n_peaks=200, n_proteins=8, n_batches=2)


@pytest.fixture(scope="session")
def files(tmp_path_factory, cells: MuData) -> Path:
    """Folder with paired cells, an annotation, cells with an embedding, and a model."""
    folder = tmp_path_factory.mktemp("files")
    cells.write(folder / "cells.h5mu")
    write_tss(cells, folder / "tss.bed")
    embedded = cells.copy()
    rng = np.random.default_rng(0)
    types = cells.obs["cell_type"].astype("category").cat.codes.to_numpy()
    for m in ("rna", "atac"):
        place = np.eye(3, dtype=np.float32)[types] + 0.1 * rng.normal(size=(240, 3)).astype(np.float32)
        embedded.mod[m].obsm["X_minnet"] = place
    embedded.obs["predicted_label"] = cells.obs["cell_type"].astype(str)
    embedded.write(folder / "embedded.h5mu")
    arguments = ["fit", folder / "cells.h5mu", "-o", folder / "model", "--modalities", "rna", "atac"]
    more = ["--labels-key", "cell_type", "--max-epochs", "1", "--no-progress", "--no-report"]
    if main([str(a) for a in (*arguments, *more)]) != 0:
        raise RuntimeError("the model could not be trained")
    return folder


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that reads all files below a folder, by name."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
            for path in sorted(folder.rglob("*"))
        }

    return read


@pytest.fixture
def run(capfd) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command and returns exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return command
