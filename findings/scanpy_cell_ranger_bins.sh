#!/usr/bin/env bash
# scanpy's choice of variable genes in the flavor "cell_ranger" fails on counts where a tenth of the genes or more were never seen,
# which every matrix has that a sequencer's software wrote; the flavors "seurat" and, with fewer such genes, "cell_ranger" leave
# them out.
#
# scanpy 1.11.5, anndata 0.12.19, pandas 2.3.3, numpy 2.4.6, Python 3.11.
#
# Guess: a gene without a count has no dispersion and is never chosen, however many there are; both flavors that work on logarithms
# take the matrix as it is.
# Seen: genes are put into bins whose edges are the 10th, 15th, ... 100th percentile of their means. From a tenth of empty genes on
# two edges are the same number (their mean, 0, stands there as 1e-12), and pandas.cut refuses them: ValueError, "Bin edges must be
# unique", which speaks of neither genes nor counts. With fewer empty genes it works and chooses none of them; "seurat" has edges at
# equal distances and works on either. scanpy.pp.filter_genes before it mends it.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'scanpy==1.11.5' 'anndata==0.12.19' 'pandas==2.3.3' 'numpy==2.4.6'
"$folder/venv/bin/python" - <<'END'
import warnings

import anndata
import numpy
import scanpy
import scipy.sparse

warnings.filterwarnings("ignore")
random = numpy.random.default_rng(0)


def chosen(seen, never, flavor):
    """How many of the genes that were never seen are among the 100 chosen."""
    means = numpy.concatenate([numpy.exp(random.normal(-1.0, 1.5, seen)), numpy.zeros(never)])
    counts = scipy.sparse.csr_matrix(random.poisson(means, (300, seen + never)).astype("f4"))
    data = anndata.AnnData(counts)
    scanpy.pp.normalize_total(data)
    scanpy.pp.log1p(data)
    scanpy.pp.highly_variable_genes(data, n_top_genes=100, flavor=flavor)
    return int(data.var["highly_variable"].to_numpy()[seen:].sum())


print("40 of 540 never seen, cell_ranger:", chosen(500, 40, "cell_ranger"), "of them chosen")
print("half never seen, seurat:", chosen(500, 500, "seurat"), "of them chosen")
try:
    chosen(500, 500, "cell_ranger")
except ValueError as error:
    print("half never seen, cell_ranger:", str(error).splitlines()[0][:60])
    assert "Bin edges must be unique" in str(error)
else:
    raise SystemExit("cell_ranger takes genes that were never seen now")
END
