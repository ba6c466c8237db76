"""Counts of genes in cells, with kinds and batches that are known: how well latents keep the kinds apart and mix the batches.

    pip install anndata scanpy            # and scvi-tools, for --scvi
    cargo build --release --features h5ad
    python benches/cells.py --elbo target/release/elbo --seeds 1,2
    python benches/cells.py --elbo target/release/elbo --check          # minutes: files in, latents out, as scanpy reads them
    python benches/cells.py --elbo target/release/elbo --data sample/ --genes 2000 --scvi --seeds 1,2,3    # counts of your own

The data are drawn here: K kinds of cells with shares of genes of their own, a factor for each gene in each batch, a log-normal
library size for each cell, gamma-Poisson counts, and with --zeros P a zero in place of a count with the probability P. Rows are
methods; columns are means over seeds of

    purity   of the 15 nearest neighbours of a cell (scanpy.pp.neighbors on the latents) the share that is of its kind
    mixing   of those the share that is of another batch, over the share of cells that are: 1 where batches lie together
    -ELBO    of the test part, in nats per cell; the same cells for all rows of elbo

With --data, a folder of 10x, nothing is known of the cells. Of each seed another tenth of them is set aside, and all rows are trained on the
same others, with the genes that vary most (scanpy's flavor "cell_ranger") of those in 20
cells or more. Columns are

    -ELBO    of the cells that were set aside, in nats per cell
    alike    of the 15 nearest neighbours of a cell in the latents the share that is among its 15 nearest in 50 principal components of
             log-normalised counts, over all cells
    seconds  of training, with --threads
"""

import argparse
import gzip
import json
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy

warnings.filterwarnings("ignore")
import anndata  # noqa: E402
import pandas  # noqa: E402
import scanpy  # noqa: E402
import scipy.io  # noqa: E402
import scipy.sparse  # noqa: E402

KINDS, BATCHES = 6, 2


def drawn(cells, genes, zeros, seed):
    """An AnnData whose layer `counts` has counts, and whose X is log-normalised as scanpy does it."""
    random = numpy.random.default_rng(seed)
    kind, batch = random.integers(KINDS, size=cells), random.integers(BATCHES, size=cells)
    base = random.normal(0.0, 1.2, genes)
    of_kind = random.normal(0.0, 0.9, (KINDS, genes)) * (random.random((KINDS, genes)) < 0.15)
    of_batch = random.normal(0.0, 0.6, (BATCHES, genes))
    logits = base + of_kind[kind] + of_batch[batch] + random.normal(0.0, 0.1, (cells, genes))
    shares = numpy.exp(logits) / numpy.exp(logits).sum(1, keepdims=True)
    library = numpy.exp(random.normal(numpy.log(1500.0), 0.5, cells))
    theta = numpy.exp(random.normal(1.0, 0.5, genes))
    counts = random.poisson(random.gamma(theta, library[:, None] * shares / theta))
    counts *= random.random(counts.shape) >= zeros
    obs = pandas.DataFrame(
        {"kind": pandas.Categorical([f"kind {k}" for k in kind]), "batch": pandas.Categorical([f"batch {b}" for b in batch])},
        index=[f"CELL{at:05}-1" for at in range(cells)],
    )
    data = anndata.AnnData(scipy.sparse.csr_matrix(counts.astype(numpy.float32)), obs=obs)
    data.var_names = [f"GENE{at}" for at in range(genes)]
    data.layers["counts"] = data.X.copy()
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    return data


def write_10x(data, folder):
    """The counts as Cell Ranger writes them."""
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, data.layers["counts"].T.astype(int), field="integer")
    lines = "".join(f"ENSG{at}\t{gene}\tGene Expression\n" for at, gene in enumerate(data.var_names))
    (folder / "features.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("".join(f"{cell}\n" for cell in data.obs_names).encode()))


def run(elbo, line, at):
    done = subprocess.run([elbo, *line.split()], cwd=at, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"elbo {line}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def judged(data, latents):
    """Purity and mixing of the latents, which are put into `obsm` as scanpy takes them."""
    data.obsm["X_elbo"] = latents
    scanpy.pp.neighbors(data, n_neighbors=16, use_rep="X_elbo", key_added="elbo")
    near = data.obsp["elbo_distances"].tocoo()
    kind, batch = data.obs["kind"].to_numpy(), data.obs["batch"].to_numpy()
    purity = (kind[near.row] == kind[near.col]).mean()
    others = numpy.array([(batch != own).mean() for own in batch])
    return purity, (batch[near.row] != batch[near.col]).mean() / others[near.row].mean()


def latents_of(path, data):
    """Latents by barcode, in the order of the cells."""
    table = pandas.read_csv(path, index_col=0)
    columns = [name for name in table.columns if name.startswith("mean_")]
    return table.loc[data.obs_names, columns].to_numpy()


ROWS = {
    "zero-inflated, library size, batch": "--set model.condition=label",
    "negative binomial, library size, batch": "--set likelihood=negative-binomial --set model.condition=label",
    "zero-inflated, library size": "",
    "negative binomial, library size": "--set likelihood=negative-binomial",
    "negative binomial alone": "--set likelihood=negative-binomial --set library_size=none",
}


def compare(args, seed, at):
    data = drawn(args.cells, args.genes, args.zeros, seed)
    write_10x(data, at / "sample")
    data.obs.to_csv(at / "obs.csv", index_label="barcode")
    found = {}
    scanpy.tl.pca(data, n_comps=10)
    found["PCA of log-normalised counts (scanpy)"] = [*judged(data, data.obsm["X_pca"]), numpy.nan]
    for at_row, (row, settings) in enumerate(ROWS.items()):
        told = "--set data.obs=obs.csv --set data.labels=batch"
        of = f"--data sample --recipe cells {told} {settings} --epochs {args.epochs} --seed {seed}"
        of += f" --set anneal_epochs={args.epochs / 2} --adapter {args.adapter}"
        run(args.elbo, f"train {of} --out run{at_row}", at)
        run(args.elbo, f"embed run{at_row} --out latents.csv", at)
        figures = json.loads(run(args.elbo, f"eval run{at_row} --json", at).splitlines()[-1])
        found[row] = [*judged(data, latents_of(at / "latents.csv", data)), figures["neg_elbo"]]
    if args.scvi:
        found["scvi-tools, zinb, batch"] = of_scvi(data, args, seed)
    return found


def of_scvi(data, args, seed):
    """scVI of the same sizes on all cells but the test part that elbo sets aside: the -ELBO is that of its own test part."""
    import scvi

    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(data, layer="counts", batch_key="batch")
    model = scvi.model.SCVI(data, n_hidden=128, n_latent=10, n_layers=1, gene_likelihood="zinb")
    plan = {"n_epochs_kl_warmup": args.epochs // 2}
    model.train(max_epochs=args.epochs, batch_size=128, train_size=0.9, plan_kwargs=plan, accelerator="cpu")
    # It gives the ELBO itself, a mean over cells.
    elbo = float(model.get_elbo(indices=model.validation_indices, return_mean=True))
    return [*judged(data, model.get_latent_representation()), abs(elbo)]


def given(args, seed, at):
    """Rows of -ELBO of cells that were set aside, neighbours that they keep, and seconds, for counts that somebody else made."""
    data = scanpy.read_10x_mtx(args.data)
    data.var_names_make_unique()
    scanpy.pp.filter_genes(data, min_cells=20)
    data.layers["counts"] = data.X.copy()
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    scanpy.pp.highly_variable_genes(data, n_top_genes=args.genes, flavor="cell_ranger")
    data = data[:, data.var["highly_variable"]].copy()
    data = data[numpy.asarray(data.layers["counts"].sum(1)).ravel() > 0].copy()
    aside = numpy.random.default_rng(seed).permutation(data.n_obs) < data.n_obs // 10
    train, test = data[~aside].copy(), data[aside].copy()
    for name, part in [("train", train), ("test", test), ("all", data)]:
        write_10x(part, at / name)
    scanpy.tl.pca(data, n_comps=50)
    reference = neighbours(data.obsm["X_pca"])

    def alike(latents):
        return numpy.mean([len(set(a) & set(b)) / 15 for a, b in zip(reference, neighbours(latents))])

    found = {"PCA of log-normalised counts (scanpy)": [numpy.nan, alike(data.obsm["X_pca"][:, :10]), numpy.nan]}
    for at_row, (row, settings) in enumerate(ROWS.items()):
        if "label" in settings or "alone" in row:
            continue
        of = f"--data train --recipe cells {settings} --epochs {args.epochs} --seed {seed} --set data.test=0"
        of += f" --set anneal_epochs={args.epochs / 2} --adapter {args.adapter} --threads {args.threads} --no-report"
        began = time.monotonic()
        run(args.elbo, f"train {of} --out run{at_row}", at)
        took = time.monotonic() - began
        run(args.elbo, f"embed run{at_row} --data all --out latents.csv", at)
        figures = json.loads(run(args.elbo, f"eval run{at_row} --data test --part train --json", at).splitlines()[-1])
        found[row] = [figures["neg_elbo"], alike(latents_of(at / "latents.csv", data)), took]
    for likelihood in ["zinb", "nb"] if args.scvi else []:
        import scvi
        import torch

        torch.set_num_threads(args.threads)
        scvi.settings.seed = seed
        scvi.model.SCVI.setup_anndata(train, layer="counts")
        model = scvi.model.SCVI(train, n_hidden=128, n_latent=10, n_layers=1, gene_likelihood=likelihood)
        plan = {"n_epochs_kl_warmup": args.epochs // 2}
        began = time.monotonic()
        model.train(max_epochs=args.epochs, batch_size=128, train_size=1.0, plan_kwargs=plan, accelerator="cpu")
        took = time.monotonic() - began
        elbo = abs(float(model.get_elbo(test, return_mean=True)))
        found[f"scvi-tools, {likelihood}"] = [elbo, alike(model.get_latent_representation(data)), took]
    return found


def neighbours(points):
    """The 15 nearest of each point."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=16).fit(points).kneighbors(points, return_distance=False)[:, 1:]


def check(args, at):
    """Files in, latents out: what scanpy reads has the cells of what was written, and their kinds are apart."""
    data = drawn(600, 200, 0.0, 1)
    write_10x(data, at / "sample")
    data.obs.to_csv(at / "obs.csv", index_label="barcode")
    data.write_h5ad(at / "data.h5ad", compression="gzip")
    told = "--set data.labels=batch --set model.condition=label --adapter cpu"
    run(args.elbo, f"train --data sample --recipe cells --set data.obs=obs.csv {told} --out folder", at)
    run(args.elbo, f"train --data data.h5ad --set data.layer=counts {told} --out file", at)
    for source in ["folder", "file"]:
        run(args.elbo, f"embed {source} --out {source}.csv", at)
        purity, mixing = judged(data, latents_of(at / f"{source}.csv", data))
        print(f"{source}.csv: purity {purity:.3f}, mixing {mixing:.3f}")
        assert purity > 0.85 and mixing > 0.8
    run(args.elbo, "embed file --out latents.h5ad", at)
    back = anndata.read_h5ad(at / "latents.h5ad")
    assert list(back.obs_names) == list(data.obs_names), "the cells are those of the file, in its order"
    assert (back.obs["batch"] == data.obs["batch"]).all(), "so are their batches"
    assert numpy.allclose(back.obsm["X_elbo"], latents_of(at / "file.csv", data), atol=1e-6)
    scanpy.pp.neighbors(back, use_rep="X_elbo")
    assert back.obsp["connectivities"].nnz > 0
    print(f"latents.h5ad: {back.shape[0]} cells, obsm['X_elbo'] {back.obsm['X_elbo'].shape}, neighbours found")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elbo", default="target/release/elbo", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--zeros", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--adapter", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="a folder of 10x")
    parser.add_argument("--scvi", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    if args.check:
        with tempfile.TemporaryDirectory() as folder:
            check(args, Path(folder))
        return
    all_found = []
    for seed in map(int, args.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            all_found.append((given if args.data else compare)(args, seed, Path(folder)))
    if args.data:
        print(f"{args.data}, {args.genes} genes, {args.epochs} epochs, seeds {args.seeds}: -ELBO, alike, seconds")
        for row in all_found[0]:
            figures = numpy.array([found[row] for found in all_found])
            means, deviations = figures.mean(0), figures.std(0)
            print(f"{row:42} {means[0]:.2f} ({deviations[0]:.2f}) {means[1]:.3f} {means[2]:.0f}")
        return
    print(f"{args.cells} cells, {args.genes} genes, {args.zeros} of added zeros, {args.epochs} epochs, seeds {args.seeds}")
    for row in all_found[0]:
        purity, mixing, nats = numpy.mean([found[row] for found in all_found], 0)
        print(f"{row:42} {purity:.3f} {mixing:.3f} {nats:.1f}")


if __name__ == "__main__":
    main()
