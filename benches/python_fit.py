#!/usr/bin/env python3
"""What `elbo.VAE().fit(X)` costs over the program's own time: a table of 10,000 rows and 30 columns from NumPy.

  pip install ./python
  python benches/python_fit.py --elbo target/release/elbo

Both train the same run, by turns: the program reads an .npy file that is there, Python begins with the array in memory. The last
line is JSON with the medians of the rounds in seconds and their ratio.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import elbo
import numpy as np

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--elbo", default="elbo", help="the program")
arguments.add_argument("--adapter", default="cpu")
arguments.add_argument("--rows", type=int, default=10000)
arguments.add_argument("--columns", type=int, default=30)
arguments.add_argument("--epochs", type=int, default=20)
arguments.add_argument("--rounds", type=int, default=5)
a = arguments.parse_args()

draw = np.random.default_rng(0)
factors = draw.standard_normal((a.rows, 5))
X = (factors @ draw.standard_normal((5, a.columns)) + draw.standard_normal((a.rows, a.columns))).astype(np.float32)


def program(folder):
    words = ["train", "--data", f"{folder}/x.npy", "--recipe", "table", "--adapter", a.adapter, "--quiet"]
    words += ["--epochs", str(a.epochs), "--set", "data.test=0", "--set", "data.validation=0", "--out", f"{folder}/run"]
    began = time.perf_counter()
    subprocess.run([a.elbo, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def python():
    began = time.perf_counter()
    elbo.VAE("table", epochs=a.epochs, adapter=a.adapter).fit(X)
    return time.perf_counter() - began


seconds = {"program": [], "python": []}
for _ in range(a.rounds):
    with tempfile.TemporaryDirectory() as folder:
        np.save(os.path.join(folder, "x.npy"), X)
        seconds["program"].append(program(folder))
    seconds["python"].append(python())
medians = {name: statistics.median(of) for name, of in seconds.items()}
print(json.dumps({"rows": a.rows, "columns": a.columns, "epochs": a.epochs, **medians, "ratio": medians["python"] / medians["program"]}))
