"""MatchCLOT with its hyperparameters and, as in its training, LSI and Harmony of the reference and the cells to embed.

One tenth of the pairs, drawn at random, decides when to stop. MatchCLOT leaves out batches instead, which not all data
sets have, and averages over such models. The embeddings are those that it matches by optimal transport.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from catalyst import dl
from catalyst.utils import set_global_seed
from exchange import arguments, read_task, write_embedding
from matchclot.embedding.catalyst_tools import CustomMetric, scRNARunner
from matchclot.embedding.models import Encoder, Modality_CLIP
from matchclot.preprocessing.preprocess import harmony, lsiTransformer
from matchclot.utils.dataloaders import ModalityMatchingDataset
from matchclot.utils.hyperparameters import defaults_GEX2ADT, defaults_GEX2ATAC
from torch.utils.data import DataLoader

#: Share of the pairs to decide when to stop, and epochs without improvement until then.
VALIDATION, PATIENCE = 0.1, 150


def features(adata: AnnData, n_components: int | None) -> pd.DataFrame:
    """LSI components, or the values themselves; Harmony corrects them if there are batches."""
    if n_components is None:
        points = adata.to_df()
    else:
        points = lsiTransformer(n_components=n_components, drop_first=True).fit_transform(adata)
    if "batch" in adata.obs:
        points["batch"] = adata.obs["batch"]
        (points,) = harmony([points], use_gpu=False)
    return pd.DataFrame(points)


def trained(
    model: Modality_CLIP, other: pd.DataFrame, rna: pd.DataFrame, settings: dict, folder: Path, seed: int
) -> Modality_CLIP:
    """Train on the pairs, and return the model of the best epoch."""
    order = np.random.default_rng(seed).permutation(len(rna))
    valid, train = np.split(order, [round(VALIDATION * len(rna))])
    loaders = {
        name: DataLoader(ModalityMatchingDataset(other.iloc[rows], rna.iloc[rows]), size, shuffle=name == "train")
        for name, rows, size in (("train", train, settings["BATCH_SIZE"]), ("valid", valid, 256))
    }
    accuracy = {"loader_key": "valid", "metric_key": "avg_acc", "minimize": False}
    metric = dl.LoaderMetricCallback(
        metric=CustomMetric(),
        input_key=["embeddings_first", "embeddings_second", "temperature"],
        target_key=["embeddings_second"],
    )
    scRNARunner().train(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), settings["LR"], weight_decay=settings["WEIGHT_DECAY"]),
        loaders=loaders,
        num_epochs=settings["N_EPOCHS"],
        callbacks=[
            dl.OptimizerCallback(metric_key="loss"),
            dl.CheckpointCallback(logdir=str(folder), topk=1, **accuracy),
            dl.EarlyStoppingCallback(patience=PATIENCE, min_delta=1e-5, **accuracy),
            dl.ControlFlowCallbackWrapper(base_callback=metric, ignore_loaders="train"),
        ],
        cpu=True,
        verbose=False,
    )
    model.load_state_dict(torch.load(folder / "model.best.pth", map_location="cpu"))
    return model.eval()


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    peaks = task.second == "chromatin"
    settings = defaults_GEX2ATAC if peaks else defaults_GEX2ADT
    cells = task.with_pairs()
    if peaks:
        cells[task.second].X = (cells[task.second].layers["counts"] > 0).astype(np.float32)
    rna = features(cells["rna"], settings["N_LSI_COMPONENTS_GEX"])
    other = features(cells[task.second], settings["N_LSI_COMPONENTS_ATAC"] if peaks else None)

    set_global_seed(given.seed)
    name = "ATAC" if peaks else "ADT"
    layers, dropout = (
        [[settings[key] for key in settings if key.startswith(f"{kind}_{modality}")] for modality in (name, "GEX")]
        for kind in ("LAYERS_DIM", "DROPOUT_RATES")
    )
    model = Modality_CLIP(
        Encoder=Encoder,
        layers_dims=layers,
        dropout_rates=dropout,
        dim_mod1=other.shape[1],
        dim_mod2=rna.shape[1],
        output_dim=settings["EMBEDDING_DIM"],
        T=settings["LOG_T"],
        noise_amount=settings["SFA_NOISE"],
    )
    n_pairs = task.pairs["rna"].n_obs
    given.out.mkdir(parents=True)
    model = trained(model, other[:n_pairs], rna[:n_pairs], settings, given.out / "log", given.seed)
    with torch.no_grad():
        _, *points = model(*(torch.tensor(part[n_pairs:].to_numpy(np.float32)) for part in (other, rna)))
    embedding = {"rna": points[1].numpy(), task.second: points[0].numpy()}
    write_embedding(given.out, embedding, task.cells, "matchclot", "catalyst", "torch")


if __name__ == "__main__":
    main()
