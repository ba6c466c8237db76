#!/usr/bin/env python3
"""Directions of attributes, learned a second time with NumPy and scikit-learn.

    elbo embed RUN --part train --out codes.csv
    elbo attributes RUN --method METHOD --out ways.json
    python3 benches/attributes.py codes.csv ways.json

For runs whose training part has no more examples than `elbo attributes -n` takes, and attributes by the labels of the data. Prints
for each attribute the angle between both directions and the difference of their lengths, and exits with 1 where they differ.
"""

import json
import sys

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression


def direction(codes, having, kept):
    """The way of strength 1."""
    apart = codes[having].mean(0) - codes[~having].mean(0)
    if kept["method"] == "mean":
        return apart
    if kept["method"] == "logistic":
        model = LogisticRegression(C=1 / kept["penalty"], solver="newton-cholesky", tol=1e-12, max_iter=1000)
    else:
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=kept["penalty"])
    normal = model.fit(codes, having).coef_[0]
    return abs(apart @ normal) / (normal @ normal) * normal


def main():
    table, kept = pd.read_csv(sys.argv[1], dtype={"label": str}), json.load(open(sys.argv[2]))
    codes = table.filter(regex="^mean_").to_numpy(np.float64)
    worst = 0.0
    for attribute in kept["attributes"]:
        own = np.array(attribute["direction"])
        other = direction(codes, (table["label"] == attribute["with"]).to_numpy(), kept)
        off = np.linalg.norm(own - other) / np.linalg.norm(other)
        worst = max(worst, off)
        print(f"{attribute['name']:20} {np.linalg.norm(own):9.5f} {np.linalg.norm(other):9.5f} {off:.1e} apart")
    sys.exit(int(worst > 1e-4))


main()
