#!/usr/bin/env python3
"""Scores of disentanglement, computed a second time: MIG, modularity, SAP and DCI by NumPy and scikit-learn.

    elbo disentangle RUN --out scored --json > scored/elbo.json
    python3 benches/disentangle.py scored

Reads `codes.npy` [examples, latents] and `factors.npy` [examples, factors] and, where it is there, `elbo.json`, to print both
beside each other. MIG, modularity and R² are the same formulas and are to agree to five places; the script exits with 1
where they do not. DCI is told by scikit-learn's gradient boosting, which is the published choice and another model than elbo's
bagged trees: it agrees in kind, not in digits.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import mutual_info_score

BINS = 20


def information(codes, factors):
    """I(z; v) in nats, latents by factors, of latents cut into intervals of equal width."""
    bins = [np.digitize(z, np.histogram(z, BINS)[1][1:-1]) for z in codes.T.astype(np.float64)]
    return np.array([[mutual_info_score(z, v) for v in factors.T] for z in bins])


def gaps(told):
    """The best less the next best of each column."""
    order = np.sort(told, axis=0)
    return order[-1] - order[-2]


def concentration(parts, axis):
    """1 less the entropy of shares along an axis to the base of their number."""
    shares = parts / np.maximum(parts.sum(axis, keepdims=True), 1e-300)
    logs = np.log(np.where(shares > 0, shares, 1))
    return 1 + (shares * logs).sum(axis) / np.log(parts.shape[axis])


def dci(codes, factors):
    """Disentanglement, completeness and informativeness by a forest of scikit-learn, and accuracy by its boosting."""
    end = len(codes) - len(codes) // 3
    importance, accuracy, boosted = [], [], []
    for v in factors.T:
        forest = RandomForestClassifier(50, max_features=None, min_samples_leaf=5, max_depth=10, random_state=0)
        forest.fit(codes[:end], v[:end])
        importance.append(forest.feature_importances_)
        accuracy.append(forest.score(codes[end:], v[end:]))
        boost = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(codes[:end], v[:end])
        boosted.append(boost.score(codes[end:], v[end:]))
    importance = np.array(importance).T
    weights = importance.sum(1) / importance.sum()
    scores = (weights * concentration(importance, 1)).sum(), concentration(importance, 0).mean()
    return *scores, np.mean(accuracy), np.mean(boosted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    codes, factors = (np.load(folder / f"{name}.npy") for name in ("codes", "factors"))
    factors = factors.astype(np.int64)
    mutual = information(codes, factors)
    entropies = np.array([mutual_info_score(v, v) for v in factors.T])
    squares = np.square(mutual)
    rest = squares.sum(1) - squares.max(1)
    r2 = np.square(np.corrcoef(codes.T.astype(np.float64), factors.T)[: codes.shape[1], codes.shape[1] :])
    disentanglement, completeness, accuracy, boosted = dci(codes, factors)
    own = {
        "MIG": (gaps(mutual) / entropies).mean(),
        "modularity": (1 - rest / (squares.max(1) * (factors.shape[1] - 1))).mean(),
        "disentanglement": disentanglement,
        "completeness": completeness,
        "informativeness": accuracy,
    }
    path, wrong = folder / "elbo.json", []
    elbo = json.loads(path.read_text()) if path.is_file() else None
    theirs = {} if elbo is None else {"MIG": elbo["mig"], "modularity": elbo["modularity"], **elbo["dci"]}
    for name, value in own.items():
        print(f"{name:24} {value:10.6f} {theirs.get(name, float('nan')):10.6f}")
        if elbo and name in ("MIG", "modularity") and abs(value - theirs[name]) > 1e-5:
            wrong.append(name)
    print(f"{'accuracy by boosting':24} {boosted:10.6f}")
    for k, gap in enumerate(gaps(r2)):
        told = elbo["factors"][k] if elbo else {"name": k, "sap": float("nan"), "ordered": True}
        if told["ordered"]:
            print(f"{'SAP of ' + str(told['name']):24} {gap:10.6f} {told['sap']:10.6f}")
            if elbo and abs(gap - told["sap"]) > 1e-5:
                wrong.append(f"SAP of {told['name']}")
    sys.exit(f"elbo says otherwise: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
