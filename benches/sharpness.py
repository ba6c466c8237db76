#!/usr/bin/env python3
"""How near samples are to real pictures, and how sharp: for models with the same decoder and another loss.

    elbo reconstruct RUN --part train -n 10000 --out real.npy  # for the examples alone
    elbo embed RUN --part train --out labels.csv               # for the labels alone
    elbo sample RUN -n 5000 --out vae.npy                      # and of every other run
    python3 benches/sharpness.py --real real.npy --labels labels.csv vae.npy gan.npy
    python3 benches/sharpness.py --mnist FOLDER vae.npy gan.npy

Real pictures are 28 by 28, those of any run on them, or read from the IDX files of MNIST. On one half of them a
small classifier is trained (scikit-learn's MLP, 128 and 64 units); the figures compare samples with the other half:

- frechet: the Fréchet distance |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) between normal distributions fitted to the features of both,
  the 64 units of the classifier's last hidden layer (Heusel et al. 2017, with features of this classifier: figures are comparable
  among runs of this script on the same data, and with nothing else);
- high: the share of the energy of a picture (less its mean) at frequencies above a quarter of a cycle per pixel, a mean over
  pictures: blur loses it. That of real pictures stands in the first line;
- sure: the mean of the largest class probability.

The first line compares the second half of the real pictures with the first, which is as near as samples can come.
"""

import argparse
import csv
import gzip
import pathlib
import warnings

import numpy as np
from scipy.linalg import sqrtm
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

SIDE = 28


def stored(path, labels):
    with open(labels, newline="") as file:
        label = np.array([int(row["label"]) for row in csv.DictReader(file)])
    # What `elbo reconstruct` writes: all examples, then all reconstructions.
    return np.load(path)[0].reshape(-1, SIDE, SIDE)[: len(label)], label


def idx(path):
    data = gzip.open(path).read()
    extents = [int.from_bytes(data[4 + 4 * at : 8 + 4 * at], "big") for at in range(data[3])]
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * len(extents)).reshape(extents)


def mnist(folder):
    folder = pathlib.Path(folder)
    return idx(folder / "train-images-idx3-ubyte.gz")[:20000] / 255, idx(folder / "train-labels-idx1-ubyte.gz")[:20000]


def features(model, pictures):
    h = pictures.reshape(len(pictures), -1)
    for w, b in zip(model.coefs_[:-1], model.intercepts_[:-1]):
        h = np.maximum(h @ w + b, 0)
    return h


def frechet(a, b):
    (m, n), (c, d) = (a.mean(0), b.mean(0)), (np.cov(a.T), np.cov(b.T))
    # A unit that never fires has no variance: a little for all leaves the root as it is.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = sqrtm(c @ d + 1e-9 * np.eye(len(c))).real
    return float(((m - n) ** 2).sum() + np.trace(c + d - 2 * root))


def high(pictures):
    plain = pictures - pictures.mean((1, 2), keepdims=True)
    energy = np.abs(np.fft.fft2(plain)) ** 2
    f = np.fft.fftfreq(SIDE)
    above = np.hypot(f[:, None], f[None, :]) > 0.25
    return float((energy[:, above].sum(1) / np.maximum(energy.sum((1, 2)), 1e-12)).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real")
    parser.add_argument("--labels")
    parser.add_argument("--mnist")
    parser.add_argument("samples", nargs="+")
    asked = parser.parse_args()
    if bool(asked.mnist) == bool(asked.real and asked.labels):
        parser.error("real pictures are --mnist FOLDER, or --real FILE.npy with --labels FILE.csv")
    real, label = mnist(asked.mnist) if asked.mnist else stored(asked.real, asked.labels)
    half = len(real) // 2
    model = MLPClassifier((128, 64), max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(real[:half].reshape(half, -1), label[:half])
    score = model.score(real[half:].reshape(len(real) - half, -1), label[half:])
    print(f"classifier: {100 * score:.1f} % of {len(real) - half} held-out pictures")
    against = features(model, real[half:])
    print(f"{'':24} frechet     high   sure")
    rows = [("real, other half", real[:half])]
    rows += [(pathlib.Path(path).stem, np.load(path).reshape(-1, SIDE, SIDE)) for path in asked.samples]
    for name, pictures in rows:
        sure = model.predict_proba(pictures.reshape(len(pictures), -1)).max(1).mean()
        print(f"{name:24} {frechet(features(model, pictures), against):7.2f} {high(pictures):8.4f} {sure:6.3f}")


if __name__ == "__main__":
    main()
