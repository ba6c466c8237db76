#!/usr/bin/env python3
"""Time one training step of the recipe `classic` in JAX: forward, backward, Adam, all compiled by XLA.

  python benches/jax_step.py                a loop of steps within one call (lax.scan), JAX at its best
  python benches/jax_step.py --mode jit     a call for each step
  elbo bench step

The data sit on the device, where each step picks its batch; products in f32, without TF32. The last line is JSON with the
median milliseconds a step over the rounds.
"""
import argparse
import functools
import json
import statistics
import time

import jax
import jax.numpy as jnp

arguments = argparse.ArgumentParser()
arguments.add_argument("--mode", default="scan", choices=["scan", "jit"])
arguments.add_argument("--batch", type=int, default=128)
arguments.add_argument("--steps", type=int, default=100)
arguments.add_argument("--rounds", type=int, default=5)
a = arguments.parse_args()
jax.config.update("jax_default_matmul_precision", "highest")
EXAMPLES, DATA, HIDDEN, LATENT = 60000, 784, 400, 20
images = jax.random.uniform(jax.random.key(0), (EXAMPLES, DATA))


def layer(key, inputs, outputs):
    bound = inputs**-0.5
    return jax.random.uniform(key, (inputs + 1, outputs), minval=-bound, maxval=bound)


def affine(weights, x):
    return x @ weights[:-1] + weights[-1]


def loss(parameters, x, key):
    first, statistics_, third, last = parameters
    mean, log_variance = jnp.split(affine(statistics_, jax.nn.relu(affine(first, x))), 2, axis=1)
    drawn = mean + jax.random.normal(key, mean.shape) * jnp.exp(0.5 * log_variance)
    logits = affine(last, jax.nn.relu(affine(third, drawn)))
    distortion = jnp.sum(jax.nn.softplus(logits) - logits * x)
    rate = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance))
    return (distortion + rate) / a.batch


def adam(p, g, m, v, step):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - 1e-3 * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v


def train_step(state, _):
    parameters, first, second, step, key = state
    key, pick, noise = jax.random.split(key, 3)
    x = images[jax.random.randint(pick, (a.batch,), 0, EXAMPLES)]
    value, gradients = jax.value_and_grad(loss)(parameters, x, noise)
    step = step + 1
    updated = [adam(*of, step) for of in zip(parameters, gradients, first, second)]
    parameters, first, second = (list(of) for of in zip(*updated))
    return (parameters, first, second, step, key), value


@functools.partial(jax.jit, donate_argnums=0)
def call(state):
    if a.mode == "jit":
        return train_step(state, None)
    return jax.lax.scan(train_step, state, None, length=a.steps)


keys = jax.random.split(jax.random.key(1), 4)
shapes = [(DATA, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, DATA)]
parameters = [layer(key, *shape) for key, shape in zip(keys, shapes)]
state = (parameters, [0 * p for p in parameters], [0 * p for p in parameters], jnp.float32(0), jax.random.key(2))
rounds = []
for round in range(a.rounds + 1):
    begun = time.perf_counter()
    for _ in range(a.steps if a.mode == "jit" else 1):
        state, value = call(state)
    jax.block_until_ready((state[0], value))
    if round > 0:  # The first compiles.
        rounds.append(1000 * (time.perf_counter() - begun) / a.steps)
print(json.dumps({
    "name": f"jax {jax.__version__} {a.mode}, classic", "device": jax.devices()[0].device_kind,
    "batch": a.batch, "ms_per_step": statistics.median(rounds), "rounds": rounds,
}))
