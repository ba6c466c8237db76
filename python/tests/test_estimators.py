"""scikit-learn's own checks of estimators. What does not pass is listed with its reason."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import elbo

SMALL = {"epochs": 1, "adapter": "cpu", "settings": {"model.hidden": [4]}}


@parametrize_with_checks([elbo.VAE(latent=2, **SMALL)], expected_failed_checks=lambda estimator: {})
def test_the_checks_of_scikit_learn(estimator, check) -> None:
    with pytest.MonkeyPatch.context():
        check(estimator)
