"""What an interrupted training leaves: the model as it was before, and the interruption for the caller."""

from __future__ import annotations

import copy
import io
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import wraps
from typing import Any, ParamSpec

import lightning.pytorch as pl
from lightning.pytorch.utilities.exceptions import SIGTERMException

P = ParamSpec("P")


def complete_or_unchanged(train: Callable[P, None]) -> Callable[P, None]:
    """Let a method train its model completely, or leave the model as it was.

    Lightning turns Ctrl-C into the end of the program with exit code 1, older versions into a training that counts as
    complete. Here it is raised as ``KeyboardInterrupt``.
    """

    @wraps(train)
    def trained(*args: P.args, **kwargs: P.kwargs) -> None:
        model: Any = args[0]
        before = {name: value for name, value in vars(model).items() if _changes(name)}
        before |= {"module": copy.deepcopy(model.module), "history_": copy.copy(model.history_)}
        with ExitStack() as stack:
            watch = _Watch(stack)
            callbacks: Any = kwargs.get("callbacks") or []
            kwargs["callbacks"] = [*callbacks, watch]
            try:
                with _same_interrupt_handler():
                    train(*args, **kwargs)
                if watch.interrupted:
                    raise KeyboardInterrupt
            except BaseException as error:
                for name in filter(_changes, list(vars(model))):
                    delattr(model, name)
                vars(model).update(before)
                if watch.interrupted:
                    raise KeyboardInterrupt("the training was interrupted; the model is as before") from None
                if isinstance(error, SIGTERMException):
                    # Lightning took note of the signal, and would now end the program as if all were well
                    signal.raise_signal(signal.SIGTERM)
                raise

    return trained


def _changes(name: str) -> bool:
    """Tell whether a training changes this attribute of a model."""
    return name.endswith("_") or name in ("module", "trainer", "train_indices", "validation_indices", "test_indices")


@contextmanager
def _same_interrupt_handler() -> Iterator[None]:
    """Put the handler of Ctrl-C back, because Lightning ignores Ctrl-C after the first one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGINT, handler)


class _Watch(pl.Callback):
    """Tells whether Ctrl-C ended a training. scvi-tools' line about any end, which does not say why, is not printed."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.interrupted = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.interrupted = isinstance(exception, KeyboardInterrupt)
        self.stack.enter_context(redirect_stdout(io.StringIO()))
