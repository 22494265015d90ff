"""The Snakemake workflow around ``scminnet integrate``."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from mudata import MuData

from scminnet.cli import main
from scminnet.datasets import simulate_multiome

WORKFLOW = Path(__file__).parents[1] / "workflow"

pytestmark = pytest.mark.skipif(not WORKFLOW.is_dir(), reason="the workflow is not part of a source distribution")

OUTPUTS = {"integrated.h5mu", "model", "report.html", "result.json", "figures"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpaired cells in two files, whose names need quotes, an annotation, and a configuration of two datasets."""
    folder = tmp_path_factory.mktemp("a folder")
    truth = simulate_multiome(240, n_types=3, n_lineages=2, n_genes=60, n_peaks=200, n_batches=2)
    parts = {"rna": truth["rna"][::2].copy(), "atac": truth["atac"][1::2].copy()}
    parts["rna"].obs["cell type"] = truth.obs["cell_type"][::2].astype(str).to_numpy()
    for m, adata in parts.items():
        adata.write(folder / f"the {m}.h5ad")
    MuData(parts).write(folder / "cells.h5mu")
    var = truth["rna"].var
    rows = zip(var["chrom"], var["tss"], var["tss"] + 1, var.index, ["0"] * len(var), var["strand"], strict=True)
    (folder / "genes.bed").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    options = {"modalities": ["rna", "atac"], "tss": "genes.bed", "labels-key": "cell type", "max-epochs": 2, "seed": 1}
    datasets = {
        "apart": {"cells": ["the rna.h5ad", "the atac.h5ad"], "options": options},
        "together": {"cells": "cells.h5mu", "options": options},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({"results": "out", "datasets": datasets}))
    return folder


def parts_of_the_snakefile(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the functions before the rules, and the command of the rule."""
    text = (WORKFLOW / "Snakefile").read_text()
    names: dict[str, Any] = {"config": config}
    exec(text.split("\nrule ")[0], names)
    command = "".join(re.findall(r'^        "(.*)"$', text.split("    shell:\n")[1], re.MULTILINE))
    return names, command


def arguments_of(folder: Path, dataset: str) -> list[str]:
    """Fill the command of the rule as Snakemake does."""
    names, command = parts_of_the_snakefile(yaml.safe_load((folder / "config.yaml").read_text()))
    wildcards = SimpleNamespace(dataset=dataset)
    assert names["annotations_of"](wildcards) == ["genes.bed"]
    filled = (
        command.replace("{input.cells:q}", shlex.join(names["cells_of"](wildcards)))
        .replace("{params.options}", names["options_of"](wildcards))
        .replace("{params.folder:q}", dataset)
        .replace("{threads}", "1")
    )
    program, *arguments = shlex.split(filled.removesuffix(" > {log:q} 2>&1"))
    assert program == "scminnet"
    assert "{" not in filled.removesuffix(" > {log:q} 2>&1")
    return arguments


def test_the_command_of_the_rule(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert arguments_of(folder, "together")[:2] == ["integrate", "cells.h5mu"]
    monkeypatch.chdir(folder)
    # as Snakemake does
    (folder / "apart").mkdir()
    assert main(arguments_of(folder, "apart")) == 0
    assert {path.name for path in (folder / "apart").iterdir()} == OUTPUTS


def test_a_configuration_without_datasets_is_refused() -> None:
    with pytest.raises(ValueError, match="config: `datasets` is empty"):
        parts_of_the_snakefile({"datasets": {}})


def test_the_example_names_options_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["integrate", "--help"])
    said = capsys.readouterr().out
    config = yaml.safe_load((WORKFLOW / "config.yaml").read_text())
    names = {name for dataset in config["datasets"].values() for name in dataset["options"]}
    names |= set(parts_of_the_snakefile(config)[0]["FILE_OPTIONS"])
    assert [name for name in names if f"--{name}" not in said] == []


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs snakemake")
def test_snakemake_runs_it_as_a_module(folder: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for dataset in config["datasets"].values():
        names = [dataset["cells"]] if isinstance(dataset["cells"], str) else dataset["cells"]
        dataset["cells"] = [str(folder / name) for name in names]
        dataset["options"]["tss"] = str(folder / "genes.bed")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"scminnet": config}))
    (tmp_path / "Snakefile").write_text(
        'configfile: "config.yaml"\n\n'
        f'module scminnet:\n    snakefile: "{WORKFLOW / "Snakefile"}"\n    config: config["scminnet"]\n\n'
        "use rule * from scminnet as scminnet_*\n"
    )
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def snakemake(*arguments: str) -> str:
        command = ["snakemake", "--cores", "1", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    snakemake("out/apart/report.html")
    assert {path.name for path in (tmp_path / "out" / "apart").iterdir()} == OUTPUTS
    assert '"verdict"' in (tmp_path / "out" / "apart.log").read_text()
    assert "Nothing to be done" in snakemake("out/apart/integrated.h5mu")
    assert re.search(r"scminnet_integrate +1\n", snakemake("--dry-run"))
