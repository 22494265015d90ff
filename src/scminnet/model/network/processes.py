"""A batch that is spread over several processes. Each holds a part of the cells, and the losses compare all cells.

Every process then has the loss that a single process with the whole batch would have. Lightning's DDP averages the
gradients of the processes, which gives the gradient of the single process.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F


class _Gather(torch.autograd.Function):
    """Stack the tensors of all processes. Each process gets the gradients of its own part, summed over all processes.

    torch's own version is deprecated.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int, size: int) -> Tensor:
        ctx.rank = rank
        parts = [torch.empty_like(own) for _ in range(size)]
        distributed.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[ctx.rank], None, None


class Processes(NamedTuple):
    """Rank of this process, and the number of processes. By default there is only one."""

    rank: int = 0
    size: int = 1

    def sizes(self, n: int) -> list[int]:
        """Return how many of ``n`` rows each process holds. The numbers differ by at most one."""
        return [n // self.size + (rank < n % self.size) for rank in range(self.size)]

    def own(self, n: int) -> slice:
        """Return the slice of ``n`` rows that this process holds."""
        sizes = self.sizes(n)
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def whole(self, own: Tensor, n: int) -> Tensor:
        """Join the rows of all processes, in order. Gradients flow back to the process of each row.

        Parameters
        ----------
        own
            This process's rows.
        n
            Number of rows of all processes.
        """
        if self.size == 1 or n == 0:
            return own
        sizes = self.sizes(n)
        # the exchange needs parts of equal size
        parts = _Gather.apply(F.pad(own, (0, 0, 0, sizes[0] - len(own))), *self)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def batch_norm(self, x: Tensor, norm: BatchNorm) -> Tensor:
        """Normalise in training by the moments of all processes' rows. torch's ``SyncBatchNorm`` needs a GPU.

        Parameters
        ----------
        x
            This process's rows x units.
        norm
            Scales, shifts and running moments. The running moments are updated.
        """
        n_units = x.shape[1]
        mean = x.sum(0) / max(len(x), 1)
        squares = (x - mean).square().sum(0)
        parts = _Gather.apply(torch.cat([x.new_full((1,), len(x)), mean, squares]), *self)
        counts, means, squares = parts[:, :1], parts[:, 1 : n_units + 1], parts[:, n_units + 1 :]
        n = counts.detach().sum()
        if n < 2:
            # a single cell has no variance, so the running moments are used
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        mean = (counts * means).sum(0) / n
        variance = (squares + counts * (means - mean).square()).sum(0) / n
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * n / (n - 1), norm.momentum)
            norm.num_batches_tracked += 1
        return (x - mean) * (variance + norm.eps).rsqrt() * norm.weight + norm.bias


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that always has running moments. In torch's class they are optional."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float


#: The only process.
ALONE = Processes()
