#!/usr/bin/env python3
"""Time one training step of the network of a recipe in PyTorch: forward, backward, Adam.

  python benches/torch_step.py --recipe conv --threads 2
  elbo bench step --recipe conv --adapter cpu

The data sit in memory as one tensor; the last line is JSON with the median milliseconds a step over the rounds.
"""
import argparse
import json
import os
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

arguments = argparse.ArgumentParser()
arguments.add_argument("--recipe", default="classic", choices=["classic", "conv", "colour"])
arguments.add_argument("--side", type=int, default=28)
arguments.add_argument("--channels", type=int, default=1)
arguments.add_argument("--batch", type=int, default=128)
arguments.add_argument("--steps", type=int, default=20)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--channels-last", action="store_true")
arguments.add_argument("--compile", action="store_true", help="torch.compile the loss")
a = arguments.parse_args()
torch.manual_seed(0)
torch.set_num_threads(a.threads)

quarter, c = a.side // 4, a.channels
values = c * a.side**2
unit, z = {"classic": (nn.ReLU, 20), "conv": (nn.ReLU, 32), "colour": (nn.SiLU, 64)}[a.recipe]
if a.recipe == "classic":
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(values, 400), unit(), nn.Linear(400, 2 * z))
    decoder = nn.Sequential(nn.Linear(z, 400), unit(), nn.Linear(400, values), nn.Unflatten(1, (c, a.side, a.side)))
else:
    def more():
        return [nn.Conv2d(64, 64, 3, padding=1), unit()] if a.recipe == "colour" else []

    encoder = nn.Sequential(
        nn.Conv2d(c, 32, 4, 2, 1), unit(), nn.Conv2d(32, 64, 4, 2, 1), unit(), *more(),
        nn.Flatten(), nn.Linear(64 * quarter**2, 256), unit(), nn.Linear(256, 2 * z),
    )
    decoder = nn.Sequential(
        nn.Linear(z, 256), unit(), nn.Linear(256, 64 * quarter**2), unit(), nn.Unflatten(1, (64, quarter, quarter)),
        *more(), nn.ConvTranspose2d(64, 32, 4, 2, 1), unit(), nn.ConvTranspose2d(32, c, 4, 2, 1),
    )
model = nn.ModuleList([encoder, decoder])
x = torch.rand(a.batch, c, a.side, a.side)
if a.channels_last:
    model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
optimiser = torch.optim.Adam(model.parameters(), 1e-3)


def loss():
    shown = torch.bernoulli(x) if a.recipe == "conv" else x
    mean, log_variance = encoder(shown).chunk(2, 1)
    drawn = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
    out = decoder(drawn)
    if a.recipe == "colour":
        distortion = (out - shown).square().sum() * 50
    else:
        distortion = F.binary_cross_entropy_with_logits(out, shown, reduction="sum")
    rate = -0.5 * torch.sum(1 + log_variance - mean * mean - log_variance.exp())
    return (distortion + rate) / a.batch


if a.compile:
    loss = torch.compile(loss)


def step():
    optimiser.zero_grad(set_to_none=True)
    loss().backward()
    optimiser.step()


for _ in range(3):
    step()
rounds = []
for _ in range(a.rounds):
    begun = time.perf_counter()
    for _ in range(a.steps):
        step()
    rounds.append(1000 * (time.perf_counter() - begun) / a.steps)
print(json.dumps({
    "name": f"torch {torch.__version__}, {a.recipe}{', channels last' if a.channels_last else ''}{', compiled' if a.compile else ''}",
    "batch": a.batch, "threads": a.threads, "ms_per_step": statistics.median(rounds), "rounds": rounds,
}))
