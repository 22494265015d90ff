"""Keys that scminnet writes into a MuData, each defined once."""

from __future__ import annotations

#: ``obsm`` key of the joint embedding.
EMBEDDING_KEY = "X_minnet"

#: ``obsm`` key of the joint UMAP, where scanpy, muon and viewers look for one.
UMAP_KEY = "X_umap"

#: Default ``key_added`` of :func:`scminnet.tl.transfer_labels`, and what it calls cells without a label.
TRANSFERRED_KEY = "transferred_label"
UNASSIGNED = "unassigned"

#: Default ``key_added`` of :func:`scminnet.pp.margin_graph`: prefix of the ``obsp`` keys and name of the ``uns`` entry.
MARGIN_GRAPH_KEY = "margin_graph"

#: ``uns`` key of the parameters in the bulks that :func:`scminnet.tl.minibulk` makes.
MINIBULK_KEY = "minibulk"

#: Column of the bulks' types where ``groupby`` of :func:`scminnet.tl.minibulk` is a mapping or ``None``.
GROUP_COLUMN = "group"

#: Columns of the MuData's ``obs`` that hold the resolved labels and batches of every cell.
LABELS_COLUMN = "_minnet_labels"
BATCH_COLUMN = "_minnet_batch"

#: Dimensions of the joint embedding (paper, "The Siamese neural network").
EMBEDDING_SIZE = 32

#: A progress bar is shown from this many cells, because the step may take more than a few seconds.
SHOW_PROGRESS_FROM = 10_000
