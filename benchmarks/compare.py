"""Ours beside its peers on the same cells: each method in an environment of its own, its time and memory measured.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/compare.py --data FOLDER --seeds 0 1 2
    python benchmarks/compare.py --data FOLDER --seeds 0 1 2 --scib

writes ``benchmarks/results/compare.csv`` (one row a method, data set, scenario, seed and measure), ``compare.md`` and ``compare.png``.
``--scib``, called after that, adds scib-metrics' scores of the embeddings that the first call kept.
``--methods``, ``--data-sets``, ``--scenarios`` run a part of it: what was run before stays in the table, and what is run again takes
its place. A method that fails or is not to be had is a row as well, with the reason. Environments are made in ``--environments`` when first
needed, from the pinned files in ``peers/requirements``.

Every method gets the same test cells: the two modalities shuffled apart, their cells under new names (``scenarios.unpair``). Only methods marked
so get the reference too. The pairs and types of the test cells serve to measure, and leave this process only for that.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import compare_page
import development_sets
import measured
import numpy as np
import pandas as pd
from anndata import AnnData
from development_sets import DevelopmentSet, together
from environments import NoEnvironmentError, interpreter
from methods import METHODS, NOTHING, Method
from peers import exchange
from scenarios import REFERENCE_ONLY, SCENARIOS, NotApplicableError, fewer_cells, reference, reveal, unpair

import scminnet as mn

BENCHMARKS = Path(__file__).parent

DATA_SETS = (*development_sets.NAMES, *development_sets.OTHER_TISSUE)

RESULT = BENCHMARKS / "results" / "compare.csv"

#: One run: rows of one run are replaced together.
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

#: One thread for each of these, so that CPU seconds compare and a busy machine does not stall a pool of threads.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


#: Embedded cells of each modality, by their true names.
Embedding = dict[str, pd.DataFrame]


class FailedError(RuntimeError):
    """A method gave no embedding, for the reason in the text."""


def one_run(
    name: str, data: DevelopmentSet, seed: int, *, folder: Path, limit: float
) -> tuple[pd.DataFrame, Embedding]:
    """Run a method on a data set; return its measures with the embedding, or one row with the reason why there is none."""
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
            usage = measured.run(
                [*script, str(task), str(out), str(seed), *method.words], log=log, limit=limit, environment=_threads()
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
    """Return our own measures, and the accuracy of label transfer within each type."""
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
    """Scores of scib-metrics for all kept embeddings of these cells, in an environment of its own: the package brings jax."""
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
        command = [interpreter("scib", folder), str(BENCHMARKS / "scib_scores.py"), str(given), str(found)]
        usage = measured.run(command, log=log, limit=7200, environment=_threads())
        if usage.status:
            raise RuntimeError(f"scib-metrics failed: {_last_line(log)}")
        scores = pd.read_json(found, orient="index")
    table = scores.rename_axis("method").reset_index().melt("method", var_name="metric")
    return table.assign(modalities=", ".join(cells), better="higher", value=table["value"].round(5))


def merged(new: pd.DataFrame, old: pd.DataFrame) -> pd.DataFrame:
    """Put new rows in the place of older ones of the same runs; in the order of data sets, scenarios and methods."""
    kept = ~pd.MultiIndex.from_frame(old[RUN]).isin(pd.MultiIndex.from_frame(new[RUN]))
    # a concatenation would take the types of columns from empty rows
    table = pd.concat([part for part in (old[kept], new) if len(part)], ignore_index=True)
    return ordered(table)


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by data sets, scenarios and methods, as they are listed."""
    ranks = {"data": list(DATA_SETS), "scenario": list(SCENARIOS), "method": list(METHODS)}
    order = ["data", "scenario", "method", "seed"]
    return table.sort_values(order, key=lambda c: c.map(ranks[c.name].index) if c.name in ranks else c, kind="stable")


def _command(method: Method, data: DevelopmentSet, folder: Path) -> list[str]:
    if method.missing:
        raise FailedError(method.missing)
    if data.modalities[1] not in method.second:
        raise FailedError(f"made for {' and '.join(method.second)}, not for {data.modalities[1]}")
    return [interpreter(method.environment, folder), str(BENCHMARKS / "peers" / method.script)]


def _threads() -> dict[str, str]:
    return dict.fromkeys(THREADS, "1") | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "MPLBACKEND": "Agg"}


def _check(embedding: dict[str, np.ndarray], data: DevelopmentSet) -> None:
    for modality in data.modalities:
        points, n_cells = embedding[modality], data.test[modality].n_obs
        if len(points) != n_cells:
            raise FailedError(f"embedded {len(points):,} of {n_cells:,} cells of {modality}")
        if not np.isfinite(points).all():
            raise FailedError(f"the embedding of {modality} is not finite")
        # FOSCTTM takes ties for no error, so a collapsed embedding would look perfect
        if not np.ptp(points, axis=0).any():
            raise FailedError(f"all cells of {modality} are on one point")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "ended without a word"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--data-sets", nargs="+", default=list(development_sets.NAMES), choices=DATA_SETS)
    parser.add_argument("--scenarios", nargs="+", default=["standard"], choices=list(SCENARIOS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--environments", type=Path, default=Path(".venv-peers"), help="folder of the environments")
    parser.add_argument("--embeddings", type=Path, default=Path(".venv-peers/embeddings"), help="where they are kept")
    parser.add_argument("--minutes", type=float, default=60, help="time limit of a run")
    parser.add_argument("--scib", action="store_true", help="run no method; score kept embeddings with scib-metrics")
    parser.add_argument("--cells", type=int, help="test cells at most, to try a method out; nothing is then written")
    arguments = parser.parse_args(argv)
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")

    environments = arguments.environments.resolve()
    for name in arguments.data_sets:
        full = development_sets.load(name, arguments.data, peaks=True)
        if arguments.cells:
            full = full._replace(test=fewer_cells(full.test, arguments.cells, 0))
        for scenario in arguments.scenarios:
            for seed in arguments.seeds:
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
                    if scenario in REFERENCE_ONLY and METHODS[method].given == NOTHING:
                        continue
                    table, embedding = one_run(method, data, seed, folder=environments, limit=60 * arguments.minutes)
                    print(f"{name}, {scenario}, {method}, seed {seed}: {_headline(table)}", flush=True)
                    if not arguments.cells:
                        _keep(embedding, kept / f"{method}.npz")
                        _write(merged(table.assign(data=name, scenario=scenario), _stored()))


def _headline(rows: pd.DataFrame) -> str:
    if rows["metric"].iloc[0] == "failed":
        return rows["reason"].iloc[0]
    overall = rows[rows["metric"].isin(compare_page.METRICS)]
    values = ", ".join(f"{m} {v:.3f}" for m, v in zip(overall["metric"], overall["value"], strict=True))
    return f"{values}; {rows['seconds'].iloc[0]:.0f} s, {rows['memory_gb'].iloc[0]:.1f} GB"


def _keep(embedding: Embedding, path: Path) -> None:
    """Write an embedding, in the order of the data set's cells, for measures that are taken later; one that failed leaves nothing."""
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
    _write(ordered(pd.concat([rest, scores.merge(runs, on="method")], ignore_index=True)))


def _write(table: pd.DataFrame) -> None:
    table[COLUMNS].to_csv(RESULT, index=False)
    compare_page.write(table, RESULT.parent)


if __name__ == "__main__":
    main()
