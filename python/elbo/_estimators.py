"""Estimators with the interface of scikit-learn, and a detector of anomalies with that of PyOD."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import _elbo, _tables
from ._program import call

try:
    from sklearn.base import BaseEstimator, OutlierMixin, TransformerMixin
    from sklearn.exceptions import NotFittedError
except ImportError:  # scikit-learn need not be there.

    class BaseEstimator:  # type: ignore[no-redef]
        """Parameters by name, as scikit-learn's."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """The parameters of the constructor."""
            names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
            return {name: getattr(self, name) for name in names}

        def set_params(self, **params: Any) -> Any:
            """Sets parameters of the constructor."""
            known = self.get_params()
            for name, value in params.items():
                if name not in known:
                    raise ValueError(f"Invalid parameter {name!r} for estimator {type(self).__name__}")
                setattr(self, name, value)
            return self

    class TransformerMixin:  # type: ignore[no-redef]
        """`fit` and `transform` in one."""

        def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
            """Fits, and returns the latents."""
            return self.fit(X, y).transform(X)  # type: ignore[attr-defined]

    class OutlierMixin:  # type: ignore[no-redef]
        """Nothing: scikit-learn's gives `fit_predict`, which stands below."""

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """The estimator was not fitted."""


class _Model(BaseEstimator):
    """What both estimators are: settings, a run in a temporary folder, and questions to it."""

    _RECIPES = {"table": "table", "array": "table", "pictures": "classic"}

    def __init__(
        self,
        recipe: str | None = None,
        *,
        latent: int | str | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        lr: float | None = None,
        beta: float | None = None,
        seed: int = 0,
        adapter: str = "auto",
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.latent = latent
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.beta = beta
        self.seed = seed
        self.adapter = adapter
        self.settings = settings
        self.verbose = verbose

    def _check(self, X: Any, *, fitted: bool) -> Any:
        """Examples as they are written, after the checks of scikit-learn."""
        if fitted and not hasattr(self, "run_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet: call fit first")
        if _tables.is_frame(X):
            frame = len(getattr(self, "columns_", [""])) > 0
            if not fitted or frame:
                _tables.check(X, self.columns_ if fitted else None)
                return X[self.columns_] if fitted else X
            X = X.to_numpy()
        elif fitted and self.columns_:
            import pandas

            found = _tables.array(X) if not isinstance(X, list) else np.asarray(X)
            self._check_width(found)
            return pandas.DataFrame(found, columns=self.columns_)
        found = _tables.array(X)
        if fitted:
            self._check_width(found)
        return found

    def _check_width(self, found: np.ndarray) -> None:
        shape = tuple(found.shape[1:])
        own = tuple(self.shape_)
        if int(np.prod(shape)) != int(np.prod(own)) or (len(own) > 1 and shape != own and len(shape) > 1):
            if len(shape) == 1 and len(own) == 1:
                raise ValueError(
                    f"X has {shape[0]} features, but {type(self).__name__} is expecting {own[0]} features as input"
                )
            raise ValueError(f"X has examples of shape {shape}, but the model was trained on {own}")

    def _fit(self, X: Any, y: Any, defaults: dict[str, Any]) -> Any:
        data = self._check(X, fitted=False)
        frame = _tables.is_frame(data)
        if y is not None and len(y) != len(data):
            raise ValueError(f"y has {len(y)} labels for {len(data)} examples")
        pictures = not frame and data.ndim > 2
        recipe = self.recipe or self._RECIPES["table" if frame else "pictures" if pictures else "array"]
        home = Path(tempfile.mkdtemp(prefix="elbo-"))
        try:
            file, settings = _tables.write(home / "data", data, y if y is None else np.asarray(y))
            flags = {"epochs": self.epochs, "batch": self.batch, "latent": self.latent, "lr": self.lr, "beta": self.beta}
            flags = {name: value for name, value in flags.items() if value is not None}
            own = dict(self.settings or {})
            known = {key.rsplit(".", 1)[-1] for key in own} | set(flags)
            settings |= {key: value for key, value in defaults.items() if key.rsplit(".", 1)[-1] not in known}
            if "batch" not in known and len(data) < 128:
                settings["train.batch"] = max(1, min(16, len(data)))
            words: list[object] = ["train", "--recipe", recipe, "--data", file, "--out", home / "run"]
            words += ["--adapter", self.adapter, "--seed", self.seed]
            words += [word for name, value in flags.items() for word in (f"--{name}", value)]
            call(*words, settings=settings | own, verbose=self.verbose)
            self._look_back(home / "run", home)
            # The data are not part of the run.
            for part in home.glob("data*"):
                part.unlink()
            self._adopt(home / "run", home)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        self.columns_ = list(data.columns) if frame else []
        self._dtypes = data.dtypes if frame else None
        self.shape_ = (len(self.columns_),) if frame else tuple(data.shape[1:])
        self.n_features_in_ = int(np.prod(self.shape_))
        if _tables.is_frame(X):
            self.feature_names_in_ = np.array(list(X.columns), dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def _look_back(self, run: Path, folder: Path) -> None:
        """What has to be learnt of a run while its data are there; `folder` is for files."""

    def _adopt(self, run: Path, home: Path | None) -> None:
        """Takes a run; one of its own, in a temporary folder, goes with the estimator."""
        about = json.loads(_elbo.describe(run))
        self._home = _Folder(home) if home else None
        self.run_ = str(run)
        self.config_ = about["config"]
        self.progress_ = about["progress"]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__() if hasattr(BaseEstimator, "__getstate__") else self.__dict__)
        if "run_" in state:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                run = Path(state["run_"])
                for file in sorted(run.rglob("*")):
                    archive.write(file, file.relative_to(run))
            state["_packed"] = packed.getvalue()
            state.pop("_home", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("_packed", None)
        if hasattr(BaseEstimator, "__setstate__"):
            super().__setstate__(state)
        else:
            self.__dict__.update(state)
        if packed is not None:
            home = Path(tempfile.mkdtemp(prefix="elbo-"))
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                archive.extractall(home / "run")
            self._home, self.run_ = _Folder(home), str(home / "run")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "run_")

    @contextlib.contextmanager
    def _asked(self, X: Any, y: Any = None) -> Iterator[tuple[list[object], Path, dict[str, Any]]]:
        """Examples in a file for a command: its flags, the folder for what it writes, and settings."""
        data = self._check(X, fitted=True)
        if not _tables.is_frame(data):
            data = data.reshape(len(data), *self.shape_)
        with tempfile.TemporaryDirectory(prefix="elbo-") as folder:
            file, _ = _tables.write(Path(folder) / "asked", data, y if y is None else np.asarray(y))
            yield ["--adapter", self.adapter, "--data", file], Path(folder), {}

    def save(self, folder: str | Path) -> str:
        """Copies the run to a new folder, which every command of the program takes and `elbo.load` too."""
        self._check_fitted()
        shutil.copytree(self.run_, folder)
        return str(folder)

    def _check_fitted(self) -> None:
        if not hasattr(self, "run_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet: call fit first")

    def score_samples(self, X: Any, y: Any = None, *, samples: int = 128) -> np.ndarray:
        """log p(x) of each row in nats, estimated with importance-weighted samples: the higher, the more likely."""
        return -self._scores(X, y, samples)

    def _scores(self, X: Any, y: Any, samples: int | None) -> np.ndarray:
        with self._asked(X, y) as (flags, folder, _):
            return _scored(self.run_, flags, samples, folder)

    def _frame(self, file: Path) -> Any:
        """A table that the program wrote, with the types of the frame that the model was trained on."""
        import pandas

        found = pandas.read_csv(file)
        found = found[[name for name in self.columns_ if name in found.columns]]
        for name in found.columns:
            dtype = self._dtypes[name] if self._dtypes is not None else found[name].dtype
            whole = getattr(dtype, "kind", "O") in "iu" and not (found[name] == found[name].round()).all()
            if not whole:
                found[name] = found[name].astype(dtype)
        return found


class VAE(TransformerMixin, _Model):
    """A variational autoencoder.

    Arrays of two dimensions and data frames are tables; arrays of more dimensions are pictures, [N, H, W] or with
    channels. NaN in tables is a missing value. What is None is as the recipe says.

    Parameters
    ----------
    recipe : name of a recipe, or a path of a TOML file; default: `table` for tables, `classic` for pictures
    latent, epochs, batch, lr, beta : as for `elbo train`
    seed : key of all random numbers
    adapter : `auto`, `cpu`, a number or part of a name, as for `elbo train`
    settings : any other keys, such as {"model.hidden": [64], "data.columns.age": "numeric"}
    verbose : whether lines of progress are printed

    Attributes
    ----------
    run_ : the folder of the run; `save` keeps it
    config_, progress_ : what the program says of it
    """

    def fit(self, X: Any, y: Any = None) -> VAE:
        """Trains on all rows; `y` are classes, for recipes that are told some (`conditional`, `m2`)."""
        return self._fit(X, y if self._takes_classes() else None, {"data.test": 0, "data.validation": 0})

    def _takes_classes(self) -> bool:
        own = (self.settings or {}).get("model.condition", (self.settings or {}).get("condition"))
        return self.recipe in ("conditional", "m2") or own not in (None, "none")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Latents are single precision, whatever the data are.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """The means of the posteriors of rows, [N, Z]."""
        with self._asked(X, y) as (flags, folder, _):
            call("embed", self.run_, *flags, "--out", folder / "z.npy")
            return np.load(folder / "z.npy")

    def inverse_transform(self, Z: Any, *, cls: Any = None) -> Any:
        """The means of p(x|z) of latents [N, Z], in the units of the data."""
        self._check_fitted()
        with tempfile.TemporaryDirectory(prefix="elbo-") as home:
            folder = Path(home)
            np.save(folder / "z.npy", np.asarray(Z, dtype=np.float32))
            words = ["decode", self.run_, folder / "z.npy", "--adapter", self.adapter]
            return self._made(folder, words + ([] if cls is None else ["--class", cls]))

    def sample(self, n: int = 1, *, seed: int = 0, cls: Any = None, draw: bool = False) -> Any:
        """New examples: means of p(x|z) of draws from the prior, or with `draw` draws from p(x|z)."""
        self._check_fitted()
        with tempfile.TemporaryDirectory(prefix="elbo-") as home:
            words = ["sample", self.run_, "-n", n, "--seed", seed, "--adapter", self.adapter]
            words += ["--draw"] * draw + ([] if cls is None else ["--class", cls])
            return self._made(Path(home), words)

    def reconstruct(self, X: Any, y: Any = None) -> Any:
        """Examples through the latent space and back."""
        return self.inverse_transform(self.transform(X, y))

    def impute(self, X: Any, *, fill: str = "mean", samples: int = 500, seed: int = 0) -> Any:
        """Rows whose missing values are filled by the mean, the mode or a draw from p(x missing | x observed)."""
        with self._asked(X) as (flags, folder, _):
            words = ["impute", self.run_, *flags, "--fill", fill, "--samples", samples, "--seed", seed]
            return self._made(folder, words)

    def _made(self, folder: Path, words: list[Any]) -> Any:
        if self.columns_:
            call(*words, "--out", folder / "made.csv")
            return self._frame(folder / "made.csv")
        call(*words, "--out", folder / "made.npy")
        made = np.load(folder / "made.npy")
        return made.reshape(len(made), *self.shape_)


def _scored(run: str | Path, flags: list[Any], samples: int | None, folder: Path) -> np.ndarray:
    """The scores of rows by `elbo score`, as the program would give them or with so many samples."""
    out = folder / "scores.csv"
    flags = flags if samples is None else [*flags, "--samples", samples]
    call("score", run, *flags, "--threshold", "none", "--out", out)
    return _tables.column(out, "score")[0]


class AnomalyDetector(OutlierMixin, _Model):
    """Anomaly scores of rows, with the interface of PyOD: **the higher a score, the more anomalous**.

    Parameters
    ----------
    contamination : share of anomalies among the training rows; the threshold is that quantile of their scores
    samples : importance-weighted samples for -log p(x) as the score; by default rows of numbers and tables are compared with the
        training rows as by `elbo score`
    The others are those of `VAE`; the recipe is `anomaly`, for frames with other columns than numbers `table`.

    Attributes
    ----------
    decision_scores_ : scores of the training rows in nats
    threshold_ : above it a row is flagged
    labels_ : 1 for the training rows that are flagged, else 0
    """

    _RECIPES = {"table": "anomaly", "array": "anomaly", "pictures": "classic"}

    def __init__(
        self,
        *,
        contamination: float = 0.1,
        samples: int | None = None,
        recipe: str | None = None,
        latent: int | str | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        lr: float | None = None,
        beta: float | None = None,
        seed: int = 0,
        adapter: str = "auto",
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        own = {"latent": latent, "epochs": epochs, "batch": batch, "lr": lr, "beta": beta}
        super().__init__(recipe, **own, seed=seed, adapter=adapter, settings=settings, verbose=verbose)
        self.contamination = contamination
        self.samples = samples

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Trains on all rows, of which all or most are normal; `y` is not looked at."""
        if not 0 < self.contamination <= 0.5:
            raise ValueError(f"contamination = {self.contamination}: expected a number above 0, up to 0.5")
        if self.recipe is None and _tables.is_frame(X) and set(_tables.kinds(X).values()) - {"numeric"}:
            fitted = VAE._RECIPES["table"]
        else:
            fitted = self.recipe
        own, self.recipe = self.recipe, fitted
        try:
            self._fit(X, None, {"data.test": 0})
        finally:
            self.recipe = own
        self.threshold_ = float(np.quantile(self.decision_scores_, 1 - self.contamination))
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)
        return self

    def _look_back(self, run: Path, folder: Path) -> None:
        self.decision_scores_ = _scored(run, ["--adapter", self.adapter], self.samples, folder)

    def decision_function(self, X: Any) -> np.ndarray:
        """The score of each row in nats: the higher, the more anomalous."""
        return self._scores(X, None, self.samples)

    def predict(self, X: Any) -> np.ndarray:
        """1 for rows whose score is above the threshold, else 0."""
        return (self.decision_function(X) > self.threshold_).astype(int)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fits, and says which of the training rows are flagged."""
        return self.fit(X, y).labels_

    def feature_contributions(self, X: Any) -> Any:
        """What each column adds to the score of each row, in nats, and the rate in a last column `rate`; with `samples` to the
        mean-field score.

        A frame where the model was trained on one, else an array [N, D + 1].
        """
        with self._asked(X) as (flags, folder, _):
            out = folder / "scores.csv"
            flags = flags if self.samples is None else [*flags, "--samples", 1]
            call("score", self.run_, *flags, "--threshold", "none", "--features", "--out", out)
            names = [name for name in _tables.names_of(out) if name.startswith("distortion.")] + ["rate"]
            found = np.stack(_tables.column(out, *names), axis=1)
        if not self.columns_:
            return found
        import pandas

        return pandas.DataFrame(found, columns=[name.removeprefix("distortion.") for name in names])


class _Folder:
    """A temporary folder that goes with whoever holds it last."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __del__(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def load(run: str | Path, *, adapter: str = "auto") -> VAE:
    """The estimator of a run that the program left: transform, sample, score_samples and the rest, but no fit needed."""
    vae = VAE(adapter=adapter)
    vae._adopt(Path(run), None)
    record = vae.progress_["data"]
    encoding = record.get("encoding") or {}
    columns = [column["name"] for column in encoding.get("columns") or [] if column.get("name")]
    vae.recipe = vae.config_["name"]
    vae._dtypes = None
    vae.columns_ = columns if str(vae.config_["data"]["source"]).endswith((".csv", ".tsv")) else []
    shape = [extent for extent in record["shape"]]
    vae.shape_ = (len(columns),) if vae.columns_ else tuple(shape[-1:] if shape[:2] == [1, 1] else shape)
    vae.n_features_in_ = int(np.prod(vae.shape_))
    return vae
