#!/usr/bin/env python3
"""How near samples are to real pictures, and how sharp: for models with the same decoder and another loss.

    elbo reconstruct RUN --part train -n 10000 --out real.npy  # for the examples alone
    elbo embed RUN --part train --out labels.csv               # for the labels alone
    elbo sample RUN -n 5000 --out vae.npy                      # and of every other run
    python3 benches/sharpness.py --real real.npy --labels labels.csv vae.npy gan.npy
    python3 benches/sharpness.py --mnist FOLDER vae.npy gan.npy
    python3 benches/sharpness.py --folder FOLDER --convolutions vae.npy gan.npy

Real pictures are square, grey or in colour: those of a run on data that elbo does not shuffle (glyphs, IDX files), the IDX files of
MNIST, or a folder with a folder of PNG files for each class. On one half of them a small classifier is trained (scikit-learn's MLP, 128
and 64 units; with `--convolutions`, which shapes in any place need, two of these and a dense layer of 64 in PyTorch); the figures compare
samples with the other half:

- frechet: the Fréchet distance |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) between normal distributions fitted to the features of both,
  the 64 units of the classifier's last hidden layer (Heusel et al. 2017, with features of this classifier: figures are comparable
  among runs of this script on the same data, and with nothing else);
- high: the share of the energy of a picture (less its mean) at frequencies above a quarter of a cycle per pixel, a mean over
  pictures and channels: blur loses it. That of real pictures stands in the first line;
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


def planes(array):
    """Pictures [n, height, width] or with channels before or behind, as [n, channels, height, width]."""
    if array.ndim == 3:
        return array[:, None]
    return np.moveaxis(array, -1, 1) if array.shape[-1] in (1, 3) else array


def stored(path, labels):
    with open(labels, newline="") as file:
        names = [row["label"] for row in csv.DictReader(file)]
    # What `elbo reconstruct` writes: all examples, then all reconstructions.
    return planes(np.load(path)[0])[: len(names)], np.unique(names, return_inverse=True)[1]


def folder(path):
    from PIL import Image

    files = sorted(pathlib.Path(path).glob("*/*.png"))
    pictures = np.stack([np.asarray(Image.open(file)) for file in files]) / 255
    return planes(pictures), np.unique([file.parent.name for file in files], return_inverse=True)[1]


def idx(path):
    data = gzip.open(path).read()
    extents = [int.from_bytes(data[4 + 4 * at : 8 + 4 * at], "big") for at in range(data[3])]
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * len(extents)).reshape(extents)


def mnist(folder):
    folder = pathlib.Path(folder)
    pictures = idx(folder / "train-images-idx3-ubyte.gz")[:20000] / 255
    return planes(pictures), idx(folder / "train-labels-idx1-ubyte.gz")[:20000]


def dense(pictures, label):
    """A classifier: features of pictures, and probabilities of their classes."""
    model = MLPClassifier((128, 64), max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pictures.reshape(len(pictures), -1), label)

    def told(pictures):
        h = pictures.reshape(len(pictures), -1)
        sure = model.predict_proba(h)
        for w, b in zip(model.coefs_[:-1], model.intercepts_[:-1]):
            h = np.maximum(h @ w + b, 0)
        return h, sure

    return told


def convolutions(pictures, label, epochs=20):
    """The same by PyTorch, with convolutions."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    channels, side = pictures.shape[1:3]
    body = nn.Sequential(
        nn.Conv2d(channels, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 64), nn.ReLU(),
    )  # fmt: skip
    head = nn.Linear(64, int(label.max()) + 1)
    rule = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)
    x, y = torch.tensor(pictures, dtype=torch.float32), torch.tensor(label, dtype=torch.long)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            rule.zero_grad()
            nn.functional.cross_entropy(head(body(x[rows])), y[rows]).backward()
            rule.step()

    def told(pictures):
        with torch.no_grad():
            h = torch.cat([body(part) for part in torch.tensor(pictures, dtype=torch.float32).split(500)])
            return h.double().numpy(), head(h).softmax(1).numpy()

    return told


def frechet(a, b):
    (m, n), (c, d) = (a.mean(0), b.mean(0)), (np.cov(a.T), np.cov(b.T))
    # A unit that never fires has no variance: a little for all leaves the root as it is.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = sqrtm(c @ d + 1e-9 * np.eye(len(c))).real
    return float(((m - n) ** 2).sum() + np.trace(c + d - 2 * root))


def high(pictures):
    plain = pictures - pictures.mean((2, 3), keepdims=True)
    energy = np.abs(np.fft.fft2(plain)) ** 2
    down, across = (np.fft.fftfreq(side) for side in pictures.shape[2:])
    above = np.hypot(down[:, None], across[None, :]) > 0.25
    return float((energy[..., above].sum(-1) / np.maximum(energy.sum((2, 3)), 1e-12)).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real")
    parser.add_argument("--labels")
    parser.add_argument("--mnist")
    parser.add_argument("--folder")
    parser.add_argument("--convolutions", action="store_true")
    parser.add_argument("samples", nargs="+")
    asked = parser.parse_args()
    if sum(map(bool, (asked.mnist, asked.folder, asked.real and asked.labels))) != 1:
        parser.error("real pictures are --mnist FOLDER, --folder FOLDER, or --real FILE.npy with --labels FILE.csv")
    if asked.real:
        real, label = stored(asked.real, asked.labels)
    else:
        real, label = mnist(asked.mnist) if asked.mnist else folder(asked.folder)
    # Those of a folder come class by class.
    order = np.random.default_rng(0).permutation(len(real))
    real, label, half = real[order], label[order], len(real) // 2
    told = (convolutions if asked.convolutions else dense)(real[:half], label[:half])
    against, sure = told(real[half:])
    score = (sure.argmax(1) == label[half:]).mean()
    print(f"classifier: {100 * score:.1f} % of {len(real) - half} held-out pictures")
    print(f"{'':24} frechet     high   sure")
    rows = [("real, other half", real[:half])]
    rows += [(pathlib.Path(path).stem, planes(np.load(path))) for path in asked.samples]
    for name, pictures in rows:
        shown, sure = told(pictures)
        print(f"{name:24} {frechet(shown, against):7.2f} {high(pictures):8.4f} {sure.max(1).mean():6.3f}")


if __name__ == "__main__":
    main()
