"""Variational autoencoders on any GPU: estimators over the program elbo.

Everything is computed by the program that `elbo` is on the command line, in this process, so its results are the same
to the bit. `VAE` learns a latent space, `AnomalyDetector` scores rows, `load` takes a run that exists.
"""

from ._elbo import __version__
from ._estimators import VAE, AnomalyDetector, load
from ._program import ElboWarning

__all__ = ["VAE", "AnomalyDetector", "ElboWarning", "load", "__version__"]
