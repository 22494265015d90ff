"""Who is coupled, by which values, and who is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scminnet.model.data.moments import feature_moments
from scminnet.model.network.canonical import Components, RowsAndMoments
from scminnet.model.training import coupled_cells
from scminnet.model.training.cell_numbers import labels_of_partners, nodes_of_partners, partner_table
from scminnet.model.training.coupled_cells import (
    MIN_CELLS,
    N_PARTNERS,
    CoupledCells,
    Part,
    _common_groups,
    couple_parts,
    sample_parts,
)
from scminnet.model.training.training_data import TrainingData

from ...coupling.conftest import links_of


def part(n: int, start: int = 0, group: int = 0) -> Part:
    at = np.arange(n)
    return Part(np.zeros((n, 2), np.float32), None, at, start + at, np.full(n, group), at % 3)


def test_few_cells_are_all_taken() -> None:
    parts = [part(30), part(20, 100)]
    for own, taken in zip(parts, sample_parts(parts, links_of({(0, 0): 1.0}, (2, 2)), (0, 0)), strict=True):
        np.testing.assert_array_equal(own.cells, taken.cells)


@pytest.mark.parametrize(
    ("n_links", "limit"), [(5, "MAX_CELLS_FEW_LINKS"), (60, "MAX_CELLS_MANY_LINKS")], ids=["few", "many"]
)
def test_a_sample_is_drawn_of_all_parts_together(n_links: int, limit: str, monkeypatch) -> None:
    monkeypatch.setattr(coupled_cells, limit, 200)
    links = links_of({(i, i): 1.0 for i in range(n_links)}, (n_links, n_links))
    parts = [part(1000, 0, 1), part(10, 5000, 2), part(500, 7000, 3)]
    sampled = sample_parts(parts, links, (0, 0))
    assert [len(p.rows) for p in sampled][0] > [len(p.rows) for p in sampled][2] > len(sampled[1].rows)
    assert sum(len(p.rows) for p in sampled) == 200
    for own, taken in zip(parts, sampled, strict=True):
        # what tells of a cell stays together, in order, each once
        assert (np.diff(taken.rows) > 0).all()
        np.testing.assert_array_equal(taken.cells, own.cells[taken.rows])
        np.testing.assert_array_equal(taken.types, own.types[taken.rows])
        np.testing.assert_array_equal(taken.groups, own.groups[taken.rows])
    again, other = sample_parts(parts, links, (0, 0)), sample_parts(parts, links, (0, 1))
    np.testing.assert_array_equal(again[0].rows, sampled[0].rows)
    assert not np.array_equal(other[0].rows[:20], sampled[0].rows[:20])


def grouped(first: dict[int, int], second: dict[int, int]) -> list[np.ndarray]:
    return _common_groups([np.repeat(list(counts), list(counts.values())) for counts in (first, second)])


def test_groups_that_both_modalities_have_are_kept() -> None:
    first, second = grouped({0: 80, 1: 60, 2: 90}, {0: 50, 1: 49, 3: 70})
    np.testing.assert_array_equal(first, np.repeat([0, -1], [80, 150]))
    np.testing.assert_array_equal(second, np.repeat([0, -1], [50, 119]))


def test_too_few_cells_of_the_rest_join_the_largest_group() -> None:
    first, second = grouped({0: 80, 1: 100, 2: 10}, {0: 90, 1: 150, 3: 200})
    np.testing.assert_array_equal(first, np.repeat([0, 1, 1], [80, 100, 10]))
    np.testing.assert_array_equal(second, np.repeat([0, 1, 1], [90, 150, 200]))


def test_no_common_group_makes_one_of_all() -> None:
    first, second = grouped({0: 80, 1: 20}, {2: 90})
    assert set(first) == set(second) == {-1}


counts = st.dictionaries(st.integers(0, 4), st.integers(1, 120), min_size=1, max_size=5)


@given(first=counts, second=counts)
def test_every_group_has_cells_of_both_sides(first: dict[int, int], second: dict[int, int]) -> None:
    if min(sum(first.values()), sum(second.values())) < MIN_CELLS:
        return
    sides = grouped(first, second)
    assert set(sides[0]) == set(sides[1])
    for side in sides:
        assert min(np.unique(side, return_counts=True)[1]) >= MIN_CELLS


def sides(n: int = 120, *, constant: int = 0) -> tuple[list[Part], list[Part], tuple[Components, Components]]:
    """Two modalities of the same cells, of which the first ``constant`` features of the second do not vary."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n, 3))
    parts, fitted = [], []
    for start, n_features in ((0, 6), (1000, 8)):
        x = (latent @ np.eye(3, n_features) * 2 + rng.random((n, n_features)) + 9).astype(np.float32)
        if start:
            x[:, :constant] = 4
        own = np.arange(n)
        parts.append([Part(x, None, own, start + own, np.zeros(n, np.int64), np.full(n, -1))])
        weights = np.eye(n_features, 5, dtype=np.float32)
        fitted.append(Components(weights, np.ones(5), feature_moments(x), np.zeros(x.shape[1], bool), 5))
    return parts[0], parts[1], (fitted[0], fitted[1])


def test_partners_are_numbers_of_the_training_and_true_ones_are_frequent() -> None:
    first, second, fitted = sides()
    links = links_of({(i, i): 1.0 for i in range(3)}, (6, 8))
    found = couple_parts(first, second, fitted, links, names=("a", "b"), rho=1.0, seed=0)
    np.testing.assert_array_equal(found.cells[0], np.arange(120))
    np.testing.assert_array_equal(found.cells[1], 1000 + np.arange(120))
    assert found.partners[0].shape == (120, N_PARTNERS)
    assert np.isin(found.partners[0], found.cells[1]).all()
    assert np.isin(found.partners[1], found.cells[0]).all()
    values = second[0].matrix[:, :3]
    apart = np.linalg.norm(values[:, None] - values[found.partners[0] - 1000], axis=2)
    chance = np.linalg.norm(values[:, None] - values[::-1][:, None], axis=2)
    assert apart.mean() < 0.6 * chance.mean()


def test_links_of_constant_features_are_left_out_or_refused() -> None:
    links = links_of({(i, i): 1.0 for i in range(4)}, (6, 8))
    first, second, fitted = sides(constant=1)
    found = couple_parts(first, second, fitted, links, names=("a", "b"), rho=1.0, seed=0)
    assert found.trust.links.by_link.shape == (3,)
    first, second, fitted = sides(constant=2)
    with pytest.raises(ValueError, match=r"2 of 4 links between 'a' and 'b' join features that vary.*at least 3"):
        couple_parts(first, second, fitted, links, names=("a", "b"), rho=1.0, seed=0)


def test_borrowed_components_couple_but_do_not_judge_the_links(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, fitted = sides()
    fitted = fitted[0]._replace(n_own=3), fitted[1]
    judged, judge = [], coupled_cells.link_agreement

    def seen(*given, **kwargs):
        judged.append([side.scores.shape[1] for side in given[:2]])
        return judge(*given, **kwargs)

    monkeypatch.setattr(coupled_cells, "link_agreement", seen)
    links = links_of({(i, i): 1.0 for i in range(3)}, (6, 8))
    found = couple_parts(first, second, fitted, links, names=("a", "b"), rho=1.0, seed=0)
    assert judged == [[3, 5]]
    assert found.coupling.covariance.shape == (5, 5)


def test_a_part_is_centred_by_itself() -> None:
    first, second, fitted = sides()
    links = links_of({(i, i): 1.0 for i in range(3)}, (6, 8))
    own, half = second[0], np.arange(120) < 60
    covariances = []
    for shift in (0, 50):
        # half of the cells are a query's, whose values are shifted as a whole
        x = own.matrix + np.float32(shift)
        query = own.take(~half)._replace(matrix=x, moments=feature_moments(x))
        found = couple_parts(first, [own.take(half), query], fitted, links, names=("a", "b"), rho=1.0, seed=0)
        covariances.append(found.coupling.covariance)
    np.testing.assert_allclose(*covariances, atol=0.1)


def test_values_are_summed_by_the_weights_of_links() -> None:
    first, _, fitted = sides()
    links = links_of({(0, 0): 1.0, (1, 0): 0.25, (2, 1): 0.5}, (6, 2))
    _, linked = coupled_cells._read(first[0], fitted[0], links)
    x = first[0].matrix
    expected = np.stack([x[:, 0] + 0.25 * x[:, 1], x[:, 2]], axis=1)
    np.testing.assert_allclose(linked, (expected - expected.mean(0)) / expected.std(0), atol=1e-3)


def coupled(cells: tuple[list[int], list[int]], partners: tuple[list[list[int]], list[list[int]]]) -> CoupledCells:
    arrays = [tuple(map(np.array, given)) for given in (cells, partners)]
    return CoupledCells(None, *arrays, trust=None)  # type: ignore[arg-type]  # only cells and partners are read


def test_partner_table_and_nodes() -> None:
    found = coupled(([0, 3], [4, 5]), ([[4, 5], [5, 5]], [[3, 0], [0, 3]]))
    table = partner_table({(0, 1): found}, 6)
    assert set(table) == {(0, 1), (1, 0)}
    np.testing.assert_array_equal(table[0, 1][0], [0, -1, -1, 1, -1, -1])
    np.testing.assert_array_equal(table[1, 0][0], [-1, -1, -1, -1, 0, 1])
    np.testing.assert_array_equal(table[1, 0][1], found.partners[1])
    # cells 4 and 5 are not on the graph: they stand where their first partners do
    np.testing.assert_array_equal(nodes_of_partners(np.array([7, 8, -1, 9, -1, -1]), table), [7, 8, -1, 9, 9, 7])


def test_cells_without_a_label_have_that_of_most_partners() -> None:
    found = coupled(([0, 1, 2], [3, 4, 5]), ([[3, 3, 4, 5]] * 3, [[0, 0, 0, 1], [0, 1, 2, 2], [2, 2, 2, 2]]))
    table = partner_table({(0, 1): found}, 6)
    labels = np.array([1, 0, -1, -1, -1, -1])
    # three of the first one's partners have type 1; those of the second disagree; the third has none with a label
    np.testing.assert_array_equal(labels_of_partners(labels, table, 2), [1, 0, -1, 1, -1, -1])
    np.testing.assert_array_equal(labels, [1, 0, -1, -1, -1, -1])


def test_query_cells_are_numbered_after_the_reference() -> None:
    positions = np.array([[0, 1], [1, -1], [-1, 0]])
    shapes = {"b": (3, 2), "a": (1, 4)}
    moments = np.zeros(1), np.ones(1)
    query = {m: RowsAndMoments(np.zeros(shape), moments) for m, shape in shapes.items()}
    none = np.array([])
    matrices = {m: np.zeros((2, 1)) for m in ("a", "b")}
    data = TrainingData(["a", "b"], {}, matrices, positions, none, none, none, none, query)
    assert data.first_of_query() == {"b": 3, "a": 6}
    found = data.numbered()
    np.testing.assert_array_equal(found[:3], positions)
    np.testing.assert_array_equal(found[3:], [[-1, 2], [-1, 3], [-1, 4], [2, -1]])
