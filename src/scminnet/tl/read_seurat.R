# Reads a folder that scminnet.tl.export_seurat wrote, with Seurat 4 or later:
#
#   source("cells/read_seurat.R")
#   cells <- read_seurat("cells")
#
# `cells` is a list with a Seurat object for each modality, e.g. `cells$rna`. Its assay is named as the modality.

read_seurat <- function(folder) {
  modalities <- read_text_columns(file.path(folder, "modalities.csv.gz"))
  objects <- Map(read_modality, file.path(folder, modalities$folder), modalities$modality, modalities$slot)
  stats::setNames(objects, modalities$modality)
}

read_modality <- function(folder, modality, slot) {
  features <- utils::read.delim(
    file.path(folder, "features.tsv.gz"),
    header = FALSE, quote = "", colClasses = "character", na.strings = character(), encoding = "UTF-8"
  )
  values <- methods::as(Matrix::readMM(file.path(folder, "matrix.mtx.gz")), "CsparseMatrix")
  obs <- read_obs(folder)
  dimnames(values) <- list(features[[2]], rownames(obs))
  assay <- do.call(SeuratObject::CreateAssayObject, stats::setNames(list(values), slot))
  SeuratObject::Key(assay) <- seurat_key(modality)
  assay <- SeuratObject::AddMetaData(assay, features[[1]], col.name = "name")
  object <- SeuratObject::CreateSeuratObject(assay, assay = modality, meta.data = if (ncol(obs)) obs)
  for (path in list.files(folder, "^reduction_.*[.]csv[.]gz$", full.names = TRUE)) {
    name <- sub("^reduction_(.*)[.]csv[.]gz$", "\\1", basename(path))
    object[[name]] <- read_reduction(path, name, modality)
  }
  object
}

read_obs <- function(folder) {
  obs <- read_text_columns(file.path(folder, "obs.csv.gz"), row.names = 1)
  columns <- read_text_columns(file.path(folder, "obs_columns.csv.gz"))
  for (column in unique(columns$column)) {
    described <- columns[columns$column == column, ]
    text <- obs[[column]]
    obs[[column]] <- switch(described$class[1],
      factor = factor(text, levels = stats::na.omit(described$level)),
      logical = as.logical(text),
      integer = as.integer(text),
      numeric = as.numeric(text),
      text
    )
  }
  obs
}

read_reduction <- function(path, name, assay) {
  points <- as.matrix(utils::read.csv(path, row.names = 1))
  key <- seurat_key(name)
  colnames(points) <- paste0(key, seq_len(ncol(points)))
  SeuratObject::CreateDimReducObject(embeddings = points, key = key, assay = assay)
}

seurat_key <- function(name) paste0(gsub("[^A-Za-z0-9]", "", name), "_")

# Without a guess at types, which would turn "01" into 1. Missing values are empty fields.
read_text_columns <- function(path, ...) {
  utils::read.csv(path, colClasses = "character", na.strings = "", check.names = FALSE, encoding = "UTF-8", ...)
}
