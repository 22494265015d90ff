"""Order of points along the tree of Ward's hierarchical clustering."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import linkage

#: Up to this many points there is a single Ward tree. scipy stores their distances twice as float64 (134 MB, 2 s).
EXACT_POINTS = 4096


def ward_order(X: np.ndarray, *, seed: int = 0, exact_points: int = EXACT_POINTS) -> np.ndarray:
    """Order points so that neighbours in the order are near in space.

    The order is that of the leaves of Ward's tree. The tree does not define which branch of a merge comes first. From
    the last merge to the first, the branches are arranged so that their centroids are nearest, in squared distance, to
    the centroids beside them. In the last merge, the branch with the smaller first coordinate of the centroid comes
    first.

    Beyond ``exact_points`` points, k-means (MiniBatchKMeans) first makes as many clusters as the square root of the
    number of points. Their centroids are ordered as above, then the points of each cluster between those of the
    clusters beside it.

    Parameters
    ----------
    X
        Array (n, d), finite.
    seed
        Seed of k-means.
    exact_points
        Up to this many points all are in one Ward tree. Memory is 8 n² bytes.

    Returns
    -------
    int64 array (n,): the rows of ``X`` in their order.
    """
    return _order(np.asarray(X, dtype=np.float64), None, None, seed, max(2, exact_points))


def _order(
    X: np.ndarray, before: np.ndarray | None, after: np.ndarray | None, seed: int, exact_points: int
) -> np.ndarray:
    """Order points between the point ``before`` on the left and the point ``after`` on the right."""
    if len(X) <= exact_points:
        return _leaves(X, before, after)
    labels = _clusters(X, seed)
    n_clusters = labels.max() + 1
    centroids = np.stack([X[labels == cluster].mean(axis=0) for cluster in range(n_clusters)])
    row = _order(centroids, before, after, seed, exact_points)
    beside = [before, *centroids[row], after]
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    return np.concatenate(
        [
            members[cluster][_order(X[members[cluster]], beside[i], beside[i + 2], seed, exact_points)]
            for i, cluster in enumerate(row)
        ]
    )


def _clusters(X: np.ndarray, seed: int) -> np.ndarray:
    """Label the points by clusters 0, 1, ..., none of which holds more than half of them (or one more)."""
    # imported here because the import takes seconds
    from sklearn.cluster import MiniBatchKMeans

    n_clusters = round(np.sqrt(len(X)))
    labels = MiniBatchKMeans(n_clusters, random_state=seed).fit_predict(X)
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if sizes.max() > len(X) / 2:
        # k-means can not separate identical points, but halving always ends
        order = np.argsort(X[:, X.var(axis=0).argmax()], kind="stable")
        labels = np.zeros(len(X), dtype=np.int64)
        labels[order[len(X) // 2 :]] = 1
    return labels


def _leaves(X: np.ndarray, before: np.ndarray | None, after: np.ndarray | None) -> np.ndarray:
    """Order points by Ward's tree, with branches arranged to fit the points beside them."""
    n = len(X)
    if n < 2:
        return np.arange(n)
    tree = linkage(X, method="ward")
    branches = tree[:, :2].astype(np.int64)
    size = np.concatenate([np.ones(n), tree[:, 3]])
    centroid = np.concatenate([X, np.empty((n - 1, X.shape[1]))])
    for merge, (a, b) in enumerate(branches):
        centroid[n + merge] = (size[a] * centroid[a] + size[b] * centroid[b]) / (size[a] + size[b])

    # the order as a linked list: nodes n, n + 1, ... are the merges, -1 and -2 its ends
    left, right = {2 * n - 2: -1}, {2 * n - 2: -2}
    ends = {-1: before, -2: after}
    for merge in range(n - 2, -1, -1):
        a, b = branches[merge]
        on_left, on_right = left.pop(n + merge), right.pop(n + merge)
        beside = [ends[node] if node < 0 else centroid[node] for node in (on_left, on_right)]
        if _cost(centroid[a], centroid[b], *beside) > _cost(centroid[b], centroid[a], *beside):
            a, b = b, a
        left[a], right[a], left[b], right[b] = on_left, b, a, on_right
        if on_left >= 0:
            right[on_left] = a
        if on_right >= 0:
            left[on_right] = b
    node = next(node for node, neighbor in left.items() if neighbor == -1)
    row = []
    while node >= 0:
        row.append(node)
        node = right[node]
    return np.array(row)


def _cost(a: np.ndarray, b: np.ndarray, before: np.ndarray | None, after: np.ndarray | None) -> float:
    """Return the squared distances at the outer ends of two adjacent branches."""
    if before is None and after is None:
        return float(a[0])
    return sum(float(((x - y) ** 2).sum()) for x, y in ((before, a), (b, after)) if x is not None and y is not None)
