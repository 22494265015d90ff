"""moscot's translation of the other modality into RNA's components, fused, as in 600_tutorial_translation.

The tutorial's joint attribute is an scVI embedding that comes with its data. Here it is principal components of the
shared features.
"""

from __future__ import annotations

import numpy as np
from exchange import arguments, read_task, shared_features, write_embedding
from moscot.problems.cross_modality import TranslationProblem
from prepare import pca, second_components, standardised
from sklearn.preprocessing import normalize


def main() -> None:
    """Embed the cells of a task."""
    given = arguments()
    task = read_task(given.task)
    rna, other = task.rna, task.cells[task.second]
    parts = shared_features(rna, other)
    joint = pca(np.concatenate([standardised(part) for part in parts]), given.seed)
    rna.obsm["joint"], other.obsm["joint"] = np.split(joint, [rna.n_obs])
    rna.obsm["components"] = pca(standardised(rna), given.seed)
    other.obsm["components"] = normalize(second_components(task, given.seed), norm="l2")
    problem = TranslationProblem(adata_src=other, adata_tgt=rna)
    problem = problem.prepare(src_attr="components", tgt_attr="components", joint_attr="joint")
    problem = problem.solve(epsilon=0.5e-2, alpha=0.7)
    translated = problem.translate(source="src", target="tgt", forward=True)
    embedding = {"rna": rna.obsm["components"], task.second: np.asarray(translated)}
    write_embedding(given.out, embedding, task.cells, "moscot", "ott-jax", "jax")


if __name__ == "__main__":
    main()
