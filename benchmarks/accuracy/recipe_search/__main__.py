"""Search for the default recipe, on validation cells held out of the training split.

Run from the root of the repository::

    python -m benchmarks.accuracy.recipe_search --data FOLDER

It writes ``recipe_search.csv``, row by row, and ``recipe_search.md``. Rows that exist are not measured again, so an
interrupted search continues. Delete the table to start again.

The validation cells are those of ``ablation``. References of 400 and 1,000 cells are random parts of the others.
Chromatin is gene activity and the peaks, except in the first question. The questions, each with the rest as in the
default recipe, are

- which form of chromatin the model gets, and how the canonical components are regularised. Both are answered without a
  network: the components are scaled to unit length, as in the linear baseline;
- how many principal components to use when they are fitted with the query;
- which network, which losses and which training;
- which of the promising networks, when trained with the query.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.recipe_search.questions import QUESTIONS, Reference
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import validation_split
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import mean_and_deviation
from scminnet.metrics import foscttm, label_transfer_accuracy, silhouette_label, silhouette_modality

MEASURES = ["foscttm", "transfer from RNA", "transfer to RNA", "silhouette", "mixing"]
SIZES = ("400", "1000", "all")


def accuracy(embeddings: list[np.ndarray], types: np.ndarray) -> dict[str, float]:
    """Return FOSCTTM, label transfer in both directions and silhouettes."""
    a, b = embeddings
    both = np.concatenate(embeddings)
    return {
        "foscttm": foscttm(a, b).mean,
        "transfer from RNA": label_transfer_accuracy(a, types, b, types).accuracy,
        "transfer to RNA": label_transfer_accuracy(b, types, a, types).accuracy,
        "silhouette": silhouette_label(both, np.tile(types, 2)),
        "mixing": silhouette_modality(both, np.repeat(["a", "b"], len(a))),
    }


class Table:
    """Rows measured so far. Each is written at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = pd.read_csv(path).to_dict("records") if path.is_file() else []

    def find(self, key: dict[str, Any], embed: Callable[[], list[np.ndarray]], types: np.ndarray) -> None:
        """Measure an embedding of the validation cells, unless its row exists."""
        if any(all(row[name] == value for name, value in key.items()) for row in self.rows):
            return
        start = time.perf_counter()
        embeddings = embed()
        seconds = time.perf_counter() - start
        found = {name: round(value, 4) for name, value in accuracy(embeddings, types).items()}
        self.rows.append({**key, **found, "seconds": round(seconds, 1)})
        pd.DataFrame(self.rows).to_csv(self.path, index=False)
        print(*self.rows[-1].values(), flush=True)


def search(name: str, folder: Path, sizes: list[str], questions: list[str], seeds: Iterable[int], table: Table) -> None:
    """Ask the questions on one data set, with references of these sizes."""
    data = validation_split(development_sets.load(name, folder))
    for size in sizes:
        cells = Reference(name, folder, data, data.train.n_obs if size == "all" else int(size))
        for question in questions:

            def found(
                variant: str,
                seed: int,
                embed: Callable[[], list[np.ndarray]],
                question: str = question,
                cells: Reference = cells,
            ) -> None:
                key = {**cells.key, "question": question, "variant": variant, "seed": seed}
                table.find(key, embed, cells.held_out)
                write(pd.DataFrame(table.rows))

            QUESTIONS[question](cells, seeds, found)


def write(rows: pd.DataFrame) -> None:
    """Write the page."""
    (RESULTS / "recipe_search.md").write_text(page(rows))


def page(rows: pd.DataFrame) -> str:
    """Return the page of the results, with means and standard deviations over seeds."""
    grouped = rows.groupby(["question", "data", "cells", "variant"], sort=False)
    found = mean_and_deviation(grouped[MEASURES])
    found.insert(0, "seeds", grouped["seed"].nunique())
    found = found.reset_index().sort_values(["data", "cells"], kind="stable")
    parts = [
        f"## {question.capitalize()}\n\n"
        + part.drop(columns="question").to_markdown(index=False, disable_numparse=True)
        for question, part in found.groupby("question", sort=False)
    ]
    return (
        "# The search for the default recipe\n\n"
        "Validation cells held out of the training split; mean ± standard deviation of so many seeds, the rest as "
        "in the "
        "default recipe.\nWritten by `python -m benchmarks.accuracy.recipe_search`.\n\n" + "\n\n".join(parts) + "\n"
    )


def main() -> None:
    """Ask the questions that the command line selects."""
    parser = command_line.parser(__doc__, data="required", seeds=5)
    parser.add_argument("--sets", nargs="+", default=development_sets.NAMES, choices=development_sets.NAMES)
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES, help="cells of the reference")
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=list(QUESTIONS))
    arguments = parser.parse_args()
    table = Table(RESULTS / "recipe_search.csv")
    for name in arguments.sets:
        search(name, arguments.data, arguments.sizes, arguments.questions, command_line.seeds_of(arguments), table)
    write(pd.DataFrame(table.rows))


if __name__ == "__main__":
    main()
