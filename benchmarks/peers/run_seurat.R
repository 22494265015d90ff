# Seurat's CCA anchors as in its vignette on scRNA-seq with scATAC-seq. Expression of the other modality is imputed
# from RNA with transfer anchors on the shared features. Principal components embed both together.

here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "exchange.R"))
suppressPackageStartupMessages(library(Seurat))
set.seed(seed)

rna <- read_cells("rna")
second <- setdiff(modalities, "rna")
other <- read_cells(second)

# one feature a gene, under the gene's name
shared <- which(other$kind != "peak" & other$gene %in% rownames(rna$counts))
activity <- other$counts[shared, ]
rownames(activity) <- other$gene[shared]

reference <- CreateSeuratObject(rna$counts)
query <- CreateSeuratObject(activity, assay = "ACTIVITY")
reference <- NormalizeData(reference, verbose = FALSE)
query <- NormalizeData(query, verbose = FALSE, normalization.method = if (second == "adt") "CLR" else "LogNormalize")
if (second == "adt") {
  features <- rownames(activity)
} else {
  reference <- FindVariableFeatures(reference, verbose = FALSE)
  features <- intersect(VariableFeatures(reference), rownames(activity))
}
reference <- ScaleData(reference, features = features, verbose = FALSE)
query <- ScaleData(query, features = features, verbose = FALSE)
dimensions <- seq_len(min(30, length(features) - 1))

anchors <- FindTransferAnchors(
  reference = reference, query = query, features = features, reference.assay = "RNA", query.assay = "ACTIVITY",
  reduction = "cca", dims = dimensions, verbose = FALSE
)
if (second == "adt") {
  weights <- query[["pca"]] <- suppressWarnings(
    RunPCA(query, features = features, npcs = max(dimensions), verbose = FALSE, approx = FALSE)[["pca"]]
  )
} else {
  peaks <- other$counts[other$kind == "peak", ]
  depth <- pmax(colSums(peaks), 1)
  values <- Diagonal(x = ncol(peaks) / pmax(rowSums(peaks), 1)) %*% peaks %*% Diagonal(x = 1e4 / depth)
  values <- log1p(values)
  decomposition <- irlba::irlba(t(values), nv = 50)
  # as Signac: components scaled, the first left out, as it tells depth
  embedding <- scale(decomposition$u)
  rownames(embedding) <- colnames(peaks)
  colnames(embedding) <- paste0("LSI_", seq_len(ncol(embedding)))
  weights <- CreateDimReducObject(embedding, key = "LSI_", assay = "ACTIVITY")
  dimensions <- 2:30
}
imputed <- TransferData(
  anchorset = anchors, refdata = GetAssayData(reference, assay = "RNA", slot = "data")[features, ],
  weight.reduction = weights, dims = dimensions, verbose = FALSE
)
query[["RNA"]] <- imputed
DefaultAssay(query) <- "RNA"
together <- merge(reference, query)
DefaultAssay(together) <- "RNA"
together <- ScaleData(together, features = features, do.scale = FALSE, verbose = FALSE)
together <- RunPCA(
  together, features = features, npcs = min(30, length(features) - 1), verbose = FALSE, approx = length(features) > 50
)
points <- Embeddings(together, "pca")
embedding <- list(points[colnames(reference), ], points[colnames(query), ])
names(embedding) <- c("rna", second)
write_embedding(embedding, c("Seurat", "SeuratObject"))
