"""Configuration of the documentation. Build: ``python -m sphinx -W -n -b html docs docs/_build/html``."""

import os
import tomllib
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "scminnet"
author = "The scminnet developers"
copyright = author
version = release = installed_version("scminnet")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinxcontrib.bibtex",
]
exclude_patterns = [
    "_build",
    "jupyter_execute",
    "**.ipynb_checkpoints",
    "_results.md",
    "user_guide/_presets.md",
]
templates_path = ["_templates"]

myst_enable_extensions = [
    "amsmath",
    "colon_fence",
    "deflist",
    "dollarmath",
    "substitution",
]
myst_heading_anchors = 3
nb_execution_mode = "off"

autosummary_generate = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
typehints_defaults = "braces"
# a function that returns nothing has no return type to show
typehints_document_rtype_none = False
always_use_bars_union = True

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "alpha"

html_theme = "sphinx_book_theme"
html_title = "scminnet"
html_static_path = ["_static"]
html_css_files = ["custom.css"]

# the address of the repository is written in pyproject.toml only
_urls = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())[
    "project"
]["urls"]
html_theme_options = {
    "repository_url": _urls["Source"],
    "use_repository_button": True,
    "use_issues_button": True,
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
}
myst_substitutions = {
    "repository": f"[repository]({_urls['Source']})",
    "issues": f"[issue tracker]({_urls['Issues']})",
}

# Formulas are MathML, which browsers show without a network and without a script.
html_math_renderer = "mathml"


def _inline_formula(translator: Any, node: nodes.math) -> None:
    translator.body.append(f'<span class="formula">{tex2mathml(node.astext())}</span>')
    raise nodes.SkipNode


def _formula(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(
        f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>'
    )
    raise nodes.SkipNode


def setup(app: Any) -> None:
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(_inline_formula, None),
        block_renderers=(_formula, None),
    )


# The build must work without a network, so links into other packages' documentation are made on request only:
#     SCMINNET_DOCS_INTERSPHINX=1 python -m sphinx -b html docs docs/_build/html
if os.environ.get("SCMINNET_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "lightning": ("https://lightning.ai/docs/pytorch/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/en/latest/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "scvi-tools": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

# Every reference must lead somewhere (`-n`), except those to other packages and to Python, whose names are not known
# without intersphinx. A name of this package that is not found is always an error.
nitpicky = True
_external = (
    "anndata bioframe lightning matplotlib mudata muon numpy np pandas pd scanpy "
    "scipy sparse scvi torch"
).split()
_python = "abc collections os pathlib types typing".split()
_builtins = [
    "Any",
    "Axes",
    "Ellipsis",
    "None",
    "Tensor",
    "bool",
    "bytes",
    "callable",
    "dict",
    "float",
    "int",
    "list",
    "object",
    "str",
    "tuple",
    "type",
    r"\w*(Error|Warning)",
]
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(_external + _python)})\..*"),
    (r"py:.*", rf"({'|'.join(_builtins)})"),
    # named in signatures, but of no use to a reader
    (
        r"py:.*",
        r"scminnet\.(coupling\.antibodies\.Anti(gen|body)|model\.training\.coupled_cells\.CoupledCells)",
    ),
]


DOCS = Path(__file__).parent


def _write(name: str, text: str) -> None:
    """Write an ignored file that a page includes, if it is not there yet as it shall be."""
    target = DOCS / name
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


def _results() -> str:
    """Return one ``include`` for each table that the benchmarks wrote."""
    # the main job first; speed has a page of its own
    found = (DOCS.parent / "benchmarks" / "results").glob("*.md")
    tables = sorted(
        (t for t in found if t.stem != "speed"),
        key=lambda t: (t.stem != "main_job", t.name),
    )
    return "\n".join(
        f"```{{include}} ../benchmarks/results/{table.name}\n:heading-offset: 1\n```\n"
        for table in tables
    ) or ("No results are stored in this version of the repository.\n")


def _presets() -> str:
    """Return the table of the presets, from the code, so that it is never stale."""
    import inspect

    from scminnet import MinNet
    from scminnet.model import PRESETS
    from scminnet.model.training.train_arguments import TRAINING_FIELDS

    def place(field: str) -> str:
        if field in TRAINING_FIELDS:
            return "`train(plan_kwargs=...)`"
        for function, name in (
            (MinNet.__init__, "`MinNet(...)`"),
            (MinNet.train, "`train(...)`"),
        ):
            if field in inspect.signature(function).parameters:
                return name
        return "the preset only"

    rows = {name: recipe.as_dict() for name, recipe in PRESETS.items()}
    lines = [
        f"| | {' | '.join(f'`{name}`' for name in rows)} | given to |",
        "|---|" + "---|" * (len(rows) + 1),
    ]
    for field in rows["default"]:
        values = (f"`{recipe[field]!r}`" for recipe in rows.values())
        lines.append(f"| `{field}` | {' | '.join(values)} | {place(field)} |")
    return "\n".join(lines) + "\n"


# sphinx reads only what is below its own folder
(DOCS / "tutorials").mkdir(exist_ok=True)
_notebooks = {path.name: path for path in (DOCS.parent / "tutorials").glob("*.ipynb")}
for _name, _notebook in _notebooks.items():
    _write(f"tutorials/{_name}", _notebook.read_text())
for _copy in (DOCS / "tutorials").glob("*.ipynb"):
    if _copy.name not in _notebooks:  # of an earlier name
        _copy.unlink()

_write("_results.md", _results())
_write("user_guide/_presets.md", _presets())
