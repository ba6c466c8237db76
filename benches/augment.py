#!/usr/bin/env python3
"""More rows of a rare class: elbo beside nothing, SMOTE (imbalanced-learn) and TVAE (ctgan), by what a classifier makes of them.

Needs Python 3.9 or later, numpy, scikit-learn, imbalanced-learn, for TVAE ctgan, a built elbo (`cargo build --release`), and
tables: .npz files with an array X [rows, columns] and labels y, 1 for the rare class, such as https://github.com/Minqi824/ADBench
has them.

Of every table and seed three tenths of the rows of each class are held out. Every method is given the other rows, and makes as many
of the rare class as there are of the frequent one; a classifier is fitted to old and new rows together and judged by the held-out
rows. Classifiers are scikit-learn's: a random forest (200 trees) and a logistic regression on standardised columns, otherwise with
their defaults.

  none       the rows as they are
  SMOTE      imbalanced-learn's with its defaults: between a row and one of its 5 nearest neighbours of the class, columns standardised
  TVAE       ctgan's with its defaults (300 epochs) on the rows with their class as a discrete column; it is sampled until there are
             enough rows of the class
  prior      elbo, told the class (condition=label): `elbo augment`, latents from the prior
  posterior  the same model: `elbo augment --from posterior`, latents from rows of the class
  untold     elbo without the class: `elbo augment`, latents from rows of the class

Figures are means and deviations over seeds: balanced accuracy, and average precision of the rare class.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

METHODS = ["none", "SMOTE", "TVAE", "prior", "posterior", "untold"]
# Nothing is held out a second time: there are few rows of the class as it is.
SETTINGS = ["data.test=0", "data.validation=0", "train.epochs=200", "model.likelihood=gaussian-shared"]


def by_smote(x, y, seed, _):
    from imblearn.over_sampling import SMOTE

    scale = StandardScaler().fit(x)
    rows, labels = SMOTE(random_state=seed).fit_resample(scale.transform(x), y)
    new = slice(len(x), None)
    return scale.inverse_transform(rows[new]), labels[new]


def by_tvae(x, y, seed, _):
    import pandas
    import torch
    from ctgan import TVAE

    np.random.seed(seed)
    torch.manual_seed(seed)
    names = [f"x{at}" for at in range(x.shape[1])]
    frame = pandas.DataFrame(x, columns=names)
    frame["y"] = y.astype(str)
    model = TVAE(enable_gpu=False)
    model.fit(frame, ["y"])
    wanted, found = (y == 0).sum() - (y == 1).sum(), []
    for _ in range(50):
        drawn = model.sample(20_000)
        found.append(drawn[drawn["y"] == "1"][names].to_numpy())
        if sum(map(len, found)) >= wanted:
            break
    rows = np.concatenate(found)[:wanted]
    return rows, np.ones(len(rows), int)


def by_elbo(how):
    def augment(x, y, seed, args):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            np.savez(folder / "t.npz", X=x, y=y)
            train = ["train", "--recipe", "table", "--data", folder / "t.npz", "--seed", seed, "--out", folder / "run"]
            for setting in SETTINGS + args.set + ([] if how == "untold" else ["model.condition=label"]):
                train += ["--set", setting]
            call(args.elbo, train)
            more = ["augment", folder / "run", "--seed", seed, "--only-new", "--out", folder / "more.npz"]
            call(args.elbo, more + (["--from", "posterior"] if how == "posterior" else []))
            with np.load(folder / "more.npz") as new:
                assert new["synthetic"].all()
                return new["x"].astype(float), new["y"]

    return augment


def call(elbo, arguments):
    done = subprocess.run([elbo, *map(str, arguments), "--adapter", "cpu", "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"elbo {' '.join(map(str, arguments))}: {done.stderr}")


MAKERS = {"SMOTE": by_smote, "TVAE": by_tvae, **{how: by_elbo(how) for how in METHODS[3:]}}


def judged(x, y, held_x, held_y, seed):
    figures = []
    for classifier in [
        RandomForestClassifier(200, random_state=seed),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    ]:
        classifier.fit(x, y)
        probability = classifier.predict_proba(held_x)[:, 1]
        figures += [balanced_accuracy_score(held_y, probability > 0.5), average_precision_score(held_y, probability)]
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=pathlib.Path)
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--set", action="append", default=[], help="a setting of elbo's training, KEY=VALUE")
    parser.add_argument("--elbo", default="target/release/elbo")
    args = parser.parse_args()
    args.elbo = pathlib.Path(args.elbo).resolve()
    warnings.filterwarnings("ignore")
    names = ["forest: balanced accuracy", "average precision", "logistic: balanced accuracy", "average precision"]
    print("table | method | " + " | ".join(names) + " | new rows | seconds")
    for path in args.tables:
        with np.load(path) as archive:
            x, y = archive["X"].astype(float), archive["y"].astype(int)
        for method in args.methods.split(","):
            figures, count, begun = [], 0, time.time()
            for seed in map(int, args.seeds.split(",")):
                split = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
                train_x, held_x, train_y, held_y = split
                if method != "none":
                    new_x, new_y = MAKERS[method](train_x, train_y, seed, args)
                    count = len(new_x)
                    train_x, train_y = np.concatenate([train_x, new_x]), np.concatenate([train_y, new_y])
                figures.append(judged(train_x, train_y, held_x, held_y, seed))
            all_of = np.array(figures)
            cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(all_of.mean(0), all_of.std(0, ddof=1))]
            print(f"{path.stem} | {method} | " + " | ".join(cells) + f" | {count} | {time.time() - begun:.0f}", flush=True)


if __name__ == "__main__":
    main()
