#!/usr/bin/env python3
"""Recommendation beside what people use: trains with the elbo program, ranks with three baselines, prints a table.

Needs Python 3.9 or later, numpy, scipy and a built elbo (`cargo build --release`). The public set is MovieLens 100k as the package
recbole ships it; nothing of that package is run:

    pip download --no-deps recbole==1.2.1 && unzip -p recbole-1.2.1-*.whl recbole/dataset_example/ml-100k/ml-100k.inter > ml-100k.inter
    python benches/recommend.py ml-100k.inter
    python benches/recommend.py --generate 100000x20000 generated.npz      # a set with planted structure, for speed and memory

Users, items and split (Liang et al. 2018, section 4.1, with strong generalisation): ratings of 4 and 5 count as 1, users with fewer
than 5 of them are left out. Of the users, drawn by the seed, --test are for the test and as many for choosing hyperparameters of
the baselines and elbo's epoch count; items that no training user has are left out. Of each such user a fifth of the items, drawn
by the seed, is held back; all are ranked by the rest. elbo is given the training users alone (`elbo train --recipe recommend
--data train.csv`), then `elbo recommend --data shown.csv`, and its file is scored by the same function as the baselines:

  popular   how many training users have the item
  item-kNN  cosine between the columns of items, the k nearest of each; k of 20, 50, 100, 200 by the validation users
  EASE      Steck 2019, arXiv 1905.03375: B = I - P diag(1/diag P), P = (X'X + lambda I)^-1; lambda of 50, 100, 200, 400, 800

Recall@K is hits over min(K, held back), NDCG@K the discounted gain over that of the ideal list, which ends at K as well.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from scipy import sparse

MEASURES = [("recall", 20), ("recall", 50), ("ndcg", 100)]
DEEPEST = 100


def ratings(path):
    """Users and items with a rating of 4 or more, from RecBole's file of tab-separated fields."""
    with open(path, newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [(row["user_id:token"], row["item_id:token"]) for row in rows if float(row["rating:float"]) >= 4]


def split(pairs, test, rng):
    """Training matrix, and for validation and test what is shown and what is held back."""
    own = {}
    for user, item in pairs:
        own.setdefault(user, set()).add(item)
    users = [user for user in sorted(own, key=int) if len(own[user]) >= 5]
    order = rng.permutation(len(users))
    parts = [order[2 * test :], order[test : 2 * test], order[:test]]
    names = sorted({item for at in parts[0] for item in own[users[at]]}, key=int)
    place = {item: at for at, item in enumerate(names)}
    of = [[sorted(place[item] for item in own[users[at]] if item in place) for at in part] for part in parts]
    matrices = []
    for rows in of[1:]:
        rows = [row for row in rows if len(row) >= 2]
        shown, held = [], []
        for row in rows:
            row = rng.permutation(row)
            back = min(max(round(0.2 * len(row)), 1), len(row) - 1)
            held.append(set(row[:back].tolist()))
            shown.append(row[back:])
        matrices.append((matrix(shown, len(names)), held))
    return matrix(of[0], len(names)), matrices


def matrix(rows, width):
    indices = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    starts = np.cumsum([0] + [len(row) for row in rows])
    return sparse.csr_matrix((np.ones(len(indices)), indices, starts), shape=(len(rows), width))


def lists(scores, shown):
    """The first items of each row by their scores, without those that are shown."""
    scores = np.asarray(scores, dtype=np.float64).copy()
    scores[shown.nonzero()] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :DEEPEST]


def measured(rankings, held):
    """Means over users and their standard errors."""
    found = []
    for what, k in MEASURES:
        each = []
        for ranking, back in zip(rankings, held):
            hits = np.array([item in back for item in ranking[:k]], dtype=float)
            ideal = min(k, len(back))
            gains = 1 / np.log2(np.arange(2, k + 2))
            each.append(hits.sum() / ideal if what == "recall" else (hits * gains[: len(hits)]).sum() / gains[:ideal].sum())
        found.append((np.mean(each), np.std(each) / len(each) ** 0.5))
    return found


def knn(train, k):
    norms = np.sqrt(np.asarray(train.multiply(train).sum(0)).ravel())
    near = (train.T @ train).toarray() / np.maximum(np.outer(norms, norms), 1e-12)
    np.fill_diagonal(near, 0)
    cut = np.partition(near, -k, axis=1)[:, -k][:, None]
    return np.where(near >= cut, near, 0).T


def ease(train, weight):
    gram = (train.T @ train).toarray()
    inverse = np.linalg.inv(gram + weight * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def tuned(make, choices, train, validation):
    """The choice with the best NDCG of validation users, and its weights."""
    shown, held = validation
    rated = [(measured(lists(shown @ make(train, choice), shown), held)[-1][0], choice) for choice in choices]
    best = max(rated)[1]
    return best, make(train, best)


def save(path, matrix, prefix):
    rows, columns = matrix.nonzero()
    with open(path, "w") as file:
        file.write("user,item\n")
        file.writelines(f"{prefix}{row},{column}\n" for row, column in zip(rows, columns))


def elbo(args, train, validation, test, seed, folder):
    """The number of epochs that is best for the validation users, and the lists of the test users."""
    save(folder / "train.csv", train, "t")
    for name, (shown, _) in [("validation", validation), ("test", test)]:
        save(folder / f"{name}.csv", shown, "")

    def run(*words):
        subprocess.run([args.elbo, *map(str, words), "--adapter", args.adapter, "--quiet"], check=True, cwd=folder, stdout=subprocess.DEVNULL)

    def ranked(epochs, name, users):
        run("recommend", f"run{epochs}", "--data", f"{name}.csv", "--top", DEEPEST, "--out", "next.csv")
        found = [[] for _ in range(users)]
        with open(folder / "next.csv", newline="") as file:
            for row in csv.DictReader(file):
                found[int(row["user"])].append(int(row["item"]))
        return found

    best = None
    for epochs in args.epochs:
        words = ["--set", "data.test=0", "--set", f"data.source=train.csv", "--seed", seed, *args.set]
        run("train", "--recipe", "recommend", *words, "--epochs", epochs, "--out", f"run{epochs}")
        (shown, held) = validation
        quality = measured(ranked(epochs, "validation", shown.shape[0]), held)[-1][0]
        best = max(best or (0, 0), (quality, epochs))
    return best[1], ranked(best[1], "test", test[0].shape[0])


def generate(shape, out, rng):
    """Users of 50 kinds who choose 50 to 150 items, four fifths of them of their kind, by popularities that fall like 1/rank."""
    users, items = (int(extent) for extent in shape.split("x"))
    kinds = rng.integers(0, 50, users)
    weights = 1 / np.arange(1, items + 1) ** 0.8
    everything = weights / weights.sum()
    of_kind = [np.flatnonzero(np.arange(items) % 50 == kind) for kind in range(50)]
    shares = [weights[own] / weights[own].sum() for own in of_kind]
    rows = []
    for kind in kinds:
        count = rng.integers(50, 151)
        own = rng.choice(of_kind[kind], int(0.8 * count), p=shares[kind])
        rows.append(np.unique(np.concatenate([own, rng.choice(items, count - len(own), p=everything)])))
    made = matrix(rows, items)
    sparse.save_npz(out, made.astype(np.int8))
    print(f"{out}: {users} users, {items} items, {made.nnz} interactions")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=pathlib.Path, help="ml-100k.inter, or with --generate the file to write")
    parser.add_argument("--generate", metavar="USERSxITEMS")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--test", type=int, default=150, help="users for the test, and as many for validation")
    parser.add_argument("--epochs", default="40,80,160", help="epochs to choose from by the validation users")
    parser.add_argument("--set", action="append", default=[], help="further words for elbo train, such as --set=--latent=64")
    parser.add_argument("--elbo", default=str(pathlib.Path("target/release/elbo").absolute()))
    parser.add_argument("--adapter", default="cpu")
    args = parser.parse_args()
    args.epochs = [int(epochs) for epochs in args.epochs.split(",")]
    if args.generate:
        return generate(args.generate, args.data, np.random.default_rng(0))
    pairs = ratings(args.data)
    table = {}
    for seed in map(int, args.seeds.split(",")):
        train, (validation, test) = split(pairs, args.test, np.random.default_rng(seed))
        shown, held = test
        print(f"seed {seed}: {train.shape[0]} training users, {train.shape[1]} items, {len(held)} test users", file=sys.stderr)
        popular = np.asarray(train.sum(0)).ravel()
        rows = [("popular", "", lists(np.tile(popular, (len(held), 1)), shown))]
        k, weights = tuned(knn, [20, 50, 100, 200], train, validation)
        rows.append(("item-kNN", f"k = {k}", lists(shown @ weights, shown)))
        weight, weights = tuned(ease, [50, 100, 200, 400, 800], train, validation)
        rows.append(("EASE", f"lambda = {weight}", lists(shown @ weights, shown)))
        with tempfile.TemporaryDirectory() as folder:
            epochs, rankings = elbo(args, train, validation, test, seed, pathlib.Path(folder))
        rows.append(("elbo", f"{epochs} epochs", rankings))
        for name, chosen, rankings in rows:
            found = [mean for mean, _ in measured(rankings, held)]
            print(f"  {name:9} {chosen:14}" + "".join(f"{value:9.4f}" for value in found), file=sys.stderr)
            table.setdefault(name, []).append(found)
    print("          " + "".join(f"{f'{what}@{k}':>20}" for what, k in MEASURES))
    for name, found in table.items():
        means, errors = np.mean(found, 0), np.std(found, 0) / max(len(found) - 1, 1) ** 0.5
        print(f"{name:10}" + "".join(f"{f'{mean:.4f} ± {error:.4f}':>20}" for mean, error in zip(means, errors)))


if __name__ == "__main__":
    main()
