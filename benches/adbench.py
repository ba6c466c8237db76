#!/usr/bin/env python3
"""Anomaly detection on tables of the ADBench collection: trains and scores with the elbo program, prints a table.

Needs Python 3.9 or later, numpy, a built elbo (`cargo build --release`), and a folder with the tables: .npz files with
an array X [rows, columns] and labels y (1 = anomaly), such as https://github.com/Minqi824/ADBench has them.

Every table, protocol and seed is trained with the same command, `elbo train --recipe anomaly --seed S`; labels are never
shown to it. Protocols:

  semi    train on the first half of the normal rows in file order, test on the other half and all anomalies; tables with
          fewer than 1,000 rows are first drawn with replacement to 1,000, larger ones than 50,000 cut to that
          (Livernoche et al. 2023)
  unsup   train on a bootstrap of all rows, test on all rows; small and large tables as above
  clean   train on a random half of the normal rows, test on the rest and all anomalies; no row is drawn twice

The small tables drawn with replacement leak rows from training to test in semi: clean has the figures without that.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

PROTOCOLS = ["semi", "unsup", "clean"]
FEWEST, MOST = 1000, 50_000
METRICS = ["auroc", "average_precision", "precision_at_n"]


def tables(folder):
    """The tables of a folder by name, the numbers before it in their order."""
    paths = sorted(pathlib.Path(folder).glob("*.npz"), key=lambda path: (len(path.stem.split("_")[0]), path.stem))
    if not paths:
        sys.exit(f"{folder}: there are no .npz files")
    return paths


def split(path, protocol, seed):
    """Rows to train on, rows to test on, and whether each of the latter is an anomaly."""
    with np.load(path) as archive:
        rows, anomalous = archive["X"].astype(np.float64), archive["y"].astype(int)
    random = np.random.RandomState(seed)
    if protocol != "clean" and len(rows) < FEWEST:
        drawn = random.choice(len(rows), FEWEST, replace=True)
        rows, anomalous = rows[drawn], anomalous[drawn]
    if len(rows) > MOST:
        drawn = random.choice(len(rows), MOST, replace=False)
        rows, anomalous = rows[drawn], anomalous[drawn]
    if protocol == "unsup":
        return rows[random.choice(len(rows), len(rows), replace=True)], rows, anomalous
    normal = np.flatnonzero(anomalous == 0)
    if protocol == "clean":
        normal = random.permutation(normal)
    train = normal[: len(normal) // 2]
    test = np.setdiff1d(np.arange(len(rows)), train)
    return rows[train], rows[test], anomalous[test]


def elbo(args, words):
    """What a command of the program prints."""
    done = subprocess.run([args.elbo, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"elbo {' '.join(words)}\n{done.stderr.strip()}")
    return done.stdout


def measure(args, path, protocol, seed):
    """AUROC, average precision and precision at n of one model on its test rows."""
    train, test, anomalous = split(path, protocol, seed)
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        np.save(f"{folder}/train.npy", train)
        np.savez(f"{folder}/test.npz", X=test, y=anomalous)
        where = ["--adapter", args.adapter, "--threads", str(args.threads), "--quiet"]
        settings = [word for setting in args.set for word in ("--set", setting)]
        elbo(args, ["train", "--recipe", "anomaly", "--data", f"{folder}/train.npy", "--seed", str(seed), "--out",
                    f"{folder}/run", *where, *settings])
        method = ["--mean-field"] if args.mean_field else []
        said = elbo(args, ["score", f"{folder}/run", "--data", f"{folder}/test.npz", "--labels", "--threshold", "none",
                           "--json", *where, *method])
    ranking = json.loads(said)["ranking"]
    return [100 * ranking[name] for name in METRICS]


def collect(args, names, measure):
    """Figures of every table, protocol and seed; those that are in `args.results` already are not made again."""
    figures, path = {}, pathlib.Path(args.results)
    if path.exists():
        with path.open() as file:
            for table, protocol, seed, *values in list(csv.reader(file))[1:]:
                figures[table, protocol, int(seed)] = [float(value) for value in values]
    else:
        path.write_text(",".join(["table", "protocol", "seed", *METRICS]) + "\n")
    for seed in args.seeds:
        for protocol in args.protocols:
            for table in names:
                if (table.stem, protocol, seed) not in figures:
                    values = figures[table.stem, protocol, seed] = measure(args, table, protocol, seed)
                    with path.open("a") as file:
                        csv.writer(file, lineterminator="\n").writerow([table.stem, protocol, seed, *values])
                    print(f"{table.stem} {protocol} {seed}: {values[0]:.2f}", file=sys.stderr, flush=True)
    return figures


def show(args, names, figures):
    """A table in Markdown: means over the seeds, and of the mean over the tables its deviation between seeds."""
    seeds = ", ".join(map(str, args.seeds))
    print(f"AUROC in per cent, mean of the seeds {seeds}\n")
    print("| table | " + " | ".join(args.protocols) + " |\n|---|" + "---|" * len(args.protocols))
    for table in names:
        means = [np.mean([figures[table.stem, protocol, seed][0] for seed in args.seeds]) for protocol in args.protocols]
        print(f"| {table.stem} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    for at, metric in enumerate(METRICS):
        cells = []
        for protocol in args.protocols:
            of_seeds = [np.mean([figures[table.stem, protocol, seed][at] for table in names]) for seed in args.seeds]
            cells.append(f"{np.mean(of_seeds):.2f} ± {np.std(of_seeds):.2f}")
        print(f"| **mean {metric.replace('_', ' ')}** | " + " | ".join(cells) + " |")


def arguments(description, results):
    """What both programs that measure on these splits take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", help="folder with the .npz files")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2, 3, 4],
                        metavar="S,S,…", help="seeds of the splits and of the training [default: 0,1,2,3,4]")
    parser.add_argument("--protocols", type=lambda text: text.split(","), default=PROTOCOLS, metavar="P,P,…",
                        help="which of semi, unsup and clean [default: all]")
    parser.add_argument("--results", default=results, metavar="FILE.csv",
                        help=f"where figures are kept; those that it has are not made again [default: {results}]")
    return parser


def main():
    parser = arguments(__doc__, "adbench.csv")
    parser.add_argument("--elbo", default="target/release/elbo", help="the program [default: target/release/elbo]")
    parser.add_argument("--adapter", default="cpu", help="as for elbo train [default: cpu]")
    parser.add_argument("--threads", type=int, default=1, metavar="N",
                        help="of the CPU engine; they change no figure, and small networks need one [default: 1]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="try another setting")
    parser.add_argument("--mean-field", action="store_true", help="score by -ELBO at the posterior mean")
    parser.add_argument("--scratch", metavar="DIR", help="where data and runs are put for a moment")
    args = parser.parse_args()
    names = tables(args.tables)
    show(args, names, collect(args, names, measure))


if __name__ == "__main__":
    main()
