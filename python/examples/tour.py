"""A tour of elbo from Python, in cells: a table with missing values, its latents, new rows, and what is odd.

An editor that knows `# %%` runs it cell by cell; `python tour.py` runs all of it in a few seconds. What the text says is
asserted, so that it stays true.
"""

# %% A table: what customers bought, with holes
import numpy as np
import pandas as pd

import elbo

draw = np.random.default_rng(7)
rows = 600
kind = draw.choice(["home", "office"], rows, p=[0.6, 0.4])
size = draw.normal(0, 1, rows)
table = pd.DataFrame(
    {
        "kind": kind,
        "spent": 50 + 20 * size + np.where(kind == "office", 40, 0) + draw.normal(0, 4, rows),
        "weight": 5 + 2 * size + draw.normal(0, 0.3, rows),
        "orders": draw.poisson(np.exp(0.8 + 0.5 * size)),
    }
)
whole = table.copy()
table.loc[draw.random(rows) < 0.2, "spent"] = np.nan
missing = table["spent"].isna()
print(table.head())

# %% Fit: types of columns are those of the frame, NaN is a missing value
vae = elbo.VAE(latent=3, epochs=80, seed=1, adapter="cpu", settings={"model.hidden": [32]}).fit(table)
print(f"trained for {vae.progress_['epoch']} epochs")

# %% Embed: the means of the posteriors, one of which follows the hidden size
codes = vae.transform(table)
follows = max(abs(np.corrcoef(code, size)[0, 1]) for code in codes.T)
print(f"a latent follows the size with a correlation of {follows:.2f}")
assert codes.shape == (rows, 3) and follows > 0.7

# %% Sample: new rows with the columns and types of the frame
new = vae.sample(400, seed=2, draw=True)
print(new.head())
assert list(new.columns) == list(table.columns) and set(new["kind"]) == {"home", "office"}
assert abs((new["kind"] == "office").mean() - 0.4) < 0.15

# %% Impute: what is missing is nearer to the truth than the mean of the column
filled = vae.impute(table)
error = (filled["spent"] - whole["spent"])[missing].abs().mean()
of_mean = (table["spent"].mean() - whole["spent"])[missing].abs().mean()
print(f"off by {error:.1f} where the mean of the column is off by {of_mean:.1f}")
assert error < 0.5 * of_mean and (filled["spent"] == table["spent"])[~missing].all()

# %% Anomalies: a row whose columns are usual one by one, and not together
detector = elbo.AnomalyDetector(contamination=0.05, epochs=80, seed=1, adapter="cpu").fit(whole[["spent", "weight"]])
odd = pd.DataFrame({"spent": [60.0], "weight": [9.5]})
score = detector.decision_function(odd)[0]
print(f"the odd row has a score of {score:.1f} nats, and the threshold is {detector.threshold_:.1f}")
assert odd["weight"][0] < whole["weight"].max() and detector.predict(odd)[0] == 1
