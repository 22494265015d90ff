"""Model card: the page that a hub shows for a shared model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import shorten

if TYPE_CHECKING:
    from scminnet.model.minnet import MinNet


@check_types
def model_card(
    model: MinNet,
    *,
    license: str,
    description: str,
    tissues: Sequence[str] = (),
    references: str = "",
) -> str:
    """Write a model card for the scvi-tools hub, in Markdown.

    Save it as ``README.md`` in the model's folder, where :class:`scvi.hub.HubModel` reads it. The helper of scvi-tools
    only supports its own models.

    Parameters
    ----------
    model
        A trained model.
    license
        License of the model, by the hub's names, e.g. ``"cc-by-4.0"``.
    description
        Which cells it was trained on, how they were prepared, and which queries it is meant for.
    tissues
        Tissues of the reference.
    references
        Papers and accessions of the data.

    Returns
    -------
    The text, with its YAML header.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    RuntimeError
        The model is not trained.

    Examples
    --------
    >>> model.save("pbmc_model")
    >>> card = scminnet.model.model_card(
    ...     model, license="cc-by-4.0", description="PBMC of three donors, 10x Multiome.", tissues=["blood"]
    ... )
    >>> Path("pbmc_model/README.md").write_text(card)
    >>> metadata = scvi.hub.HubMetadata.from_dir(
    ...     "pbmc_model", anndata.__version__, model_parent_module="scminnet.model"
    ... )
    >>> scvi.hub.HubModel("pbmc_model", metadata=metadata).push_to_huggingface_hub(
    ...     "me/pbmc_model", token, repo_create=True
    ... )
    """
    model._check_if_trained(warn=False, message="the model is not trained. Call `model.train()` first.")
    sections = [
        _header(model, license, tissues),
        ["MinNet embeds unpaired cells of several modalities in one space; see scminnet's documentation."],
        ["# Description", "", description],
        _USE,
        _reference_section(model),
        _validation_section(model),
        ["# References", "", references] if references else [],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


_USE = [
    "# Use",
    "",
    "```python",
    "import scminnet as mn",
    "from scvi.hub import HubModel",
    "",
    'shared = HubModel.pull_from_huggingface_hub("OWNER/NAME")',
    "model = mn.MinNet.load(shared.local_dir, adata=False)  # runs no code from the files",
    "model.embed(query)",
    "print(model.diagnose(query))",
    "```",
]


def _header(model: MinNet, license: str, tissues: Sequence[str]) -> list[str]:
    """Return the YAML header, which the hub searches."""
    tags = [
        "biology",
        "genomics",
        "single-cell",
        "model_cls_name:MinNet",
        f"scvi_version:{model.registry_['scvi_version']}",
        *(f"modality:{m}" for m in model.modalities),
        *(f"tissue:{t}" for t in tissues),
        "annotated:True",
    ]
    return ["---", f"license: {license}", "library_name: scvi-tools", "tags:", *(f"- {tag}" for tag in tags), "---"]


def _reference_section(model: MinNet) -> list[str]:
    """Return features, cell types and versions of the reference."""
    return [
        "# Reference",
        "",
        "| modality | features | the first of them |",
        "|---|---|---|",
        *(f"| {m} | {len(names):,} | {shorten(map(str, names), 3)} |" for m, names in model.get_var_names().items()),
        "",
        f"Types: {shorten(map(str, model.labels), 100)}.",
        "",
        f"Trained by scminnet {model.written_by_['scminnet']}, scvi-tools {model.registry_['scvi_version']}.",
    ]


def _validation_section(model: MinNet) -> list[str]:
    """Return the last epoch's values of the held-out cells, or nothing if none were held out."""
    values = last_validation(model)
    rows = [f"| {name.removesuffix('_validation')} | {value:.3f} |" for name, value in values.items()]
    return ["# Held-out cells, last epoch", "", "| value | |", "|---|---|", *rows] if rows else []


def last_validation(model: MinNet) -> dict[str, float]:
    """Return what the last epoch logged for the held-out cells, by name. Empty if none were held out."""
    return {
        name: float(values.iloc[-1, 0]) for name, values in (model.history or {}).items() if name.endswith("validation")
    }
