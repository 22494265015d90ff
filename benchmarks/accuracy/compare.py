"""Accuracy, time and memory of this and other methods on the same cells, each in an environment of its own.

Run from the root of the repository::

    python -m benchmarks.accuracy.compare --data FOLDER --seeds 5
    python -m benchmarks.accuracy.compare --data FOLDER --seeds 5 --scib

It writes ``compare.csv`` (one row a method, data set, scenario, seed and measure), ``compare.md`` and ``compare.png``.
The second call adds the scores of scib-metrics for the embeddings that the first one kept. ``--methods``,
``--data-sets`` and ``--scenarios`` select a part. New runs replace their older rows, and the other rows stay. A method
that fails or is not available has a row with the reason. Environments are made in ``--environments`` when first
needed, from the pinned files in ``benchmarks/peers/requirements``.

Every method gets the same test cells: the modalities are shuffled apart and the cells renamed (``scenarios.unpair``).
Only some methods get the reference too. The pairs and types of the test cells only serve to measure.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import scminnet as mn
from benchmarks.accuracy import compare_page
from benchmarks.accuracy.scenarios import (
    NO_REFERENCE,
    REFERENCE_ONLY,
    SCENARIOS,
    NotApplicableError,
    fewer_cells,
    reference,
    reveal,
    unpair,
)
from benchmarks.peers import exchange
from benchmarks.peers.environments import NoEnvironmentError, interpreter
from benchmarks.peers.methods import METHODS, NOTHING, Method
from benchmarks.shared import command_line, development_sets, resources
from benchmarks.shared.development_sets import DevelopmentSet, together
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import merged, ordered

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "benchmarks" / "peers"
SCIB_SCRIPT = Path(__file__).with_name("scib_scores.py")

DATA_SETS = (*development_sets.NAMES, *development_sets.OTHER_TISSUE)

RESULT = RESULTS / "compare.csv"

#: Columns that identify a run. Rows of one run are replaced together.
RUN = ["method", "data", "scenario", "seed"]
COLUMNS = [
    *RUN,
    "given",
    "metric",
    "modalities",
    "value",
    "better",
    "seconds",
    "cpu_seconds",
    "memory_gb",
    "versions",
    "reason",
]

#: Order of the table.
ORDER = ["data", "scenario", "method", "seed"]
RANKS = {"data": DATA_SETS, "scenario": list(SCENARIOS), "method": list(METHODS)}

#: Embedded cells of each modality, by their true names.
Embedding = dict[str, pd.DataFrame]


class FailedError(RuntimeError):
    """A method gave no embedding, for the reason in the text."""


def one_run(
    name: str, data: DevelopmentSet, seed: int, *, folder: Path, limit: float
) -> tuple[pd.DataFrame, Embedding]:
    """Run a method on a data set.

    Return its measures and its embedding, or one row with the reason of the failure.
    """
    method = METHODS[name]
    usage, versions, embedding = None, {}, {}
    try:
        script = _command(method, data, folder)
        if method.data is not None:
            data = method.data(data, seed)
        with tempfile.TemporaryDirectory() as work:
            unpaired = unpair(data, seed)
            task, out, log = Path(work, "task"), Path(work, "out"), Path(work, "log.txt")
            exchange.write_task(task, unpaired.cells, {} if method.given == NOTHING else reference(data))
            usage = resources.run(
                [*script, str(task), str(out), str(seed), *method.words],
                log=log,
                limit=limit,
                environment=_environment(own=method.environment is None),
            )
            if usage.timed_out:
                raise FailedError(f"not done within {limit / 60:.0f} minutes")
            if usage.status:
                raise FailedError(_last_line(log))
            embedding, versions = exchange.read_embedding(out)
        _check(embedding, data)
        revealed = reveal(unpaired, embedding)
        embedding = {m: points.loc[data.test[m].obs_names] for m, points in revealed.items()}
        table = measure(data, embedding, seed)
    except (FailedError, NoEnvironmentError) as reason:
        table, embedding = pd.DataFrame([{"metric": "failed", "modalities": "", "reason": str(reason)}]), {}
    table = table.assign(method=name, seed=seed, given=method.given)
    table["versions"] = ", ".join(f"{package} {number}" for package, number in versions.items())
    if usage is not None:
        table["seconds"], table["cpu_seconds"] = round(usage.seconds, 1), round(usage.cpu_seconds, 1)
        table["memory_gb"] = round(usage.memory_gb, 2)
    return table.reindex(columns=COLUMNS), embedding


def measure(data: DevelopmentSet, embedding: Embedding, seed: int) -> pd.DataFrame:
    """Return the report of this package, and the accuracy of label transfer within each type."""
    # integration_report takes no modality without features
    cells = together(
        {m: AnnData(points.add_prefix(f"{m}_"), obsm={"X_joint": points.to_numpy()}) for m, points in embedding.items()}
    )
    cells.obs = data.test.obs.loc[cells.obs_names]
    report = mn.metrics.integration_report(
        cells,
        modalities=data.modalities,
        labels_key=data.labels_key,
        batch_key=data.batch_key,
        use_rep="X_joint",
        seed=seed,
    )
    table = pd.concat([report, per_type(data, embedding, seed)], ignore_index=True)
    table["value"] = table["value"].round(5)
    return table


def per_type(data: DevelopmentSet, embedding: Embedding, seed: int) -> pd.DataFrame:
    """Accuracy of label transfer within each type, both ways."""
    labels = data.test.obs[data.labels_key].astype(str)
    rows = []
    for source, target in (data.modalities, data.modalities[::-1]):
        a, b = embedding[source], embedding[target]
        found = mn.metrics.label_transfer_accuracy(
            a.to_numpy(), labels.loc[a.index].to_numpy(), b.to_numpy(), labels.loc[b.index].to_numpy(), seed=seed
        )
        for label, value in found.per_type.items():
            rows.append((f"label_transfer_accuracy of {label}", f"{source} -> {target}", value, "higher"))
    return pd.DataFrame(rows, columns=["metric", "modalities", "value", "better"])


def scib(data: DevelopmentSet, kept: Path, folder: Path) -> pd.DataFrame:
    """Return the scores of scib-metrics for all kept embeddings of these cells.

    The package requires jax, so it has an environment of its own.
    """
    cells = {m: data.test[m].obs_names for m in data.modalities}
    obs = pd.concat([data.test.obs.loc[names] for names in cells.values()])
    columns = {
        "label": obs[data.labels_key].astype(str),
        "modality": np.repeat(list(cells), [len(names) for names in cells.values()]),
        "batch": obs[data.batch_key].astype(str) if data.batch_key else np.repeat("", len(obs)),
    }
    arrays = {}
    for path in sorted(kept.glob("*.npz")):
        with np.load(path) as embedding:
            arrays[path.stem] = np.concatenate([embedding[m] for m in cells])
    if not arrays:
        raise FileNotFoundError(f"no embeddings in {kept}: run the methods first")
    with tempfile.TemporaryDirectory() as work:
        given, found, log = Path(work, "embeddings.npz"), Path(work, "scores.json"), Path(work, "log.txt")
        np.savez(given, **arrays, **{key: np.asarray(values, dtype=str) for key, values in columns.items()})
        command = [interpreter("scib", folder), str(SCIB_SCRIPT), str(given), str(found)]
        usage = resources.run(command, log=log, limit=7200, environment=_environment())
        if usage.status:
            raise RuntimeError(f"scib-metrics failed: {_last_line(log)}")
        scores = pd.read_json(found, orient="index")
    table = scores.rename_axis("method").reset_index().melt("method", var_name="metric")
    return table.assign(modalities=", ".join(cells), better="higher", value=table["value"].round(5))


def _command(method: Method, data: DevelopmentSet, folder: Path) -> list[str]:
    if method.missing:
        raise FailedError(method.missing)
    if data.modalities[1] not in method.second:
        raise FailedError(f"made for {' and '.join(method.second)}, not for {data.modalities[1]}")
    return [interpreter(method.environment, folder), str(PEERS / method.script)]


def _environment(*, own: bool = False) -> dict[str, str]:
    """One thread, so that CPU seconds are comparable. ``own``: scripts that import the benchmarks can find them."""
    variables = resources.threads(1) | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "MPLBACKEND": "Agg"}
    if own:
        variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return variables


def _check(embedding: dict[str, np.ndarray], data: DevelopmentSet) -> None:
    for modality in data.modalities:
        points, n_cells = embedding[modality], data.test[modality].n_obs
        if len(points) != n_cells:
            raise FailedError(f"embedded {len(points):,} of {n_cells:,} cells of {modality}")
        if not np.isfinite(points).all():
            raise FailedError(f"the embedding of {modality} is not finite")
        # FOSCTTM counts ties as correct, so a collapsed embedding would look perfect
        if not np.ptp(points, axis=0).any():
            raise FailedError(f"all cells of {modality} are on one point")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "ended without a message"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the methods that the command line selects."""
    parser = command_line.parser(__doc__, data="required", seeds=1)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--data-sets", nargs="+", default=list(development_sets.NAMES), choices=DATA_SETS)
    parser.add_argument("--scenarios", nargs="+", default=["standard"], choices=list(SCENARIOS))
    parser.add_argument("--environments", type=Path, default=Path(".venv-peers"), help="folder of the environments")
    parser.add_argument("--embeddings", type=Path, default=Path(".venv-peers/embeddings"), help="where they are kept")
    parser.add_argument("--minutes", type=float, default=60, help="time limit of a run")
    parser.add_argument("--scib", action="store_true", help="run no method; score kept embeddings with scib-metrics")
    parser.add_argument("--cells", type=int, help="test cells at most, to try a method out; nothing is then written")
    arguments = parser.parse_args(argv)

    environments = arguments.environments.resolve()
    for name in arguments.data_sets:
        full = development_sets.load(name, arguments.data, peaks=True)
        if arguments.cells:
            full = full._replace(test=fewer_cells(full.test, arguments.cells, 0))
        for scenario in arguments.scenarios:
            for seed in command_line.seeds_of(arguments):
                try:
                    data = SCENARIOS[scenario](full, seed)
                except NotApplicableError as reason:
                    print(f"{name}, {scenario}: left out, {reason}", flush=True)
                    continue
                kept = arguments.embeddings / name / scenario / str(seed)
                if arguments.scib:
                    _write_scores(scib(data, kept, environments), name, scenario, seed)
                    continue
                for method in arguments.methods:
                    learns = METHODS[method].given != NOTHING
                    if scenario in (NO_REFERENCE if learns else REFERENCE_ONLY):
                        continue
                    table, embedding = one_run(method, data, seed, folder=environments, limit=60 * arguments.minutes)
                    print(f"{name}, {scenario}, {method}, seed {seed}: {_headline(table)}", flush=True)
                    if not arguments.cells:
                        _keep(embedding, kept / f"{method}.npz")
                        new = table.assign(data=name, scenario=scenario)
                        _write(ordered(merged(new, _stored(), RUN), ORDER, RANKS))


def _headline(rows: pd.DataFrame) -> str:
    if rows["metric"].iloc[0] == "failed":
        return rows["reason"].iloc[0]
    overall = rows[rows["metric"].isin(compare_page.METRICS)]
    values = ", ".join(f"{m} {v:.3f}" for m, v in zip(overall["metric"], overall["value"], strict=True))
    return f"{values}; {rows['seconds'].iloc[0]:.0f} s, {rows['memory_gb'].iloc[0]:.1f} GB"


def _keep(embedding: Embedding, path: Path) -> None:
    """Write an embedding for later measures, in the order of the data set's cells. A failed run leaves none."""
    path.unlink(missing_ok=True)
    if embedding:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{m: points.to_numpy() for m, points in embedding.items()})


def _stored() -> pd.DataFrame:
    return pd.read_csv(RESULT) if RESULT.exists() else pd.DataFrame(columns=COLUMNS)


def _write_scores(scores: pd.DataFrame, data: str, scenario: str, seed: int) -> None:
    """Add scores to the rows of their runs, in the place of older ones."""
    table = _stored()
    group = (table["data"] == data) & (table["scenario"] == scenario) & (table["seed"] == seed)
    runs = table[group].drop_duplicates("method").drop(columns=["metric", "modalities", "value", "better"])
    rest = table[~(group & table["metric"].str.startswith("scib_") & table["method"].isin(scores["method"]))]
    _write(ordered(pd.concat([rest, scores.merge(runs, on="method")], ignore_index=True), ORDER, RANKS))


def _write(table: pd.DataFrame) -> None:
    table[COLUMNS].to_csv(RESULT, index=False)
    compare_page.write(table, RESULT.parent)


if __name__ == "__main__":
    main()
