"""Which genes antibodies speak of: names of common panels as public files spell them, genes written by hand."""

from __future__ import annotations

import mudata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scminnet.coupling.antibodies import CONTROL, HASHTAG, ISOTYPE, ORGANISMS, UNKNOWN, antigens, compact, identify

#: Antigens of BioLegend's TotalSeq human universal cocktails, as its data sheets spell them; written from memory.
HUMAN_UNIVERSAL = """
CD80|CD86|CD274 (B7-H1, PD-L1)|CD270 (HVEM, TR2)|CD155 (PVR)|CD112 (Nectin-2)|CD47|CD48|CD40|CD154|CD52|CD3|CD8
CD56 (NCAM)|CD19|CD33|CD11c
HLA-A,B,C|CD45RA|CD123|CD7|CD105|CD49f|CD194 (CCR4)|CD4|CD44|CD14|CD16|CD25|CD45RO|CD279 (PD-1)|TIGIT (VSTM3)|CD20
CD335 (NKp46)|CD31
Podoplanin|CD146|IgM|CD5|CD195 (CCR5)|CD32|CD196 (CCR6)|CD185 (CXCR5)|CD103 (Integrin αE)|CD69|CD62L|CD161
CD152 (CTLA-4)|CD223 (LAG-3)
KLRG1 (MAFA)|CD27|CD107a (LAMP-1)|CD95 (Fas)|CD134 (OX40)|HLA-DR|CD1c|CD11b|CD64|CD141 (Thrombomodulin)|CD1d
CD314 (NKG2D)|CD35
CD57 Recombinant|CD272 (BTLA)|CD278 (ICOS)|CD58 (LFA-3)|CD39|CX3CR1|CD24|CD21|CD11a|CD79b (Igβ)|CD244 (2B4)
CD169 (Sialoadhesin, Siglec-1)
integrin β7|CD268 (BAFF-R)|CD42b|CD54|CD62P (P-Selectin)|CD119 (IFN-γ R α chain)|TCR α/β|CD192 (CCR2)|CD122 (IL-2Rβ)
FcεRIα|CD41
CD137 (4-1BB)|CD163|CD83|CD124 (IL-4Rα)|CD13|CD2|CD226 (DNAM-1)|CD29|CD303 (BDCA-2)|CD49b|CD81 (TAPA-1)|IgD|CD18|CD28
CD38|CD127 (IL-7Rα)
CD45|CD22|CD71|CD26|CD115 (CSF-1R)|CD63|CD304 (Neuropilin-1)|CD36|CD172a (SIRPα)|CD72|CD158 (KIR2DL1/S1/S3/S5)|CD93
CD49a|CD49d
CD73 (Ecto-5'-nucleotidase)|CD9|TCR Vα7.2|TCR Vδ2|LOX-1|CD158b (KIR2DL2/L3, NKAT2)|CD158e1 (KIR3DL1, NKB1)|CD142
CD319 (CRACC)|CD352 (NTB-A)
CD94|CD162|CD85j (ILT2)|CD23|CD328 (Siglec-7)|HLA-E|CD82|CD101 (BB27)|CD88 (C5aR)|CD224
"""
#: Names of large panels as files from R have them: greek letters lost, repeated antibodies numbered.
SEURAT = """
CD39|CD107a|CD62P|CD30|CD31|C5L2|IgD|CD18|CD28|TSLPR|FceRIa|CD223|KLRG1|CD3-1|CD3-2|CD4-1|CD4-2|CD11a/CD18|CD275-1
CD275-2|CD38-1|CD38-2
CD44-1|CD44-2|CD45-1|CD45-2|CD56-1|CD56-2|CD133-1|CD133-2|CD138-1|CD26-1|CD26-2|CD66a/c/e|CD66b|CD304|CD305|CD301|CD309
HLA-A2|IgG-Fc|IgM
integrin-7|LOX-1|Notch-1|Notch-2|Podoplanin|TCR-1|TCR-2|TCR-V-24-J-18|TCR-V-7.2|TCR-V-9|TIGIT|TIM-4|VEGFR-3|XCR1
CLEC12A|CLEC1B|DR3|GARP
CCR10|CX3CR1|CD85g|CD169|CD177|CD158b|CD158f|CD152|CD235ab|B7-H4|CD326|MERTK|CD257|CD340|CD324|CD110|CD42b|CD140a
CD202b|CD117|Mac-2|CD207
GP130|CD144|CD1a|CD1c|CD1d|CD102|CD134|CD135|CD15|CD166|CD200|CD204|CD209|CD226|CD243|CD252|CD253|CD254|CD258|CD261
CD262|CD273|CD274|CD276
CD284|CD294|CD303|CD307d|CD307e|CD318|CD319|CD328|CD33|CD337|CD338|CD352|CD357|CD360|CD366|CD367|CD370|CD371|EphA2
Galectin-9|HLA-F|IL-2
"""
#: Antigens of BioLegend's TotalSeq mouse antibodies, as its data sheets spell them; written from memory.
MOUSE_UNIVERSAL = """
CD4|CD8a|CD366 (Tim-3)|CD279 (PD-1)|CD117 (c-kit)|Ly-6C|CD11b|Ly-6G|CD161 (NK-1.1)|CD69|CD25|CD3|CD274 (B7-H1, PD-L1)
CD27|CD20|CD357 (GITR)
CD137|CD134 (OX-40)|CD45R/B220|CD278 (ICOS)|CD223 (LAG-3)|CD62L|CD54|CD45|CD19|CD45.1|CD90.2|I-A/I-E|F4/80
Ly-6A/E (Sca-1)|CD44
CD41|CD21/CD35 (CR2/CR1)|CD23|CD43|CD5|CD11c|CD9|CD47|CD86|CD24|CD48|TCR β chain|TCR γ/δ|CD103|CD29|CD31
CD170 (Siglec-F)|CD68|CD115 (CSF-1R)
CD140a|CD16/32|CD326 (Ep-CAM)|CD127 (IL-7Rα)|CD135|CD150 (SLAM)|CD106|CD49d|CD71|CD205 (DEC-205)|CD169 (Siglec-1)
CD206 (MMR)|CD105|CD98
CD304 (Neuropilin-1)|CD301b|CD317 (BST2, PDCA-1)|CD163|Tim-4|XCR1|CX3CR1|CD301a|CD172a (SIRPα)|CD63|CD73|CD39|CD200
CD200R (OX2R)
CD200R3|CD55 (DAF)|CD61|CD62P (P-selectin)|CD51|CD49b|CD49a|CD1d (CD1.1, Ly-38)|CD2|CD22|CD26 (DPP-4)|CD28|CD36|CD38
CD40|CD79b (Igβ)|CD83
CD93 (AA4.1, early B lineage)|CD94|CD95 (Fas)|CD102|CD107a (LAMP-1)|CD122 (IL-2Rβ)|CD138 (Syndecan-1)|CD152|CD155 (PVR)
CD159a (NKG2AB6)|CD160
CD178 (Fas-L)|CD182 (CXCR2)|CD183 (CXCR3)|CD185 (CXCR5)|CD192 (CCR2)|CD194 (CCR4)|CD195 (CCR5)|CD196 (CCR6)
CD197 (CCR7)|CD199 (CCR9)|CD201 (EPCR)
CD226 (DNAM-1)|CD229 (Ly-9)|CD244.2 (2B4 B6 Alloantigen)|CD270 (HVEM)|CD272 (BTLA)|CD300c/d|CD300LG (Nepmucin)
CD309 (VEGFR2, Flk-1)
CD314 (NKG2D)|CD335 (NKp46)|CD339 (Jagged 1)|CD365 (Tim-1)|CD370 (CLEC9A, DNGR1)|CD371 (CLEC12A)|CLEC4F|DLL1|ESAM|FR4
FcεRIα|IL-21 Receptor
IL-33Rα (IL1RL1, ST2)|integrin β7|IgD|IgM|JAML|KLRG1 (MAFA)|Ly-108|Ly-49A|Ly49D|Ly49H|Ly-6G/Ly-6C (Gr-1)|Mac-2
MERTK (Mer)|Notch 1|NK-1.1|P2X7R
PIR-A/B|Panendothelial Cell Antigen|Siglec H|TER-119/Erythroid Cells|TCR Vγ1.1/Cr4|TCR Vγ2|TCR Vγ3|TCR Vβ8.1, 8.2
TCR Vβ5.1, 5.2|CD85k (gp49 Receptor)
"""
#: Antibodies of 10x Genomics' PBMC data sets.
TENX = (
    "CD3 CD4 CD8a CD11b CD14 CD15 CD16 CD19 CD20 CD25 CD27 CD28 CD34 CD45RA CD45RO CD56 CD62L CD69 CD80 CD86 "
    "CD127 CD137 CD197 CD274 "
    "CD278 CD335 PD-1 HLA-DR TIGIT"
)


def names_of(text: str) -> list[str]:
    return [name for line in text.strip().splitlines() for name in line.split("|")]


PANELS = {
    "human universal": ("human", names_of(HUMAN_UNIVERSAL)),
    "anti-human": ("human", [f"anti-human {name}" for name in names_of(HUMAN_UNIVERSAL)]),
    "BioLegend ids": ("human", [f"C{i:04d}_{name}" for i, name in enumerate(names_of(HUMAN_UNIVERSAL), 46)]),
    "Seurat": ("human", names_of(SEURAT)),
    "10x": ("human", [f"{name}_TotalSeqB" for name in TENX.split()]),
    "mouse universal": ("mouse", names_of(MOUSE_UNIVERSAL)),
    "anti-mouse": ("mouse", [f"{i:04d}_anti-mouse_{name}" for i, name in enumerate(names_of(MOUSE_UNIVERSAL), 1)]),
}


@pytest.mark.parametrize("panel", PANELS)
def test_every_antibody_of_the_common_panels_is_known(panel: str) -> None:
    organism, names = PANELS[panel]
    assert [(name, identify(name, organism).reason) for name in names if not identify(name, organism).genes] == []


@pytest.mark.parametrize(
    ("name", "genes"),
    [
        ("CD3", "CD3D CD3E CD3G"),
        ("CD3.1", "CD3D CD3E CD3G"),  # the second of two, not CD31
        ("CD31", "PECAM1"),
        ("cd11b.2", "ITGAM"),
        ("CD8", "CD8A CD8B"),
        ("anti-human CD8a", "CD8A"),
        ("CD8a-A0046", "CD8A"),
        ("ADT_CD8", "CD8A CD8B"),
        ("CD4_RPA-T4", "CD4"),
        ("CD20-2H7", "MS4A1"),
        ("Hu.CD4_RPA.T4", "CD4"),
        ("HuMs.CD44", "CD44"),
        ("TotalSeq-C0034 anti-human CD3", "CD3D CD3E CD3G"),
        ("mouse anti-human CD4", "CD4"),
        ("hCD4", "CD4"),
        ("CD183:G025H7|CXCR3|AHS0031|pAbO", "CXCR3"),
        ("HLA.DR", "HLA-DRA HLA-DRB1 HLA-DRB5"),
        ("HLA-DR", "HLA-DRA HLA-DRB1 HLA-DRB5"),
        ("HLA-A-B-C", "HLA-A HLA-B HLA-C"),
        ("HLA-A,B,C", "HLA-A HLA-B HLA-C"),
        ("TCR.a.b", "TRAC TRBC1 TRBC2"),
        ("TCRαβ", "TRAC TRBC1 TRBC2"),
        ("TCR γ/δ", "TRDC TRGC1 TRGC2"),
        ("TCR-Va7.2", "TRAV1-2"),
        ("TCR-V-7.2", "TRAV1-2"),
        ("Hu.TCR.Va24.Ja18", "TRAJ18 TRAV10"),
        ("CD11a/CD18 (LFA-1)", "ITGAL ITGB2"),
        ("CD49d", "ITGA4"),
        ("integrinB7", "ITGB7"),
        ("PD-1_TotalSeqB", "PDCD1"),
        ("PD-L1", "CD274"),
        ("4-1BB", "TNFRSF9"),
        ("CD16", "FCGR3A FCGR3B"),
        ("CD16.2", "FCGR3A FCGR3B"),
        ("CD45-1", "PTPRC"),
        ("CD56", "NCAM1"),
        ("CD57", "B3GAT1"),
        ("CD15", "FUT4"),
        ("CD45RA_TotalSeqB", "PTPRC"),
        ("CD158b (KIR2DL2/L3, NKAT2)", "KIR2DL2 KIR2DL3"),
        ("CD66a/c/e", "CEACAM1 CEACAM3 CEACAM5 CEACAM6"),
        ("Ig light chain κ", "IGKC"),
        ("IgG Fc", "IGHG1 IGHG2 IGHG3 IGHG4"),
        ("IgA", "IGHA1 IGHA2"),
        ("CD107a", "LAMP1"),
        ("CD335", "NCR1"),
        ("CD304", "NRP1"),
        ("CD192", "CCR2"),
        ("CCR7", "CCR7"),
        ("CD85j", "LILRB1"),
        ("CD122", "IL2RB"),
        ("CD26", "DPP4"),
        ("CD141 (BDCA-3)", "THBD"),
        ("CD303", "CLEC4C"),
        ("CD1c (BDCA-1)", "CD1C"),
        ("CD268", "TNFRSF13C"),
        ("CD269", "TNFRSF17"),
        ("CD319", "SLAMF7"),
        ("FOXP3", "FOXP3"),
    ],
)
def test_genes_of_human_antigens(name: str, genes: str) -> None:
    assert sorted(identify(name).genes) == genes.split()


@pytest.mark.parametrize(
    ("name", "genes"),
    [
        ("CD45.1", "Ptprc"),
        ("CD45.2_TotalSeqA", "Ptprc"),
        ("CD90.2", "Thy1"),
        ("CD16/32", "Fcgr2b Fcgr3"),
        ("CD16.2", "Fcgr4"),
        ("0118_anti-mouse_NK1_1", "Klrb1c"),
        ("0986_anti-mouse_TCRyd", "Tcrg-C1 Tcrg-C2 Tcrg-C4 Trdc"),
        ("Ly-6A/E (Sca-1)", "Ly6a Ly6e"),
        ("Ly-6G/Ly-6C (Gr-1)", "Ly6c2 Ly6g"),
        ("Gr-1", "Ly6c2 Ly6g"),
        ("F4/80", "Adgre1 Emr1"),
        ("I-A/I-E", "H2-Aa H2-Ab1 H2-Eb1"),
        ("CD8b", "Cd8b1"),
        ("Siglec H", "Siglech"),
        ("CD170 (Siglec-F)", "Siglec5 Siglecf"),
        ("CD317 (BST2, PDCA-1)", "BST2"),
        ("CD23", "Fcer2a"),
        ("CD301b", "Mgl2"),
        ("FR4", "Izumo1r"),
        ("CD4", "CD4"),
    ],
)
def test_genes_of_mouse_antigens(name: str, genes: str) -> None:
    assert sorted(identify(name, "mouse").genes) == genes.split()


@pytest.mark.parametrize(
    ("reason", "names"),
    [
        (
            ISOTYPE,
            "IgG1|mouse IgG2a control|Rat-IgG2b|isotype_RTK4530|Rat IgG2b, κ Isotype Ctrl|Isotype_MOPC.21"
            "|Rag-IgG2c|Rat-IgG1-1|Ms.IgG1|RatIgG2b"
            "|IgG1_control_TotalSeqB|IgG2b_control_TotalSeqB|Armenian Hamster IgG Isotype Ctrl"
            "|Mouse IgG1, κ isotype Ctrl|A0090_Mouse_IgG1_isotype",
        ),
        (
            HASHTAG,
            "HTO1|HTO_A|Hashtag-1|Hashtag_2_TotalSeqB|TotalSeqC Hashtag|0301_anti-mouse_Hashtag1|CMO301"
            "|SampleTag01_hs|anti-human Hashtag 3|HTOB",
        ),
        (CONTROL, "unmapped|no_match|blank|streptavidin|PE|Neg_ctrl|"),
        (UNKNOWN, "XYZ|gene1|spike protein"),
        ("antibody against mouse", "anti-mouse CD4|Ms.CD4|mCD4"),
        ("without a human gene", "NK1.1|Ly-6G|F4/80"),
    ],
)
def test_what_has_no_gene_is_told_apart(reason: str, names: str) -> None:
    assert {name: identify(name).reason for name in names.split("|")} == dict.fromkeys(names.split("|"), reason)


def test_antigens_that_look_like_controls_are_none() -> None:
    assert all(identify(name).genes for name in ("IgM", "IgD", "IgG Fc", "Hu.IgM", "CD158", "PE-CD4"))


def test_weights_tell_isoforms_carbohydrates_and_complexes_apart() -> None:
    assert identify("CD45RO").genes == identify("CD45RA").genes == {"PTPRC": 0.1}
    assert identify("CD45").genes == {"PTPRC": 1}
    assert set(identify("CD3").genes.values()) == {1}
    assert identify("CD15").genes["FUT4"] < 1


def test_the_table_is_large_and_no_name_stands_for_two_antigens() -> None:
    table = antigens()
    assert len({a.name for a in table}) == len(table)
    assert sum(bool(a.genes["human"]) for a in table) >= 400
    assert sum(bool(a.genes["mouse"]) for a in table) >= 300
    for antigen in table:
        for organism in ORGANISMS:
            assert all(0 < weight <= 1 and gene == gene.strip() for gene, weight in antigen.genes[organism].items())
            # the first name of an antigen is not the alias of another one
            found = identify(antigen.name, organism)
            assert not antigen.genes[organism] or found.antigen == antigen.name, (antigen.name, found)


@given(
    st.sampled_from([name for _, names in PANELS.values() for name in names] + ["CD3", "HLA-DR"]),
    st.sampled_from(["", "_TotalSeqB", "-TotalSeqC", "_A0046", ".1", "_prot"]),
    st.sampled_from(["", "ADT_", "prot_", "TotalSeqA_"]),
)
def test_additions_change_nothing(name: str, suffix: str, prefix: str) -> None:
    def genes(text: str, organism: str) -> dict[str, float]:
        # CD45.1 is an allele with a symbol of its own in the table, CD45 takes the human one; case does not matter
        return {gene.upper(): weight for gene, weight in identify(text, organism).genes.items()}

    for organism in ORGANISMS:
        assert genes(prefix + name + suffix, organism) == genes(name, organism)


@given(st.text(max_size=30))
def test_any_text_is_taken(name: str) -> None:
    antibody = identify(name)
    assert bool(antibody.genes) != bool(antibody.reason)
    assert compact(compact(name)) == compact(name)


@pytest.mark.real
@pytest.mark.parametrize(("data", "n"), [("pbmc10k_citeseq", 14), ("bmmc_cite_starter_C0", 134)])
def test_every_protein_of_the_real_panels_is_known(real_data, data: str, n: int) -> None:
    names = mudata.read_h5mu(real_data / f"{data}.h5mu")["adt"].var_names
    assert len(names) == n
    assert [name for name in names if not identify(name).genes] == []
