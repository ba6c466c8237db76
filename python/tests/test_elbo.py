"""The estimators: what they return, that it is what the program computes, and what they refuse.

`ELBO_PROGRAM` names the program to compare with; without it those tests are skipped.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import elbo

PROGRAM = os.environ.get("ELBO_PROGRAM")
SMALL = {"epochs": 3, "adapter": "cpu", "settings": {"model.hidden": [8]}}


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    draw = np.random.default_rng(0)
    z = draw.normal(size=(200, 2))
    return (z @ draw.normal(size=(2, 6)) + 0.1 * draw.normal(size=(200, 6)) + 50).astype(np.float32)


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": draw.normal(50, 15, 120),
            "visits": draw.poisson(2, 120),
            "smoker": draw.random(120) < 0.3,
            "ward": draw.choice(["heart", "surgery", "medicine"], 120),
        }
    )
    frame.loc[::7, "age"] = np.nan
    return frame


def program(*words: object) -> None:
    subprocess.run([PROGRAM, *map(str, words)], check=True, capture_output=True)


def test_an_array_goes_through_the_latent_space_and_back(numbers: np.ndarray) -> None:
    vae = elbo.VAE(latent=2, epochs=60, adapter="cpu", settings={"model.hidden": [32]})
    codes = vae.fit_transform(numbers)
    assert codes.shape == (200, 2) and codes.dtype == np.float32
    again = vae.inverse_transform(codes)
    assert again.shape == numbers.shape
    assert np.abs(again - numbers).mean() < 0.5 * np.abs(numbers - numbers.mean(0)).mean()
    new = vae.sample(50, seed=3)
    assert new.shape == (50, 6) and np.abs(new.mean(0) - numbers.mean(0)).max() < 2
    assert (vae.sample(50, seed=3) == new).all() and (vae.sample(50, seed=4) != new).any()
    scores = vae.score_samples(numbers)
    assert scores.shape == (200,) and vae.score_samples(numbers + 9).mean() < scores.mean()


@pytest.mark.skipif(not PROGRAM, reason="ELBO_PROGRAM names no program")
def test_results_are_those_of_the_program_to_the_bit(numbers: np.ndarray, tmp_path: Path) -> None:
    vae = elbo.VAE(latent=2, seed=5, **SMALL).fit(numbers)
    np.save(tmp_path / "x.npy", numbers)
    words = ["--data", tmp_path / "x.npy", "--epochs", 3, "--latent", 2, "--seed", 5, "--adapter", "cpu"]
    words += ["--set", "model.hidden=[8]", "--set", "data.test=0", "--set", "data.validation=0"]
    program("train", "--recipe", "table", *words, "--out", tmp_path / "run")
    program("embed", tmp_path / "run", "--adapter", "cpu", "--out", tmp_path / "z.npy")
    assert (vae.transform(numbers) == np.load(tmp_path / "z.npy")).all()
    assert (elbo.load(tmp_path / "run", adapter="cpu").transform(numbers) == np.load(tmp_path / "z.npy")).all()


def test_a_frame_keeps_its_columns_and_types(patients: pd.DataFrame) -> None:
    vae = elbo.VAE(latent=2, **SMALL).fit(patients)
    assert vae.transform(patients[::-1][["ward", "visits", "age", "smoker"]]).shape == (120, 2)
    new = vae.sample(30, draw=True)
    assert list(new.columns) == list(patients.columns)
    assert new["smoker"].dtype == bool and set(new["ward"]) <= set(patients["ward"])
    assert (new["visits"] == new["visits"].round()).all()
    filled = vae.impute(patients)
    assert not filled.isna().any().any()
    there = patients["age"].notna()
    assert (filled["age"][there] == patients["age"][there]).all() and (filled["ward"] == patients["ward"]).all()


def test_pictures_keep_their_extents() -> None:
    pictures = (np.random.default_rng(0).random((60, 8, 8)) * 255).astype(np.uint8)
    vae = elbo.VAE(latent=2, **SMALL).fit(pictures)
    assert vae.sample(3).shape == (3, 8, 8) and vae.transform(pictures).shape == (60, 2)
    assert vae.reconstruct(pictures[:5]).shape == (5, 8, 8)


def test_classes_are_told(numbers: np.ndarray) -> None:
    y = np.arange(200) % 3
    told = {"likelihood": "gaussian", "binarise": "none", "hidden": [8]}
    vae = elbo.VAE("conditional", latent=2, epochs=2, adapter="cpu", settings=told)
    vae.fit(numbers, y)
    assert vae.sample(4, cls=2).shape == (4, 6) and vae.transform(numbers, y).shape == (200, 2)
    with pytest.raises(ValueError, match="label"):
        vae.transform(numbers)


def test_anomalies_score_higher_and_columns_say_why(numbers: np.ndarray) -> None:
    detector = elbo.AnomalyDetector(contamination=0.05, epochs=20, adapter="cpu")
    assert detector.fit(numbers).labels_.sum() == 10
    strange = numbers[:5].copy()
    strange[:, 3] += 40
    assert detector.decision_function(strange).min() > detector.threshold_
    assert (detector.predict(strange) == 1).all() and detector.predict(numbers).sum() == 10
    reasons = detector.feature_contributions(strange)
    assert reasons.shape == (5, 7) and (reasons[:, :6].argmax(1) == 3).all()
    with pytest.raises(ValueError, match="contamination = 0.9"):
        elbo.AnomalyDetector(contamination=0.9).fit(numbers)


def test_reasons_of_a_frame_have_the_names_of_its_columns(patients: pd.DataFrame) -> None:
    detector = elbo.AnomalyDetector(**SMALL).fit(patients)
    assert list(detector.feature_contributions(patients).columns) == [*patients.columns, "rate"]


def test_a_model_is_pickled_saved_and_loaded(numbers: np.ndarray, tmp_path: Path) -> None:
    vae = elbo.VAE(latent=2, **SMALL).fit(numbers)
    codes = vae.transform(numbers)
    assert (pickle.loads(pickle.dumps(vae)).transform(numbers) == codes).all()
    vae.save(tmp_path / "run")
    home = Path(vae.run_).parent
    assert home.exists()
    del vae
    assert not home.exists()
    assert (elbo.load(tmp_path / "run", adapter="cpu").transform(numbers) == codes).all()


def test_a_warning_points_at_the_line_that_asked(numbers: np.ndarray) -> None:
    vae = elbo.VAE(latent=2, epochs=1, adapter="cpu", settings={"model.hidden": [8], "model.components": 3})
    for ask in (vae.fit, vae.fit_transform):
        with pytest.warns(elbo.ElboWarning, match="components") as said:
            ask(numbers)
        assert {Path(warning.filename) for warning in said} == {Path(__file__)}


def test_wrong_input_is_a_line(numbers: np.ndarray, patients: pd.DataFrame) -> None:
    for settings, line in [
        ({"model.latnet": 3}, "did you mean `model.latent`"),
        ({"lr": -1}, "optimizer.lr"),
    ]:
        with pytest.raises(ValueError, match=line):
            elbo.VAE(settings=settings, adapter="cpu").fit(numbers)
    with pytest.raises(ValueError, match="unknown recipe `tabel`"):
        elbo.VAE("tabel").fit(numbers)
    with pytest.raises(ValueError, match="column when holds times"):
        elbo.VAE().fit(pd.DataFrame({"when": pd.to_datetime(["2020-01-01", "2020-01-02"])}))
    with pytest.raises(ValueError, match="3 labels for 200 examples"):
        elbo.VAE("conditional").fit(numbers, [0, 1, 2])
    with pytest.raises(ValueError, match="not fitted"):
        elbo.VAE().transform(numbers)
    vae = elbo.VAE(latent=2, **SMALL).fit(patients)
    with pytest.raises(ValueError, match="no column ward"):
        vae.transform(patients[["age", "visits", "smoker"]])
    with pytest.raises(ValueError, match="dermatology"):
        vae.transform(patients.assign(ward="dermatology"))


def test_ctrl_c_is_heard_and_other_threads_run(numbers: np.ndarray) -> None:
    def press() -> None:
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        elbo.VAE(latent=2, epochs=1_000_000, adapter="cpu").fit(numbers)
    assert 1 < time.monotonic() - begun < 30
    assert elbo.VAE(latent=2, **SMALL).fit(numbers).transform(numbers).shape == (200, 2)
