#!/usr/bin/env python3
"""Time one training step of the recipe `iwae` in JAX, as a loop of steps within one call (lax.scan), all compiled by XLA.

  python benches/jax_iwae_step.py --data MNIST --samples 1
  elbo bench step --recipe iwae --set samples=1 --adapter cpu --data MNIST

MNIST is the folder with train-images-idx3-ubyte.gz. Both start from Glorot weights and take batches of 20 in the order of the file, so
their losses can be compared: `loss` of the last line, JSON, is the mean bound over the last 1,000 steps in nats per example, that of
`elbo train --recipe iwae --set samples=K --epochs 1` the mean over the epoch (`--steps 2980 --rounds 0` for the same stretch).
"""
import argparse
import functools
import gzip
import json
import math
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", required=True, type=pathlib.Path)
arguments.add_argument("--samples", type=int, default=1)
arguments.add_argument("--steps", type=int, default=1000)
arguments.add_argument("--rounds", type=int, default=5)
a = arguments.parse_args()
jax.config.update("jax_default_matmul_precision", "highest")
BATCH, DATA, HIDDEN, LATENT = 20, 784, 200, 50
path = a.data / "train-images-idx3-ubyte.gz"
if not path.is_file():
    arguments.error(f"{path} does not exist: --data takes the folder with MNIST's files as their authors give them out")
if a.steps < 1 or a.rounds < 0 or a.samples < 1:
    arguments.error("--steps and --samples take 1 or more, --rounds 0 or more")
with gzip.open(path) as file:
    images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, DATA)[:-400]
mean = np.clip(images.mean(0) / 255, 1e-3, 1 - 1e-3)
images = jnp.asarray(images)


def layer(key, inputs, outputs):
    bound = (6 / (inputs + outputs)) ** 0.5
    weights = jax.random.uniform(key, (inputs, outputs), minval=-bound, maxval=bound)
    return jnp.concatenate([weights, jnp.zeros((1, outputs))])


def affine(weights, x):
    return x @ weights[:-1] + weights[-1]


def loss(parameters, x, key):
    e0, e1, head, d0, d1, last = parameters
    mu, log_variance = jnp.split(affine(head, jnp.tanh(affine(e1, jnp.tanh(affine(e0, x))))), 2, axis=1)
    noise = jax.random.normal(key, (a.samples, BATCH, LATENT))
    z = mu + noise * jnp.exp(0.5 * log_variance)
    logits = affine(last, jnp.tanh(affine(d1, jnp.tanh(affine(d0, z)))))
    log_p = jnp.sum(logits * x - jax.nn.softplus(logits), -1) - 0.5 * jnp.sum(z**2, -1)
    log_q = -0.5 * jnp.sum(noise**2 + log_variance, -1)
    return -jnp.sum(jax.nn.logsumexp(log_p - log_q, axis=0) - math.log(a.samples))


def adam(p, g, m, v, step):
    m, v = 0.99 * m + 0.01 * g, 0.999 * v + 0.001 * g * g
    rate = 1e-3 * jnp.sqrt(1 - 0.999**step) / (1 - 0.99**step)
    return p - rate * m / (jnp.sqrt(v) + 1e-4), m, v


def train_step(state, _):
    parameters, first, second, step, key = state
    key, pixels, noise = jax.random.split(key, 3)
    batch = jax.lax.dynamic_slice_in_dim(images, BATCH * (step.astype(int) % (len(images) // BATCH)), BATCH)
    x = (jax.random.uniform(pixels, batch.shape) < batch / 255.0).astype(jnp.float32)
    value, gradients = jax.value_and_grad(loss)(parameters, x, noise)
    step = step + 1
    updated = [adam(*of, step) for of in zip(parameters, gradients, first, second)]
    parameters, first, second = (list(of) for of in zip(*updated))
    return (parameters, first, second, step, key), value / BATCH


@functools.partial(jax.jit, donate_argnums=0)
def call(state):
    return jax.lax.scan(train_step, state, None, length=a.steps)


keys = jax.random.split(jax.random.key(1), 6)
shapes = [(DATA, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, DATA)]
parameters = [layer(key, *shape) for key, shape in zip(keys, shapes)]
parameters[-1] = parameters[-1].at[-1].set(np.log(mean / (1 - mean)))
state = (parameters, [0 * p for p in parameters], [0 * p + 1 for p in parameters], jnp.float32(0), jax.random.key(2))
rounds = []
for round in range(a.rounds + 1):
    begun = time.perf_counter()
    state, values = call(state)
    jax.block_until_ready((state[0], values))
    if round > 0:  # The first compiles.
        rounds.append(1000 * (time.perf_counter() - begun) / a.steps)
print(json.dumps({
    "name": f"jax {jax.__version__} scan, iwae k = {a.samples}", "device": jax.devices()[0].device_kind, "batch": BATCH,
    "ms_per_step": statistics.median(rounds) if rounds else None, "rounds": rounds,
    "loss": float(jnp.mean(values[-1000:])), "loss_of_all": float(jnp.mean(values)),
}))
