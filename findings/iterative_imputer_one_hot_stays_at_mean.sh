#!/usr/bin/env bash
# scikit-learn's IterativeImputer leaves a level that is missing as a whole at its mean when all of its one-hot columns are
# given, however many rounds it takes; without the last column, which the others imply, it finds the level.
#
# scikit-learn 1.9.1, numpy 2.4.6, Python 3.11.
#
# Guess: a level of three as three columns of 0 and 1, missing together in a fifth of the rows, is imputed from the other
# columns; the redundant third column does no harm, as it does none to a ridge regression that predicts something else.
# Seen: every missing row gets the column means, the same numbers in all rows: 35 % of the levels are told rightly, exactly as
# SimpleImputer has it, with 10 rounds and with 100, without a warning. Each column is 1 minus the two others wherever it is
# known, so its regression puts all its weight there and none on what could tell, and those two are themselves missing: the
# means that the first round starts with reproduce each other for ever. With two of the three columns, the third being what is
# left of 1, 91 % are right.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'scikit-learn==1.9.1'
"$folder/venv/bin/python" - <<'END'
import warnings

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer

warnings.simplefilter("error")
random = np.random.RandomState(0)
z = random.randn(1000)
level = np.digitize(z, [-0.5, 0.5])
rows = np.column_stack([z, np.eye(3)[level]])
hidden = random.rand(1000) < 0.2
rows[hidden, 1:] = np.nan


def right(places):
    return (places.argmax(axis=1) == level[hidden]).mean()


simple = SimpleImputer().fit_transform(rows)[hidden, 1:]
for rounds in (10, 100):
    found = IterativeImputer(random_state=0, max_iter=rounds).fit_transform(rows)[hidden, 1:]
    print(f"three columns, {rounds} rounds: {right(found):.3f} right, rows differ by {np.ptp(found, axis=0).max():.1e}")
    assert np.allclose(found, simple), "the missing rows are no longer left at the means"
two = IterativeImputer(random_state=0).fit_transform(rows[:, :3])[hidden, 1:]
all_three = np.column_stack([two, 1 - two.sum(axis=1)])
print(f"means: {right(simple):.3f} right; two columns: {right(all_three):.3f} right")
assert right(simple) < 0.45 and right(all_three) > 0.85
END
