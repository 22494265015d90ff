"""Affinities and partners against the plan that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from scminnet.coupling import couple as couple_module
from scminnet.coupling.couple import couple
from scminnet.coupling.coupling import Coupling

from .conftest import two_views


@pytest.fixture
def with_plans(n_links: int, monkeypatch) -> tuple[Coupling, list[np.ndarray], list[tuple]]:
    """A coupling within two groups, with the plans of its last transport and the metacells of each group."""
    transport, seen = couple_module._transport, []

    def spy(points, types, cells, blocks, *rest):
        plans, scalings = transport(points, types, cells, blocks, *rest)
        seen.append((plans, blocks))
        return plans, scalings

    monkeypatch.setattr(couple_module, "_transport", spy)
    truth = two_views(n_links, n=300)
    donor = np.arange(300) % 3 == 0
    # some types are unknown
    types = np.where(np.arange(300) % 5 == 0, -1, truth.types)
    first = truth.first._replace(group=donor.astype(np.int64), types=types)
    second = truth.second._replace(group=donor[truth.order].astype(np.int64), types=types[truth.order])
    coupling = couple(first, second, truth.weights)
    return coupling, *seen[-1]


def test_affinities_are_the_plan_by_its_masses(with_plans) -> None:
    coupling, plans, blocks = with_plans
    first, second = coupling.points
    assert len(blocks) == 2
    for plan, (rows, columns) in zip(plans, blocks, strict=True):
        a, b = (p.size[at] / p.size[at].sum() for p, at in zip(coupling.points, (rows, columns), strict=True))
        expected = plan / np.outer(a, b)
        # one cell of each metacell
        left = np.array([np.flatnonzero(first.code == m)[0] for m in rows])
        right = np.array([np.flatnonzero(second.code == m)[-1] for m in columns])
        found = coupling.affinities(left, right)
        assert found.dtype == np.float32
        assert found.max() == pytest.approx(1)
        np.testing.assert_allclose(found, expected / expected.max(), rtol=2e-3, atol=1e-7)


def test_cells_of_a_metacell_have_the_same_affinities(with_plans) -> None:
    coupling = with_plans[0]
    everyone = np.arange(300)
    found = coupling.affinities(everyone, everyone)
    for metacell in range(len(coupling.points[0].size)):
        own = found[coupling.points[0].code == metacell]
        assert (own == own[0]).all()
    # the order of the cells asked for does not matter
    asked = np.array([5, 290, 17])
    np.testing.assert_allclose(coupling.affinities(asked, everyone)[1], found[290] / found[asked].max(), rtol=1e-4)
    assert coupling.affinities(asked, everyone[:0]).shape == (3, 0)


@pytest.mark.parametrize("side", [0, 1])
def test_partners_are_drawn_as_the_plan_says(with_plans, side: int, monkeypatch) -> None:
    monkeypatch.setattr("scminnet.coupling.coupling._BLOCK", 128)  # several blocks
    coupling, plans, blocks = with_plans
    own, other = coupling.points[side], coupling.points[1 - side]
    drawn = coupling.draw_partners(side, 400, seed=0)
    assert drawn.shape == (300, 400)
    assert drawn.dtype == np.int64
    counts = np.zeros((len(own.size), 300))
    np.add.at(counts, (own.code[:, None], drawn), 1)
    values = []
    for plan, block in zip(plans, blocks, strict=True):
        mass = plan if side == 0 else plan.T
        for row, metacell in enumerate(block[side]):
            # the mass of a metacell is shared by its cells
            expected = np.zeros(300)
            for column, partner in enumerate(block[1 - side]):
                expected[other.code == partner] = mass[row, column] / other.size[partner]
            expected *= counts[metacell].sum() / expected.sum()
            # cells that are hardly ever drawn count as one
            rare = expected < 5
            assert not counts[metacell][expected == 0].any()
            bins = [np.append(x[~rare], x[rare].sum()) for x in (counts[metacell], expected)]
            keep = bins[1] >= 1
            values.append(chisquare(bins[0][keep], bins[1][keep], sum_check=False).pvalue)
    # p-values of right draws are uniform
    assert np.mean(values) > 0.35
    assert np.mean(np.array(values) < 0.01) < 0.05


def test_partners_follow_from_the_seed(with_plans) -> None:
    coupling = with_plans[0]
    np.testing.assert_array_equal(coupling.draw_partners(0, 8, 1), coupling.draw_partners(0, 8, 1))
    assert not np.array_equal(coupling.draw_partners(0, 8, 1), coupling.draw_partners(0, 8, 2))
