# Reads what exchange.py writes, and writes an embedding, for methods in R. Needs hdf5r and Matrix.

library(Matrix)

arguments <- commandArgs(trailingOnly = TRUE)
task <- arguments[1]
out <- arguments[2]
seed <- as.integer(arguments[3])

modalities <- gsub('"', "", regmatches(
  readLines(file.path(task, "task.json"), warn = FALSE),
  gregexpr('"(rna|adt|chromatin)"', readLines(file.path(task, "task.json"), warn = FALSE))
)[[1]])

# Counts of a modality as features x cells, and its features' kinds and genes.
read_cells <- function(modality) {
  file <- hdf5r::H5File$new(file.path(task, "cells", paste0(modality, ".h5ad")), mode = "r")
  on.exit(file$close_all())
  names_of <- function(group) {
    index <- hdf5r::h5attr(file[[group]], "_index")
    file[[paste0(group, "/", index)]][]
  }
  column <- function(path) {
    found <- file[[path]]
    if (inherits(found, "H5D")) return(found[])
    if (found$exists("categories")) return(found[["categories"]][][found[["codes"]][] + 1])
    found[["values"]][]
  }
  cells <- names_of("obs")
  features <- names_of("var")
  counts <- file[["layers/counts"]]
  # rows of a CSR matrix are the columns of R's
  matrix <- sparseMatrix(
    i = counts[["indices"]][] + 1, p = counts[["indptr"]][], x = as.numeric(counts[["data"]][]),
    dims = c(length(features), length(cells)), dimnames = list(features, cells)
  )
  list(counts = matrix, kind = column("var/kind"), gene = column("var/gene"))
}

# Embedding: a matrix cells x dimensions a modality.
write_embedding <- function(embedding, packages) {
  dir.create(out, recursive = TRUE, showWarnings = FALSE)
  for (modality in names(embedding)) {
    write.table(
      embedding[[modality]], file.path(out, paste0(modality, ".csv")), sep = ",", row.names = FALSE, col.names = FALSE
    )
  }
  versions <- vapply(packages, function(package) as.character(utils::packageVersion(package)), "")
  text <- paste0('"', c("R", packages), '": "', c(paste(R.version$major, R.version$minor, sep = "."), versions), '"')
  writeLines(paste0("{", paste(text, collapse = ", "), "}"), file.path(out, "versions.json"))
}
