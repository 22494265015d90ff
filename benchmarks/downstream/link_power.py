"""Tests and rankings of links that were tried, on simulated data with known regulating peaks.

Run from the root of the repository::

    python -m benchmarks.downstream.link_power --seeds 3

``tl.cre_links`` has the last of the tests. It was chosen on seeds 0 and 1, so by default seeds 2 to 4 are measured. It
writes ``link_power.csv`` (one row a seed, setting, method and measure) and ``link_power.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import stats
from scipy.special import logsumexp
from sklearn.metrics import average_precision_score

import scminnet as mn
from benchmarks.downstream import simulated_query
from benchmarks.downstream.link_score import SIZES, queries
from benchmarks.downstream.link_truth import with_truth
from benchmarks.downstream.simulated_query import TYPE
from benchmarks.shared import command_line
from benchmarks.shared.pages import RESULTS
from benchmarks.shared.tables import mean_and_deviation
from scminnet.tl._conditional import conditional_correlation, in_place
from scminnet.tl._correlation import Columns, correlate_pairs, prepare
from scminnet.tl._null import false_discovery_rate

FDR = 0.05
#: Peaks of other chromosomes that take the place of each pair's peak.
N_OTHERS = 50
#: Strata of contact whose share of true links is learned, by the share of p above the limit.
N_STRATA, ABOVE = 10, 0.5
#: Effects of a gene in the regression by single effects, and rounds of its fit.
N_EFFECTS, N_ROUNDS = 5, 30
#: Prior variances of an effect, of which the likeliest is taken; 0 is no effect.
VARIANCES = np.array([0, 0.01, 0.03, 0.1, 0.3])
#: Columns that identify a measurement.
RUN = ["links", "seed", "setting", "part", "method"]


class Pairs(NamedTuple):
    """Pairs of a gene and a peak, sorted by gene, with their truth."""

    table: pd.DataFrame
    genes: Columns
    peaks: Columns
    first: np.ndarray
    second: np.ndarray
    #: peaks of other chromosomes for each pair
    others: np.ndarray
    #: indicators of the bulks' types, bulks x types
    types: np.ndarray

    @property
    def by_gene(self) -> list[np.ndarray]:
        """Rows of each gene."""
        return np.split(np.arange(len(self.first)), np.flatnonzero(np.diff(self.first)) + 1)


def settings(query: simulated_query.Query) -> Iterator[tuple[str, MuData]]:
    """Yield the values over which links are computed; the first as by README and command line."""
    yield "60 bulks, smoothed over 10", simulated_query.bulks(query.unpaired, 60, n_neighbors=10)
    yield "100 bulks", simulated_query.bulks(query.unpaired, 100)
    yield "single cells, paired", simulated_query.single_cells(query, matched=False)


def read(values: MuData, query: simulated_query.Query, seed: int) -> Pairs:
    """Link by the package, and read what its test is made of."""
    mn.tl.cre_links(values, query.tss, null=None)
    table = with_truth(values.uns["cre_links"], query.regulation)
    names = {m: values[m].var_names for m in ("rna", "atac")}
    first, second = names["rna"].get_indexer(table["gene"]), names["atac"].get_indexer(table["peak"])
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    chrom = names["atac"].str.split(":").str[0].to_numpy()
    peaks = prepare(values["atac"].X, "spearman")
    rng = np.random.default_rng(seed)
    others = np.empty((len(first), N_OTHERS), dtype=np.int64)
    for here in np.unique(chrom[second]):
        pairs = np.flatnonzero(chrom[second] == here)
        others[pairs] = rng.choice(np.flatnonzero((chrom != here) & (peaks.norm > 0)), (len(pairs), N_OTHERS))
    # single cells have the types of the query
    of_values = values.obs[TYPE] if TYPE in values.obs else query.paired.obs[TYPE]
    types = pd.get_dummies(of_values.astype(str)).loc[values["rna"].obs_names].to_numpy(np.float64)
    table = table.iloc[order].reset_index(drop=True)
    return Pairs(table, prepare(values["rna"].X, "spearman"), peaks, first, second, others, types)


def share_as_large(values: np.ndarray, null: np.ndarray, alternative: str) -> np.ndarray:
    """Return p: the share of the null that is as large, or as far from 0."""
    far = np.abs if alternative == "two-sided" else np.asarray
    null = np.sort(far(null))
    return (1 + len(null) - np.searchsorted(null, far(values))) / (1 + len(null))


def tests(pairs: Pairs) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the p of each test, and in which quarter the gene is by the spread of its null."""
    r = pairs.table["r"].to_numpy()
    repeated = np.repeat(pairs.first, N_OTHERS)
    of_others = correlate_pairs(pairs.genes, pairs.peaks, repeated, pairs.others.ravel())[0].reshape(pairs.others.shape)
    given = conditional_correlation(r, pairs.first, pairs.second, pairs.peaks)
    given_others = in_place(r, pairs.first, pairs.second, pairs.others, pairs.genes, pairs.peaks)
    for name, value, null in (("r", r, of_others), ("r_conditional", given, given_others)):
        own, own_null, spread = np.empty_like(value), np.empty_like(null), np.empty_like(value)
        for rows in pairs.by_gene:
            mean, spread[rows] = null[rows].mean(), null[rows].std()
            own[rows] = (value[rows] - mean) / spread[rows]
            own_null[rows] = (null[rows] - mean) / spread[rows, None]
        quarter = np.searchsorted(np.quantile(spread, [0.25, 0.5, 0.75]), spread)
        yield f"{name}, null of the gene", share_as_large(own, own_null.ravel(), "greater"), quarter
        if name == "r_conditional":
            yield f"{name}, two-sided", share_as_large(value, null.ravel(), "two-sided"), quarter
        yield name, share_as_large(value, null.ravel(), "greater"), quarter


def learned_weights(p: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """Return the pairs called with weights learned from p in strata of contact (Hu et al. 2010)."""
    stratum = (stats.rankdata(contact, method="ordinal") - 1).astype(np.int64) * N_STRATA // len(contact)
    of_stratum = [p[stratum == s] for s in range(N_STRATA)]
    null = np.array([min((1 + (part > ABOVE).sum()) / ((1 - ABOVE) * len(part)), 1) for part in of_stratum])[stratum]
    with np.errstate(divide="ignore"):
        weighted = p * null / (1 - null) * (1 - null.mean())
    below = np.flatnonzero(np.sort(weighted) <= FDR * np.arange(1, len(p) + 1) / len(p))
    return weighted <= (np.sort(weighted)[below[-1]] if len(below) else -1.0)


def by_stages(p: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """Return the pairs called by testing genes, then pairs of the genes found (Benjamini and Bogomolov 2014)."""
    frame = pd.DataFrame({"gene": gene, "p": p})
    of_gene = frame.groupby("gene")["p"].agg(lambda p: (np.sort(p) * len(p) / np.arange(1, len(p) + 1)).min())
    found = stats.false_discovery_control(of_gene) <= FDR
    level = FDR * found.sum() / len(found)
    chosen = frame["gene"].isin(of_gene.index[found])
    rate = frame.groupby("gene")["p"].transform(stats.false_discovery_control)
    return (chosen & (rate <= level)).to_numpy()


def calls(pairs: Pairs) -> Iterator[dict[str, object]]:
    """Yield what each test calls: without weights, with weights, and by stages."""
    table = pairs.table
    regulates, distal = table["regulates"].to_numpy(), ~table["promoter"].to_numpy()
    weight = (table["contact"] * table["contact_share"]).to_numpy()
    for test, p, quarter in tests(pairs):
        weighted = np.minimum(p / (weight / weight.mean()), 1)
        for how, called in {
            "": false_discovery_rate(p) <= FDR,
            ", stages": by_stages(p, pairs.first),
            ", weights and stages": by_stages(weighted, pairs.first),
            ", learned weights": learned_weights(p, weight),
            ", weights": false_discovery_rate(p, weight) <= FDR,
        }.items():
            yield {
                "part": "calls",
                "method": test + how,
                "called": called.sum(),
                "false": (called & ~regulates).sum(),
                "power": called[regulates].mean(),
                "power, distal": called[regulates & distal].mean(),
                "p < 0.05": (p[~regulates] < 0.05).mean(),
                "p < 0.05, weakest": (p[~regulates & (quarter == 0)] < 0.05).mean(),
                "p < 0.05, strongest": (p[~regulates & (quarter == 3)] < 0.05).mean(),
            }


def dense(columns: Columns) -> np.ndarray:
    """Columns of mean 0 and length 1."""
    values = columns.values.toarray() - columns.mean
    return np.divide(values, columns.norm, out=np.zeros_like(values), where=columns.norm > 0)


def within_types(values: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Residuals after the means of the types, of length 1."""
    rest = values - types @ (np.linalg.pinv(types) @ values)
    return rest / np.maximum(np.linalg.norm(rest, axis=0), 1e-9)


def single_effects(peaks: np.ndarray, gene: np.ndarray) -> np.ndarray:
    """Sum of single effects (SuSiE, Wang et al. 2020): probability of an effect, with the sign of its mean.

    A short implementation, fitted by iterative Bayesian stepwise selection. The prior variance is that of the grid
    ``VARIANCES`` under which each effect is likeliest.
    """
    n, size = peaks.shape
    peaks, gene = peaks * np.sqrt(n), gene * np.sqrt(n)
    probability, mean, noise = np.full((N_EFFECTS, size), 1 / size), np.zeros((N_EFFECTS, size)), 1.0
    variance = np.zeros(N_EFFECTS)
    for _ in range(N_ROUNDS):
        for k in range(N_EFFECTS):
            others = (probability * mean).sum(axis=0) - probability[k] * mean[k]
            estimate = peaks.T @ (gene - peaks @ others) / n
            shrink = (VARIANCES / (VARIANCES + noise / n))[:, None]
            log_odds = 0.5 * np.log1p(-shrink) + 0.5 * estimate**2 * n / noise * shrink
            best = np.argmax(logsumexp(log_odds, axis=1))
            probability[k] = np.exp(log_odds[best] - logsumexp(log_odds[best]))
            mean[k], variance[k] = shrink[best] * estimate, VARIANCES[best]
        effect = (probability * mean).sum(axis=0)
        noise = max(float(np.mean((gene - peaks @ effect) ** 2)), 0.01)
    return (1 - (1 - probability[variance > 0]).prod(axis=0)) * np.sign(effect)


def rankings(pairs: Pairs) -> Iterator[dict[str, object]]:
    """Yield how well correlations of several kinds rank pairs."""
    r = pairs.table["r"].to_numpy()
    found = {"r": r, "r_conditional": conditional_correlation(r, pairs.first, pairs.second, pairs.peaks)}
    genes, peaks = dense(pairs.genes), dense(pairs.peaks)
    inner_genes, inner_peaks = within_types(genes, pairs.types), within_types(peaks, pairs.types)
    found["r within types"] = np.einsum("ij,ij->j", inner_genes[:, pairs.first], inner_peaks[:, pairs.second])
    found["both r"] = sum(found[name] / found[name].std() for name in ("r_conditional", "r within types"))
    found["single effects"] = np.empty_like(r)
    for rows in pairs.by_gene:
        found["single effects"][rows] = single_effects(peaks[:, pairs.second[rows]], genes[:, pairs.first[rows[0]]])
    regulates, distal = pairs.table["regulates"], ~pairs.table["promoter"].to_numpy()
    for name, value in found.items():
        yield {
            "part": "rankings",
            "method": name,
            "all": average_precision_score(regulates, value),
            "distal": average_precision_score(regulates[distal], value[distal]),
        }


def write(table: pd.DataFrame) -> None:
    """Write the table and the page."""
    table.to_csv(RESULTS / "link_power.csv", index=False)
    text = PAGE.format(n_seeds=table["seed"].nunique(), **SIZES)
    for part, heading in (("calls", "Calls at a nominal false discovery rate of 5 %"), ("rankings", "Rankings")):
        text += f"## {heading}\n\n{NOTES[part]}\n\n"
        for (links, setting), rows in table[table["part"] == part].groupby(["links", "setting"], sort=False):
            wide = rows.pivot_table("value", ["seed", "method"], "measure", sort=False)
            if part == "calls":
                wide["false share"] = (wide["false"] / wide["called"]).where(wide["called"] > 0)
                uniform = [column for column in wide if column.startswith("p < 0.05")]
                shares = ["false share", "power", "power, distal", *uniform]
                shown = mean_and_deviation(wide.groupby("method", sort=False)[["called"]], 0)
                shown = shown.join(mean_and_deviation(wide.groupby("method", sort=False)[shares]))
            else:
                shown = mean_and_deviation(wide.groupby("method", sort=False)[["all", "distal"]])
            text += f"### Links {links}; {setting}\n\n{shown.rename_axis('').to_markdown()}\n\n"
    (RESULTS / "link_power.md").write_text(text.rstrip() + "\n")


PAGE = """# More power for links: what was tried

Simulated cells ({n_cells:,}, {n_genes} genes, {n_peaks:,} peaks); half of the batches are the paired reference, the
others the query, whose modalities were embedded apart. {n_seeds} seeds, mean ± standard deviation; none of them served
to choose. Written by `python -m benchmarks.downstream.link_power`.

"""

NOTES = {
    "calls": f"""The null is what peaks of other chromosomes would have in the place of the pair's peak, {N_OTHERS} for
each pair: its correlation with the gene (r), or its coefficient beside the gene's other peaks (r_conditional). They are
compared over all genes, or after division by the gene's own standard deviation ("null of the gene"). Tests are for
values above the null but for one. Rates are by Benjamini and Hochberg over all pairs. "weights": p is divided by
contact times contact share, of mean 1. "learned weights": by the share of true links in ten strata of the same product,
as p tells it. "stages": genes are tested by Simes' method, then pairs of the genes found. "p < 0.05" is the share of
the pairs that do not regulate; of all genes, and of the quarters with the weakest and the strongest null.
`tl.cre_links` has "r_conditional, weights", and matches peaks by accessibility as well.""",
    "rankings": """Areas under the precision-recall curve. "r within types" is the correlation of residuals after the
means of the types; "both r" adds it to r_conditional, both scaled. "single effects" are the posterior inclusion
probabilities of the sum of single effects (SuSiE), in a short implementation, as no library in Python serves.""",
}


def main() -> None:
    """Measure tests and rankings."""
    parser = command_line.parser(__doc__, seeds=3)
    parser.set_defaults(first_seed=2)
    arguments = parser.parse_args()
    command_line.quiet()
    logging.getLogger("scminnet").setLevel(logging.ERROR)

    measured = []
    for links, seed, query in queries(command_line.seeds_of(arguments)):
        for setting, values in settings(query):
            pairs = read(values, query, seed)
            run = {"links": links, "seed": seed, "setting": setting}
            measured += [run | found for found in (*calls(pairs), *rankings(pairs))]
        print(f"links {links}, seed {seed}", flush=True)
        table = pd.DataFrame(measured).melt(RUN, var_name="measure").dropna(subset=["value"])
        write(table.assign(value=table["value"].astype(np.float64).round(5)))


if __name__ == "__main__":
    main()
