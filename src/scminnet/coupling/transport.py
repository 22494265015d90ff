"""Entropic optimal transport between weighted points, balanced or unbalanced, by POT."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import ot

#: Iterations of Sinkhorn's algorithm, and the change of the marginals at which it stops before.
MAX_ITERATIONS = 30
TOLERANCE = 1e-4


class Scalings(NamedTuple):
    """Logarithms of the two scalings of a plan.

    ``log plan = log a[:, None] + log b + first[:, None] + second - cost / epsilon``, with the masses ``a`` and ``b``.
    """

    first: np.ndarray
    second: np.ndarray


def sinkhorn(
    cost: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    epsilon: float,
    rho: float | None = None,
    start: Scalings | None = None,
) -> tuple[np.ndarray, Scalings]:
    """Return the transport plan between weighted points and its scalings.

    Parameters
    ----------
    cost
        Points of one side x points of the other, at least 0, float32. The kernel ``exp(-cost / epsilon)`` must stay
        within float32, so the largest cost may be about 80 ``epsilon``.
    a, b
        Mass of each point, float32. Each sums to 1.
    epsilon
        Weight of the entropy, in units of the cost. A smaller one couples fewer points.
    rho
        Price of mass without a partner, in units of the cost. ``None``: all mass is transported.
    start
        Scalings of a similar plan, which save iterations.

    Returns
    -------
    The plan, as ``cost``, and its scalings.
    """
    options: dict[str, Any] = {"reg": epsilon, "numItermax": MAX_ITERATIONS, "stopThr": TOLERANCE, "log": True}
    # of the two, the unbalanced solver alone takes the masses out of the scalings
    masses = Scalings(np.log(a), np.log(b)) if rho is None else Scalings(np.zeros_like(a), np.zeros_like(b))
    if start is not None:
        options["warmstart"] = tuple(s + m for s, m in zip(start, masses, strict=True))
    with warnings.catch_warnings():
        # POT warns if it stops at the largest number of iterations, which is precise enough here
        warnings.filterwarnings("ignore", module="ot")
        if rho is None:
            plan, log = ot.bregman.sinkhorn_knopp(a, b, cost, warn=False, **options)
            found = Scalings(_log(log["u"]), _log(log["v"]))
        else:
            plan, log = ot.unbalanced.sinkhorn_knopp_unbalanced(a, b, cost, reg_m=rho, reg_type="kl", **options)
            found = Scalings(np.asarray(log["logu"]), np.asarray(log["logv"]))
    return plan, Scalings(*(f - m for f, m in zip(found, masses, strict=True)))


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, np.finfo(np.float32).tiny))
