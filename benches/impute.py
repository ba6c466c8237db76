#!/usr/bin/env python3
"""Imputation of cells hidden at random: elbo beside the mean, k nearest neighbours and iterative imputation of scikit-learn.

Needs Python 3.9 or later, numpy, scikit-learn, a built elbo (`cargo build --release`), and tables: .npz files with an array X
[rows, columns], such as https://github.com/Minqi824/ADBench has them, and .csv files with a header, whose columns of words are
levels. `cargo run --release --example tutorial_data -- FOLDER` writes one, patients.csv.

Of every table and seed a share of the cells (20 %) is hidden, each by itself, whatever it holds; nothing else is known of
missing cells, and those that the table lacks anyway are not asked for. Every method is given the same cells, and fills them;
elbo trains on the rows with their holes, by the recipe table with the settings of --set (of numbers alone with one deviation for
all of them, gaussian-shared), and fills them by `elbo impute`.

Figures are of hidden cells alone:
  NRMSE     root of the mean of squared errors of numbers, each in deviations of its column (of all its cells, hidden ones
            included)
  accuracy  the share of hidden levels that are told rightly, in per cent

scikit-learn is shown standardised numbers, by the mean and deviation of the cells that are there, and of levels a 1 among
zeros, of which the largest is taken (without the last level where it is shown to IterativeImputer): SimpleImputer, KNNImputer (5 neighbours), IterativeImputer (Bayesian ridge, 10 rounds), the
defaults of each.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

METHODS = ["mean", "kNN", "iterative", "elbo"]
SETTINGS = ["objective.bound=iwae", "objective.samples=10", "train.epochs=100"]
# Of tables of numbers alone: one deviation for all, so that no cell is taken for nearly certain.
NUMBERS = ["model.likelihood=gaussian-shared"]


def read(path, ignored):
    """Names, and columns: floats with NaN, or words with empty ones."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            rows = archive["X"].astype(np.float64)
        return [f"x{at}" for at in range(rows.shape[1])], list(rows.T)
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    kept = [at for at, name in enumerate(header) if name not in ignored]
    columns = []
    for at in kept:
        cells = [row[at] for row in rows]
        try:
            columns.append(np.array([float(cell) if cell else np.nan for cell in cells]))
        except ValueError:
            columns.append(np.array(cells, dtype=object))
    return [header[at] for at in kept], columns


def is_numbers(column):
    return column.dtype != object


def hide(columns, share, random):
    """Which cells are hidden, of those that are there: one mask for each column."""
    masks = []
    for column in columns:
        there = ~np.isnan(column) if is_numbers(column) else column != ""
        masks.append(there & (random.random_sample(len(column)) < share))
    return masks


def hidden(columns, masks):
    gone = []
    for column, mask in zip(columns, masks):
        column = column.copy()
        column[mask] = np.nan if is_numbers(column) else ""
        gone.append(column)
    return gone


def encoded(columns):
    """A matrix for scikit-learn, and how to come back: standardised numbers, a 1 among zeros for levels."""
    parts, back = [], []
    for column in columns:
        if is_numbers(column):
            mean, deviation = np.nanmean(column), np.nanstd(column) or 1.0
            back.append((sum(part.shape[1] for part in parts), 1, (mean, deviation)))
            parts.append(((column - mean) / deviation)[:, None])
        else:
            levels = sorted(set(column) - {""})
            back.append((sum(part.shape[1] for part in parts), len(levels), levels))
            ones = (column[:, None] == np.array(levels, dtype=object)[None, :]).astype(np.float64)
            ones[column == ""] = np.nan
            parts.append(ones)
    return np.hstack(parts), back


def decoded(matrix, back):
    columns = []
    for first, count, how in back:
        part = matrix[:, first:first + count]
        if isinstance(how, tuple):
            columns.append(part[:, 0] * how[1] + how[0])
        else:
            columns.append(np.array(how, dtype=object)[part.argmax(1)])
    return columns


def by_sklearn(method, columns):
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
    imputer = {"mean": SimpleImputer, "kNN": KNNImputer, "iterative": IterativeImputer}[method]()
    if method == "iterative":
        imputer.random_state = 0
    matrix, back = encoded(columns)
    # The last place of a level follows from the others, and ridge would explain each by them, missing as they are.
    last = [first + count - 1 for first, count, how in back if not isinstance(how, tuple)] if method == "iterative" else []
    kept = [at for at in range(matrix.shape[1]) if at not in last]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled = imputer.set_params(keep_empty_features=True).fit_transform(matrix[:, kept] if last else matrix)
    whole = np.empty(matrix.shape)
    whole[:, kept] = filled
    for first, count, _ in [of for of in back if of[0] + of[1] - 1 in last]:
        whole[:, first + count - 1] = 1 - whole[:, first:first + count - 1].sum(1)
    return decoded(whole, back)


def by_elbo(args, names, columns, seed):
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        holes, out = f"{folder}/holes.csv", f"{folder}/filled.csv"
        if all(is_numbers(column) for column in columns):
            # Floats stay floats; a table would round to the digits of a column.
            holes, out = f"{folder}/holes.npy", f"{folder}/filled.npy"
            np.save(holes, np.stack(columns, 1))
        else:
            with open(holes, "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(names)
                cell = lambda value: value if isinstance(value, str) else "" if np.isnan(value) else repr(float(value))
                writer.writerows([cell(column[row]) for column in columns] for row in range(len(columns[0])))
        where = ["--adapter", args.adapter, "--quiet"]
        chosen = (NUMBERS if holes.endswith(".npy") else []) + args.set
        settings = [word for setting in chosen for word in ("--set", setting)]
        run(args, ["train", "--recipe", "table", "--data", holes, "--seed", str(seed), "--set", "data.test=0",
                   "--out", f"{folder}/run", *where, *settings])
        run(args, ["impute", f"{folder}/run", "--out", out, *where, *args.impute.split()])
        if out.endswith(".npy"):
            return list(np.load(out).reshape(len(columns[0]), -1).astype(np.float64).T)
        return read(pathlib.Path(out), [])[1]


def run(args, words):
    done = subprocess.run([args.elbo, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"elbo {' '.join(words)}\n{done.stderr.strip()}")


def figures(columns, masks, filled):
    """NRMSE of hidden numbers, and accuracy of hidden levels, NaN where there are none."""
    squares, right = [], []
    for column, mask, found in zip(columns, masks, filled):
        if is_numbers(column):
            deviation = np.nanstd(column)
            if deviation > 0:
                squares.append(((found[mask].astype(np.float64) - column[mask]) / deviation) ** 2)
        else:
            right.append(found[mask] == column[mask])
    nrmse = np.sqrt(np.concatenate(squares).mean()) if squares else np.nan
    return nrmse, 100 * np.concatenate(right).mean() if right else np.nan


def measure(args, path, method, seed):
    names, columns = read(path, args.ignore)
    masks = hide(columns, args.share, np.random.RandomState(seed))
    gone = hidden(columns, masks)
    begun = time.time()
    filled = by_elbo(args, names, gone, seed) if method == "elbo" else by_sklearn(method, gone)
    return (*figures(columns, masks, filled), time.time() - begun)


def collect(args, tables):
    """Figures of every table, method and seed; those that are in `args.results` already are not made again."""
    found, path = {}, pathlib.Path(args.results)
    if path.exists():
        with path.open() as file:
            for table, method, seed, *values in list(csv.reader(file))[1:]:
                found[table, method, int(seed)] = [float(value) for value in values]
    else:
        path.write_text("table,method,seed,nrmse,accuracy,seconds\n")
    for seed in args.seeds:
        for table in tables:
            for method in args.methods:
                if (table.stem, method, seed) in found:
                    continue
                values = found[table.stem, method, seed] = measure(args, table, method, seed)
                with path.open("a") as file:
                    csv.writer(file, lineterminator="\n").writerow([table.stem, method, seed, *values])
                print(f"{table.stem} {method} {seed}: {values[0]:.4f} {values[1]:.2f} {values[2]:.1f} s",
                      file=sys.stderr, flush=True)
    return found


def show(args, tables, found):
    print(f"mean of the seeds {', '.join(map(str, args.seeds))}, {args.share:.0%} of the cells hidden\n")
    for at, (metric, digits) in enumerate([("NRMSE", 3), ("accuracy", 1)]):
        of = lambda table, method: np.mean([found[table.stem, method, seed][at] for seed in args.seeds])
        shown = [table for table in tables if not np.isnan(of(table, args.methods[0]))]
        if not shown:
            continue
        print(f"| {metric} | " + " | ".join(args.methods) + " |\n|---|" + "---|" * len(args.methods))
        for table in shown:
            print(f"| {table.stem} | " + " | ".join(f"{of(table, method):.{digits}f}" for method in args.methods) + " |")
        means = [np.mean([of(table, method) for table in shown]) for method in args.methods]
        print("| **mean** | " + " | ".join(f"{mean:.{digits}f}" for mean in means) + " |\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=pathlib.Path, help=".npz and .csv files")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2, 3, 4],
                        metavar="S,S,…", help="of what is hidden and of the training [default: 0,1,2,3,4]")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=METHODS, metavar="M,M,…",
                        help="which of mean, kNN, iterative and elbo [default: all]")
    parser.add_argument("--share", type=float, default=0.2, help="of the cells that is hidden [default: 0.2]")
    parser.add_argument("--ignore", action="append", default=["number"], metavar="COLUMN",
                        help="a column of a .csv that is left out [default: number]")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE",
                        help=f"a setting of the training beside those of the recipe table [default: {' '.join(SETTINGS)}]")
    parser.add_argument("--impute", default="", metavar="FLAGS", help="flags of elbo impute, such as '--samples 2000'")
    parser.add_argument("--results", default="impute.csv", metavar="FILE.csv",
                        help="where figures are kept; those that it has are not made again [default: impute.csv]")
    parser.add_argument("--elbo", default="target/release/elbo", help="the program [default: target/release/elbo]")
    parser.add_argument("--adapter", default="cpu", help="as for elbo train [default: cpu]")
    parser.add_argument("--scratch", help="folder for temporary files")
    args = parser.parse_args()
    args.set = SETTINGS if args.set is None else args.set
    show(args, args.tables, collect(args, args.tables))


if __name__ == "__main__":
    main()
