from __future__ import annotations

import base64
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from tests.reporting.conftest import HOSTILE, Trained, make_bulks, make_cells, umap

import scminnet as mn
from scminnet.pl import _layout
from scminnet.reporting import cells
from scminnet.reporting.measures import measured
from scminnet.reporting.page import Section, render, table

SECTIONS = ["diagnosis", "input", "embedding", "labels", "training", "measures", "links", "next"]


class Page(HTMLParser):
    """The elements of a page, and the text of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self.section = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag == "section":
            self.section = dict(attributes)["id"]

    def handle_data(self, data: str) -> None:
        self.text[self.section] = self.text.get(self.section, "") + data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text(encoding="utf-8"))


def test_all_sections_are_there_in_their_order(page: Page) -> None:
    assert [given["id"] for tag, given in page.elements if tag == "section"] == SECTIONS
    links = [given["href"] for tag, given in page.elements if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]


def test_what_users_named_is_text_and_never_markup(written: Path, page: Page) -> None:
    # one script, the page's own, and nothing that a name could have brought
    assert page.count("script") == page.count("style") == 1
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "nav", "a", "main", "section",
        "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "figure", "img", "figcaption", "ol",
        "li", "pre", "code", "footer", "script",
    }  # fmt: skip
    assert not [given for _, given in page.elements if any(name.startswith("on") for name in given)]
    assert all(given["src"].startswith("data:image/png;base64,") for tag, given in page.elements if tag == "img")
    # and it is all there to be read
    assert HOSTILE in page.text[""]
    for section in ("input", "labels"):
        assert HOSTILE in page.text[section]
    assert "<img src=x onerror=alert(1)>" in page.text["links"]


def test_nothing_is_loaded_from_elsewhere(written: Path, page: Page) -> None:
    text = re.sub(r"data:image/png;base64,[\w+/=]+", "", written.read_text(encoding="utf-8"))
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text
    policy = next(given["content"] for tag, given in page.elements if "http-equiv" in given)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policy


def test_figures_are_pictures_with_a_text(page: Page) -> None:
    images = [given for tag, given in page.elements if tag == "img"]
    # embedding, heatmap, training, and the arcs of three genes
    assert len(images) == 6
    for image in images:
        assert base64.b64decode(image["src"].partition(",")[2]).startswith(b"\x89PNG")
        assert image["alt"]
        assert 200 < int(image["width"]) < 1_400
    assert not plt.get_fignums()


def test_causes_come_before_effects_and_what_is_fine(page: Page) -> None:
    text = page.text["diagnosis"]
    assert "Possible causes: scale (atac)." in text
    places = [text.index(word) for word in ("scale\n" if "scale\n" in text else "scaleatac", "nearatac", "featuresrna")]
    assert places == sorted(places)
    assert "The query (150 cells of rna, 150 cells of atac) lies outside" in page.text[""]


def test_inputs_are_named(page: Page) -> None:
    text = page.text["input"]
    for word in ("rna", "atac", "150", "40 (rna and atac)", "cell_type", "batch", "scminnet integrate", "scvi-tools"):
        assert word in text


def test_labels_are_counted_by_type_and_those_that_disagree_listed(page: Page) -> None:
    mdata = make_cells()
    obs = mdata["atac"].obs
    label, truth = obs["transferred_label"].astype(str), obs["cell_type"]
    text = page.text["labels"]
    n_left = (label == "unassigned").sum()
    assert f"{n_left} ({100 * n_left / 150:.0f} %) are 'unassigned'." in text
    differ = (label != truth) & (label != "unassigned")
    assert f"({min(20, differ.sum())} of {differ.sum()}, the most confident first)" in text
    first = obs["transferred_label_confidence"][differ].astype(float).idxmax()
    assert first in text


def test_without_truth_labels_are_compared_with_predictions(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_layout, "joint_umap", umap)
    mdata = make_cells()
    mdata["atac"].obs_names = [f"atac_{i}" for i in range(150)]
    del mdata["atac"].obs["cell_type"]
    mdata = _again(mdata)
    mn.report(Trained(mdata), tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text())
    assert "agrees with predicted type" in page.text["labels"]
    assert "measures" not in page.text


def _again(mdata: MuData) -> MuData:
    """The same modalities, whose names changed, in a MuData that knows it."""
    again = MuData(dict(mdata.mod))
    again.uns.update(mdata.uns)
    return again


def test_parts_that_nothing_is_known_of_are_left_out(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_layout, "joint_umap", umap)
    rng = np.random.default_rng(0)
    adata = AnnData(np.ones((60, 1), np.float32), obs=pd.DataFrame(index=[f"c{i}" for i in range(60)]))
    adata.obsm["X_other"] = rng.normal(size=(60, 3))
    mn.report(MuData({"rna": adata}), tmp_path / "r.html", use_rep="X_other")
    page = Page((tmp_path / "r.html").read_text())
    assert [given["id"] for tag, given in page.elements if tag == "section"] == ["input", "embedding", "next"]


def test_bulks_alone_have_a_report_of_their_links(tmp_path) -> None:
    mn.report(make_bulks(), tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text())
    assert [given["id"] for tag, given in page.elements if tag == "section"] == ["input", "links", "next"]


def test_the_data_do_not_change(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_layout, "joint_umap", umap)
    mdata = make_cells()
    before = (
        {m: (list(a.obs), list(a.obsm), list(a.uns)) for m, a in mdata.mod.items()},
        list(mdata.uns),
        list(mdata.obsm),
    )
    mn.report(mdata, tmp_path / "r.html", labels_key="cell_type", batch_key="batch")
    after = (
        {m: (list(a.obs), list(a.obsm), list(a.uns)) for m, a in mdata.mod.items()},
        list(mdata.uns),
        list(mdata.obsm),
    )
    assert before == after


def test_cells_that_a_modality_has_beyond_the_limit_are_drawn(monkeypatch) -> None:
    monkeypatch.setattr(cells, "MAX_CELLS", 50)
    mdata = make_cells()
    mdata["rna"].obs.loc[mdata["rna"].obs_names[:75], "cell_type"] = "Unknown"
    shown = cells.shown_cells(mdata, ["rna", "atac"], ["batch"], "X_minnet", known=None, seed=0)
    assert [adata.n_obs for adata in shown.mod.values()] == [50, 50]
    chosen = shown["rna"].obs_names
    np.testing.assert_array_equal(shown["rna"].obsm["X_minnet"], mdata["rna"][chosen].obsm["X_minnet"])
    assert (shown["rna"].obs["batch"] == mdata["rna"].obs["batch"].loc[chosen]).all()


def test_measures_stand_beside_chance() -> None:
    mdata = make_cells()
    table = measured(mdata, ["rna", "atac"], "cell_type", "batch", "X_minnet", seed=0).set_index(
        ["measure", "modalities"]
    )
    assert table.loc[("foscttm_mean", "rna, atac"), "chance"] == 0.5
    assert table.loc[("foscttm_mean", "rna, atac"), "value"] < 0.4
    n_pairs = mdata["rna"].obs_names.isin(mdata["atac"].obs_names).sum()
    assert table.loc[("matching_score_mean", "rna, atac"), "chance"] == pytest.approx(1 / n_pairs)
    most = mdata["atac"].obs["cell_type"].value_counts(normalize=True).iloc[0]
    assert table.loc[("label_transfer_accuracy", "rna -> atac"), "chance"] == pytest.approx(most)
    assert table.loc[("label_transfer_macro_accuracy", "rna -> atac"), "chance"] == pytest.approx(1 / 3)
    assert np.isnan(table.loc[("silhouette_modality", "rna, atac"), "chance"])
    # pairs alone are a truth as well
    only = measured(mdata, ["rna", "atac"], None, None, "X_minnet", seed=0)
    assert list(only["measure"]) == ["foscttm_mean", "matching_score_mean"]
    rng = np.random.default_rng(0)
    for adata in mdata.mod.values():
        adata.obsm["X_minnet"] = rng.normal(size=adata.obsm["X_minnet"].shape)
    table = measured(mdata, ["rna", "atac"], "cell_type", None, "X_minnet", seed=0).set_index(["measure", "modalities"])
    near = table[table["chance"].notna() & ~table.index.get_level_values(0).str.contains("macro")]
    np.testing.assert_allclose(near["value"], near["chance"], atol=0.15)


def test_the_first_lines_say_how_good_the_embedding_is(page: Page) -> None:
    said = measured(make_cells(), ["rna", "atac"], "cell_type", "batch", "X_minnet", seed=0).set_index("measure")[
        "value"
    ]
    head = page.text[""]
    assert f"true partner: {said['foscttm_mean']:.3f} for rna and atac (chance 0.5)." in head
    first, second = said["label_transfer_accuracy"]
    assert f"{100 * first:.0f} % from rna to atac (chance 3" in head
    assert f"{100 * second:.0f} % from atac to rna (chance 3" in head


def steps_of(text: str) -> list[str]:
    """The code of what to do next."""
    return [html.unescape(code) for code in re.findall(r"<pre><code>(.*?)</code></pre>", text, flags=re.DOTALL)]


def test_the_code_of_the_next_steps_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_layout, "joint_umap", umap)
    mdata, bulks = make_cells(), make_bulks()
    for adata in mdata.mod.values():
        adata.obsm["X_other"] = adata.obsm.pop("X_minnet")
    mn.report(mdata, tmp_path / "r.html", labels_key="cell_type", use_rep="X_other", bulks=bulks)
    codes = steps_of((tmp_path / "r.html").read_text())
    called = [re.search(r"mn\.\w+\.(\w+)", code).group(1) for code in codes]
    assert called == ["transfer_labels", "embedding", "match_cells", "links", "export_links"]
    monkeypatch.chdir(tmp_path)
    for code in codes:
        exec(code, {"mn": mn, "mdata": mdata, "bulks": bulks})
    plt.close("all")
    assert (tmp_path / "links.bedpe").exists()
    assert mdata.uns["transferred_label"]["params"]["quantile"] == 0.99
    # few are unassigned now, and the advice is gone
    mn.report(mdata, tmp_path / "r.html", labels_key="cell_type", use_rep="X_other", bulks=bulks)
    assert "transfer_labels" not in " ".join(steps_of((tmp_path / "r.html").read_text()))


def test_next_steps_name_the_own_modalities_and_columns(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_layout, "joint_umap", umap)
    mdata = make_cells()
    mdata["atac"].var_names = [f"chr1:{i}00-{i}50" for i in range(1, 5)]
    mdata = _again(mdata)
    mn.report(mdata, tmp_path / "r.html")
    codes = steps_of((tmp_path / "r.html").read_text())
    assert "bulks = mn.tl.minibulk(mdata, groupby={'rna': 'cell_type', 'atac': 'transferred_label'})" in codes[-1]
    assert codes[-1].endswith('mn.tl.cre_links(bulks, tss="genes.gtf.gz")')
    del mdata.uns["transferred_label"]
    parts = {"genes": mdata["rna"], "peaks": mdata["atac"]}
    mn.report(MuData(parts), tmp_path / "r.html")
    codes = steps_of((tmp_path / "r.html").read_text())
    assert codes[0] == "mn.tl.transfer_labels(mdata, 'genes', 'peaks', \"cell_type\")"
    assert codes[1] == "mn.pl.embedding(mdata, color=['modality', 'genes:rna_0'])"
    assert codes[-1].endswith("rna='genes', atac='peaks')")


def test_a_table_shows_numbers_shares_and_gaps() -> None:
    frame = pd.DataFrame(
        {"a": [1234567, 2], "b": [0.5, np.nan], "share": [0.034, 1.0], "p": [1e-9, 0.25], "s": ["x", None]}
    )
    rows = table(frame, percent=["share"]).rows
    assert [cell[0] for cell in rows[0]] == ["1,234,567", "0.50", "3.4 %", "1.0e-09", "x"]
    assert [cell[0] for cell in rows[1]] == ["2", "–", "100 %", "0.25", "–"]
    # a text that is missing is no number
    assert [cell[2] for cell in rows[1]] == [True, True, True, True, False]
    assert rows[0][0][1] == "1234567.0"
    assert rows[1][1][1] == ""
    text = render("t", [], [Section("x", "X", parts=[table(frame, marked=[False, True])])], "f")
    assert 'data-value="1234567.0"' in text
    assert re.findall(r"<tr( class=\"marked\")?><td", text) == ["", ' class="marked"']


@pytest.mark.parametrize(
    ("data", "arguments", "error", "words"),
    [
        (lambda: AnnData(np.ones((2, 2))), {}, TypeError, "`data` is a AnnData"),
        (lambda: Trained(None), {}, ValueError, "`data` is a model that was loaded without its data"),
        (make_cells, {"path": "no/folder.html"}, FileNotFoundError, "no folder"),
        (make_cells, {"path": "."}, IsADirectoryError, "`path` is the folder"),
        (make_cells, {"labels_key": "no"}, KeyError, "`labels_key` is 'no'"),
        (make_cells, {"batch_key": "no"}, KeyError, "`batch_key` is 'no'"),
        (make_cells, {"predicted_key": "no"}, KeyError, "`predicted_key` is 'no'"),
        (make_cells, {"use_rep": "X_no"}, KeyError, "`use_rep` is 'X_no'"),
        (make_cells, {"modalities": ["adt"]}, ValueError, "`modalities` names 'adt'"),
    ],
)
def test_bad_input_is_refused_before_any_work(tmp_path, data, arguments, error, words) -> None:
    path = tmp_path / arguments.pop("path", "r.html")
    with pytest.raises(error, match=words):
        mn.report(data(), path, **arguments)
    assert not list(tmp_path.iterdir())
