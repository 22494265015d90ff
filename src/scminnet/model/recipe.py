"""Recipes: the hyperparameters of network, pairs, loss and optimisation, and the named presets."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from scminnet._core.arguments import check_choice, check_count, check_fraction, check_positive, shorten
from scminnet._core.keys import EMBEDDING_SIZE

Function = TypeVar("Function", bound=Callable[..., Any])

#: Default number of steps, and the least number of epochs that pairs are seen in: from 20,000 pairs on, so many epochs
#: need more steps (``docs/decisions.md``).
N_STEPS = 400
EPOCHS_OF_PAIRS = 5

#: Largest number of epochs if ``max_epochs`` is not given. With more, a reference of few batches is overfitted.
MAX_EPOCHS = 60

#: Default hidden dropout: this over the root of the number of paired cells, at most ``MAX_DROPOUT``. This is 0.3 for
#: 400 cells and 0.13 for 4,000 (the search: ``benchmarks/accuracy/recipe_search``).
DROPOUT = 8.0
MAX_DROPOUT = 0.3

#: Default number of principal components of each modality, for training without and with the query. The query's cells
#: improve the leading components so much that the others add noise (the search: ``benchmarks/accuracy/recipe_search``).
N_COMPONENTS = 100
N_COMPONENTS_WITH_QUERY = 30

#: Default number of canonical components for each modality beyond the first: another modality shares others.
N_CANONICAL = 30


@dataclass(frozen=True)
class Recipe:
    """A choice of all hyperparameters. The defaults are those of ``preset="default"``. ``docs/decisions.md`` says why.

    Network: ``n_hidden``, ``n_layers``, ``n_latent``, ``activation``, ``hidden_dropout`` (``None``: depends on the
    number of paired cells), ``input_layer``, ``n_components`` (``None``: 100, or 30 if trained with the query),
    ``n_canonical`` (``None``: 30 for two modalities, and 30 more for each further one), ``input_dropout`` (of a learned
    input layer), ``adapt_norm`` (a query that is standardised by its own statistics also uses them for batch norm),
    ``normalise``, ``initialisation``.
    Pairs: ``pairing``, ``pair_strategy``, ``positive_share``, ``batch_size``.
    Loss: ``loss_form``, ``contrastive_weight`` (the paper's λ), ``m0``, ``c``, ``infonce_weight``,
    ``supervised_weight``, ``temperature``, ``classification_weight``; and for coupled cells ``coupled_temperature`` and
    ``linear_share`` (of the canonical components in the cosine).
    Optimisation: ``lr``, ``weight_decay``, ``lr_schedule``, ``max_epochs`` (``None``: enough for ``max_steps``, at most
    ``MAX_EPOCHS``), ``max_steps`` (``None``: 400, or five epochs of all pairs if these are more), ``train_size``.
    """

    n_hidden: int = 256
    n_layers: int = 2
    n_latent: int = EMBEDDING_SIZE
    activation: Literal["tanh", "sigmoid", "relu", "gelu"] = "gelu"
    hidden_dropout: float | None = None
    input_dropout: float = 0.0
    input_layer: Literal["canonical", "learned"] = "canonical"
    n_components: int | None = None
    n_canonical: int | None = None
    adapt_norm: bool = True
    normalise: bool = True
    initialisation: Literal["torch", "published"] = "torch"

    pairing: Literal["in_batch", "sampled"] = "in_batch"
    pair_strategy: Literal["between", "within"] = "between"
    positive_share: float = 0.25
    batch_size: int = 256

    loss_form: Literal["code", "text"] = "code"
    contrastive_weight: float = 0.25
    m0: float = 1.0
    c: float = 3.0
    infonce_weight: float = 1.0
    supervised_weight: float = 0.3
    temperature: float = 0.2
    coupled_temperature: float = 0.4
    linear_share: float = 0.5
    classification_weight: float = 1.0

    lr: float = 2e-3
    weight_decay: float = 1e-4
    lr_schedule: Literal["constant", "one_cycle"] = "one_cycle"
    max_epochs: int | None = None
    max_steps: int | None = None
    train_size: float = 0.9

    def __post_init__(self) -> None:
        for name in ("n_hidden", "n_layers", "n_latent"):
            check_count(getattr(self, name), name)
        for name in ("n_components", "n_canonical", "max_epochs", "max_steps"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        check_count(self.batch_size, "batch_size", minimum=2)
        for name in ("input_dropout", "positive_share", "linear_share"):
            check_fraction(getattr(self, name), name)
        if self.hidden_dropout is not None:
            check_fraction(self.hidden_dropout, "hidden_dropout")
        check_fraction(self.train_size, "train_size", upper_open=False)
        weights = ("contrastive_weight", "infonce_weight", "supervised_weight", "classification_weight", "weight_decay")
        for name in (*weights, "m0", "c"):
            check_positive(getattr(self, name), name, minimum=0)
        for name in ("lr", "temperature", "coupled_temperature", "train_size"):
            check_positive(getattr(self, name), name, minimum=1e-12)
        for name, hint in get_type_hints(Recipe).items():
            if get_origin(hint) is Literal:
                check_choice(getattr(self, name), get_args(hint), name)

    @classmethod
    def named(cls, preset: str, **changes: Any) -> Recipe:
        """Return the preset of this name, with the changes that are not ``None``."""
        check_choice(preset, PRESETS, "preset")
        unknown = set(changes) - {field.name for field in fields(cls)}
        if unknown:
            raise TypeError(
                f"unknown argument {shorten(sorted(unknown))}. A recipe has {sorted(asdict(PRESETS[preset]))}."
            )
        return replace(PRESETS[preset], **{name: value for name, value in changes.items() if value is not None})

    def n_epochs(self, n_batches: int, n_pairs: int) -> int:
        """Return the number of epochs to train. An epoch has ``n_batches`` batches, which hold ``n_pairs`` pairs."""
        steps = self.max_steps or max(N_STEPS, EPOCHS_OF_PAIRS * -(-n_pairs // self.batch_size))
        return self.max_epochs or min(-(-steps // n_batches), MAX_EPOCHS)

    def dropout(self, n_paired: int) -> float:
        """Return the hidden dropout. By default it is higher for fewer paired cells, which are overfitted sooner."""
        return min(DROPOUT / n_paired**0.5, MAX_DROPOUT) if self.hidden_dropout is None else self.hidden_dropout

    def components(self, *, with_query: bool) -> int:
        """Return the number of principal components of each modality."""
        return self.n_components or (N_COMPONENTS_WITH_QUERY if with_query else N_COMPONENTS)

    def canonical(self, n_modalities: int) -> int:
        """Return the number of canonical components."""
        return self.n_canonical or N_CANONICAL * (n_modalities - 1)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as a plain dictionary."""
        return asdict(self)


#: ``"default"`` is the winner of the search in ``benchmarks/``. ``"paper"`` has the published code's values for RNA +
#: ATAC. For RNA + protein, the authors used ``activation="sigmoid"``, ``pair_strategy="within"`` and 90 epochs.
PRESETS: dict[str, Recipe] = {
    "default": Recipe(),
    "paper": Recipe(
        n_hidden=768,
        n_layers=1,
        activation="tanh",
        hidden_dropout=0.0,
        input_dropout=0.0,
        input_layer="learned",
        adapt_norm=False,
        normalise=False,
        initialisation="published",
        pairing="sampled",
        pair_strategy="between",
        positive_share=0.25,
        batch_size=30,
        loss_form="code",
        contrastive_weight=0.5,
        m0=10.0,
        c=3.0,
        infonce_weight=0.0,
        supervised_weight=0.0,
        classification_weight=1.0,
        lr=1e-4,
        weight_decay=1e-6,
        lr_schedule="constant",
        max_epochs=35,
        train_size=0.8,
    ),
}


def shows_defaults(function: Function) -> Function:
    """Decorate a function so that its signature shows the values of ``preset="default"`` in place of ``None``.

    The call still gets ``None``, because another preset has other values.
    """
    signature, shown = inspect.signature(function), asdict(PRESETS["default"])
    parameters = [
        parameter.replace(default=shown[name]) if parameter.default is None and name in shown else parameter
        for name, parameter in signature.parameters.items()
    ]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function
