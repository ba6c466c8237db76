"""scikit-learn's own checks of estimators. All pass but one, whose reason is that latents are single precision, which the
estimator says by its tags."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import elbo

SMALL = {"epochs": 1, "adapter": "cpu", "settings": {"model.hidden": [4]}}


@parametrize_with_checks([elbo.VAE(latent=2, **SMALL)])
@pytest.mark.filterwarnings("ignore::elbo.ElboWarning")
def test_the_checks_of_scikit_learn(estimator, check) -> None:
    check(estimator)
