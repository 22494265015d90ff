"""A batch over several processes: each holds a part of its cells, and all see the whole of what the losses compare.

Every process then has the loss that one process with the whole batch would have, and the mean of their gradients, which Lightning's DDP
takes, is that process's gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F


class _Gather(torch.autograd.Function):
    """Stack what the processes hold, and send each its part of all gradients (torch's own form is deprecated)."""

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
    """Which of how many processes this is; by default the only one."""

    rank: int = 0
    size: int = 1

    def sizes(self, n: int) -> list[int]:
        """Return how many of ``n`` rows each process holds: nearly as many each, in order."""
        return [n // self.size + (rank < n % self.size) for rank in range(self.size)]

    def own(self, n: int) -> slice:
        """Return which of ``n`` rows this process holds."""
        sizes = self.sizes(n)
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def whole(self, own: Tensor, n: int) -> Tensor:
        """Put the rows of all processes together, in order; gradients flow back to where they belong.

        Parameters
        ----------
        own
            This process's rows.
        n
            Rows of all processes.
        """
        if self.size == 1 or n == 0:
            return own
        sizes = self.sizes(n)
        # the exchange needs parts of one size
        parts = _Gather.apply(F.pad(own, (0, 0, 0, sizes[0] - len(own))), *self)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def batch_norm(self, x: Tensor, norm: BatchNorm) -> Tensor:
        """Normalise in training by the moments of all processes' rows; torch's ``SyncBatchNorm`` needs a GPU.

        Parameters
        ----------
        x
            This process's rows x units.
        norm
            Scales, shifts and running moments, which are moved on.
        """
        n_units = x.shape[1]
        mean = x.sum(0) / max(len(x), 1)
        squares = (x - mean).square().sum(0)
        parts = _Gather.apply(torch.cat([x.new_full((1,), len(x)), mean, squares]), *self)
        counts, means, squares = parts[:, :1], parts[:, 1 : n_units + 1], parts[:, n_units + 1 :]
        n = counts.detach().sum()
        if n < 2:
            # one cell has no variance of its own: use the running one
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        mean = (counts * means).sum(0) / n
        variance = (squares + counts * (means - mean).square()).sum(0) / n
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * n / (n - 1), norm.momentum)
            norm.num_batches_tracked += 1
        return (x - mean) * (variance + norm.eps).rsqrt() * norm.weight + norm.bias


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that keeps running moments, which torch's need not."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float


#: The only process there is.
ALONE = Processes()
