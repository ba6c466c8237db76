#!/usr/bin/env python3
"""Methods of disentanglement beside each other on `sprites`: trains each with several seeds, scores all by `elbo disentangle`.

    python3 benches/methods.py FOLDER [--seeds 0,1,2] [--epochs 40] [--elbo PROGRAM] [--jobs 2]

All methods have the same network and the same updates, and differ in what METHODS says alone. Runs are kept in FOLDER: what was
scored is not trained again, and what was cut off goes on. Prints the commands, then a table of means and deviations over seeds (n - 1
in the denominator). Scores are of the last epoch.
"""

import argparse
import concurrent.futures
import json
import pathlib
import shlex
import statistics
import subprocess

COMMON = "--data sprites --recipe classic --set hidden=[256,128] --latent 10 --batch 64"
METHODS = {
    "VAE": "",
    "β-VAE, β = 4": "--beta 4",
    "β-TC-VAE, β = 6": "--set tc=6",
    "FactorVAE, γ = 20": "--set factor=20 --set model.discriminator=[256,256,256]",
    "DIP-VAE-I, λ_od = 10, λ_d = 100": "--set covariance=10 --set variance=100",
}
SCORES = {
    "MIG": lambda of: of["mig"],
    "D": lambda of: of["dci"]["disentanglement"],
    "C": lambda of: of["dci"]["completeness"],
    "I": lambda of: of["dci"]["informativeness"],
    "SAP": lambda of: of["sap"],
    "FactorVAE": lambda of: of["factor_vae"],
    "modularity": lambda of: of["modularity"],
}


def name(method):
    return method.split(",")[0].replace("β", "beta").lower()


def told(args, *words):
    done = subprocess.run([args.elbo, *words, "--adapter", "cpu"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run(args, method, seed):
    """Scores and -ELBO of the test part, of one run."""
    folder = args.folder / f"{name(method)}-{seed}"
    kept = args.folder / f"{folder.name}-epochs-{args.epochs}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    words = f"{COMMON} {METHODS[method]} --seed {seed} --epochs {args.epochs} --adapter cpu --threads 1 --quiet"
    train = ["train", *words.split(), "--out", str(folder)]
    if (folder / "checkpoints" / "last").exists():
        # One that was cut off goes on to the same bits; one that is complete has nothing left to do.
        train = ["train", "--resume", str(folder), "--epochs", str(args.epochs), "--adapter", "cpu", "--threads", "1", "--quiet"]
    # What it complains of is shown.
    subprocess.run([args.elbo, *train], check=True, stdout=subprocess.DEVNULL)
    scores = told(args, "disentangle", str(folder), "--json")
    scores["eval"] = told(args, "eval", str(folder), "--json")
    kept.write_text(json.dumps(scores))
    return scores


def cell(values, places):
    deviation = f" ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{places}f}{deviation}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--elbo", default="elbo")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    seeds = args.seeds.split(",")
    for method, own in METHODS.items():
        words = f"{COMMON} {own} --seed S --epochs {args.epochs} --adapter cpu"
        print(f"{method}: elbo train", *(shlex.quote(word) for word in words.split()))
    args.folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        asked = {(method, seed): pool.submit(run, args, method, seed) for seed in seeds for method in METHODS}
        found = {key: future.result() for key, future in asked.items()}
    print(f"\n| method | {' | '.join(SCORES)} | distortion + rate |\n|{'---|' * (len(SCORES) + 2)}")
    for method in METHODS:
        of = [found[method, seed] for seed in seeds]
        cells = [cell([score(one) for one in of], 3) for score in SCORES.values()]
        terms = [cell([one["eval"][term] for one in of], 1) for term in ("distortion", "rate")]
        print(f"| {method} | {' | '.join(cells)} | {' + '.join(terms)} |")


if __name__ == "__main__":
    main()
