"""Cases of the embedding, and of the machine's limits that no program can beat."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.speed.model.rows import DENSITY, N_FEATURES, Rows, simulated_pair

#: Cells of the reference. The time of the embedding does not depend on the training.
N_REFERENCE = 3_000


def machine(rows: Rows, threads: int, **_: Any) -> None:
    """Measure the bandwidth of a copy and the rate of matrix products."""
    import torch

    # per CPU second of one thread, as everything else here
    a = np.ones(2**26, dtype=np.float32)
    b = np.empty_like(a)
    for size in (2_048, 256):
        left, right = torch.ones(2_048, size), torch.ones(size, size)
        for repeat in range(5):
            start = time.process_time()
            n = max(1, 2_048 // size) ** 2
            for _ in range(n):
                left @ right
            seconds = time.process_time() - start
            rows.add(f"product of {size} columns", repeat, gflops=2 * n * 2_048 * size * size / seconds / 1e9)
    for repeat in range(5):
        start = time.process_time()
        np.copyto(b, a)
        rows.add("copy", repeat, gb_per_second=2 * a.nbytes / (time.process_time() - start) / 1e9)


def trained(device: str, **changes: Any) -> Any:
    """Train a model on simulated cells."""
    import scminnet as mn

    reference = simulated_pair(N_REFERENCE, 0)
    mn.MinNet.setup_mudata(reference, ["rna", "atac"], labels_key="cell_type")
    model = mn.MinNet(reference, **changes)
    model.train(2, accelerator=device, enable_progress_bar=False)
    return model


def embedding(rows: Rows, repeats: int, device: str, **_: Any) -> None:
    """Measure the embedding of both modalities, beside dense standardised values."""
    import torch

    from scminnet.model.inference.forward_pass import MAX_CELLS_FOR_HIDDEN_STATISTICS

    model = trained(device)
    query = simulated_pair(rows.cells, 1)
    rows.add("scminnet", 0, input_gb=sum(part.X.data.nbytes * 2 for part in query.mod.values()) / 1e9)
    layers = [model.module.encoder(m) for m in query.mod]
    sampled = min(rows.cells, MAX_CELLS_FOR_HIDDEN_STATISTICS) / rows.cells
    products = sum(
        round(N_FEATURES * DENSITY) * layer.input.weight.shape[1] * 2
        # each hidden layer for its own moments and those after it, of some cells, and once for the embedding
        + sum(
            2 * (1 + sampled * (len(layer.layers) - i)) * hidden.linear.weight.numel()
            for i, hidden in enumerate(layer.layers)
        )
        + 2 * (model.module.embedding_head.weight.numel() + model.module.label_head.weight.numel())
        for layer in layers
    )
    # the values are read for their moments and for the input layer
    rows.add(
        "at least",
        0,
        gflop=products * rows.cells / 1e9,
        gb=2 * sum(part.X.data.nbytes * 2 for part in query.mod.values()) / 1e9,
    )
    model.embed(query[:100].copy())
    for repeat in range(repeats):
        with rows.timed("scminnet", repeat):
            model.embed(query)
        with rows.timed("reference's statistics", repeat):
            model.embed(query, statistics="reference")
    if rows.cells > 20_000:
        return

    def dense() -> None:
        """Standardise a whole dense array and pass it through the network, as published."""
        with torch.inference_mode():
            for modality, adata in query.mod.items():
                values = adata.X.toarray()
                values = np.clip((values - values.mean(axis=0)) / (values.std(axis=0, ddof=1) + 1e-12), -10, 10)
                layer = model.module.encoder(modality).input
                projected = torch.from_numpy(values).to(layer.weight.device) @ layer.weight + layer.bias
                model.module.inference({modality: projected}, projected=True)

    for repeat in range(repeats):
        with rows.timed("dense values", repeat):
            dense()
