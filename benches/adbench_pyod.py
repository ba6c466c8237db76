#!/usr/bin/env python3
"""PyOD's VAE on the splits of adbench.py, with PyOD's own defaults, for comparison.

Needs what adbench.py needs but elbo, and `pip install pyod torch tqdm scikit-learn`. Columns are standardised with the
training rows, as elbo does by itself. PyOD's scores are squared reconstruction errors; higher = more anomalous.
"""

import random

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

import adbench


def measure(args, path, protocol, seed):
    """AUROC, average precision and precision at n of one model on its test rows."""
    import torch
    from pyod.models.vae import VAE

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    train, test, anomalous = adbench.split(path, protocol, seed)
    scaler = StandardScaler().fit(train)
    model = VAE(random_state=seed, verbose=0)
    model.fit(scaler.transform(train))
    scores = np.nan_to_num(model.decision_function(scaler.transform(test)), posinf=1e30, nan=1e30)
    highest = np.argsort(-scores, kind="stable")[: anomalous.sum()]
    return [100 * value for value in (roc_auc_score(anomalous, scores), average_precision_score(anomalous, scores),
                                      anomalous[highest].mean())]


def main():
    parser = adbench.arguments(__doc__, "adbench-pyod.csv")
    args = parser.parse_args()
    names = adbench.tables(args.tables)
    adbench.show(args, names, adbench.collect(args, names, measure))


if __name__ == "__main__":
    main()
