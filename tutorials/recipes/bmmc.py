"""The paper's reference: bone marrow of the NeurIPS 2021 competition, multiome or CITE-seq.

Learn on sites 1 to 3, measure on new donors and a new site. Or, with ``--split scmmib``, integrate one batch as an
independent benchmark did, with and without the pairs of another site (``independent_split.py``).
"""

from __future__ import annotations

from pathlib import Path

import independent_split
import numpy as np
import steps
from mudata import MuData

import scminnet as mn

#: Batches of the paper's test sets; the loaders have them in ``obs["split"]``.
TESTS = {"test1": ("s1d2", "s3d7"), "test2": ("s4d1", "s4d8", "s4d9")}


def splits(mdata: MuData) -> dict[str, MuData]:
    """Cut the data into the paper's reference and its tests, those that have cells."""
    batch = mdata.obs["batch"].astype(str)
    # the paper filters its training cells
    used = mdata.obs["in_paper"].to_numpy(bool) if "in_paper" in mdata.obs else True
    rows = {name: batch.isin(batches).to_numpy() for name, batches in TESTS.items()}
    rows["train"] = ~np.any(list(rows.values()), axis=0) & used
    return {name: mdata[of].copy() for name, of in rows.items() if of.any()}


def main() -> None:
    """Run what the command line asks for."""
    parser = steps.parser(__doc__)
    parser.add_argument("kind", choices=["multiome", "cite"])
    parser.add_argument("--tss", type=Path, help="genes of hg38 (GTF, GFF3, BED); needed for multiome")
    parser.add_argument("--split", default="paper", choices=["paper", "scmmib"])
    parser.add_argument("--preset", default="default", choices=["default", "paper"])
    parser.add_argument("--max-epochs", type=int, help="default: the preset's")
    options = parser.parse_args()
    if options.kind == "multiome" and options.tss is None:
        parser.error("multiome needs --tss")

    load = mn.datasets.bmmc_multiome if options.kind == "multiome" else mn.datasets.bmmc_cite
    mdata = steps.read(options, load)
    if options.split == "scmmib":
        independent_split.score(mdata, options.kind, options.tss, options.out, options.seed)
        return
    modalities = ["rna", "adt"]
    if options.kind == "multiome":
        # the query's peaks differ from study to study, its genes do not
        modalities = ["rna", "activity"]
        steps.with_activity(mdata, options.tss)
        del mdata.mod["atac"]
        mdata.update()
    mn.pp.normalize(mdata)
    parts = splits(mdata)
    reference = parts.pop("train")
    # genes variable in more than one batch, or more than two, as in the paper
    enough = min(2 if options.kind == "multiome" else 3, reference.obs["batch"].nunique())
    mn.pp.select_features(reference, modalities, batch_key="batch", min_batches=enough)

    mn.MinNet.setup_mudata(reference, modalities, labels_key="cell_type", batch_key="batch")
    # the published code's choices for proteins
    for_proteins = options.preset == "paper" and options.kind == "cite"
    model = mn.MinNet(
        reference, preset=options.preset, seed=options.seed, **({"activation": "sigmoid"} if for_proteins else {})
    )
    model.train(
        max_epochs=options.max_epochs or (90 if for_proteins else None),
        seed=options.seed,
        **({"pair_strategy": "within"} if for_proteins else {}),
    )
    model.save(str(options.out / "model"), overwrite=True)

    for name, query in parts.items():
        print(f"== {name}: {query.n_obs:,} cells of {', '.join(sorted(query.obs['batch'].astype(str).unique()))}")
        query = steps.embed(model, query)
        batch_key = "batch" if query.obs["batch"].nunique() > 1 else None
        steps.measure(query, modalities, options.out, name, batch_key, options.seed)


if __name__ == "__main__":
    main()
