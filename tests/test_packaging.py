"""What registries are told agrees with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
rattler_build = pytest.importorskip("rattler_build")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Names that conda-forge has for what PyPI calls otherwise.
CONDA = {"torch": "pytorch", "igraph": "python-igraph", "matplotlib": "matplotlib-base"}


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / "packaging" / name).read_text())


def test_the_recipe_has_the_same_requirements() -> None:
    parsed = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", text).groups() for text in PROJECT["dependencies"]]
    recipe = read("recipe.yaml")
    assert recipe["requirements"]["run"][1:] == [f"{CONDA.get(name, name)} {bounds}" for name, bounds in parsed]
    assert recipe["context"]["version"] == PROJECT["version"]
    assert PROJECT["requires-python"] == f">={recipe['context']['python_min']}"
    assert recipe["build"]["python"]["entry_points"] == [f"scminnet = {PROJECT['scripts']['scminnet']}"]
    assert recipe["about"]["license"] == PROJECT["license"]


def test_rattler_build_takes_the_recipe() -> None:
    """It refuses unknown fields and versions it can not read; the packages are resolved at a build only."""
    text = (ROOT / "packaging" / "recipe.yaml").read_text()
    (rendered,) = rattler_build.Stage0Recipe.from_yaml(text).render(
        rattler_build.VariantConfig(), rattler_build.RenderConfig()
    )
    assert (rendered.recipe.package.name, str(rendered.recipe.package.version)) == (PROJECT["name"], PROJECT["version"])


def test_the_registry_entry_has_what_its_schema_requires() -> None:
    entry = read("meta.yaml")
    required = {
        "name", "description", "project_home", "documentation_home", "license", "tags", "primary_category", "language",
        "category",
    }  # fmt: skip
    assert required <= set(entry)
    assert (entry["name"], entry["license"]) == (PROJECT["name"], PROJECT["license"])
    assert len(entry["tags"]) <= 10
    assert entry["test_command"].split(" && ")[0] in (ROOT / "README.md").read_text()


def test_every_bound_of_a_dependency_has_its_reason_beside_it() -> None:
    block = re.search(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)[
        1
    ]
    lines = block.splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line.strip().startswith('"'):
            assert "#" in line or above.strip().startswith("#"), line


def test_one_address_of_the_repository_is_named() -> None:
    urls = PROJECT["urls"]
    assert urls["Source"] == read("meta.yaml")["project_home"]
    assert urls["Documentation"] == read("meta.yaml")["documentation_home"]
    assert urls["Issues"].startswith(urls["Source"])
