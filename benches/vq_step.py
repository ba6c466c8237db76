#!/usr/bin/env python3
"""Time one training step of the recipe vq in PyTorch with vector-quantize-pytorch: forward, backward, Adam.

  pip install torch vector-quantize-pytorch
  python benches/vq_step.py --threads 2
  elbo bench step --recipe vq --adapter cpu --threads 2 --json

The network is that of the recipe: two convolutions of four pixels with a stride of two, two residual blocks, a codebook of 512
codes of 16 numbers for each of 7x7 cells, and backwards; pixels drawn anew as zeros and ones, the Bernoulli likelihood,
commitment, codes that follow averages with a decay of 0.99, of which those that die begin again. The data sit in memory as one
tensor, of which each step picks its batch. The last line is JSON with the median milliseconds a step over the rounds.
"""
import argparse
import json
import os
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from vector_quantize_pytorch import VectorQuantize

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--batch", type=int, default=128)
arguments.add_argument("--steps", type=int, default=10)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--compile", action="store_true", help="torch.compile the encoder and the decoder")
arguments.add_argument("--channels-last", action="store_true")
a = arguments.parse_args()
torch.manual_seed(0)
torch.set_num_threads(a.threads)


class Residual(nn.Module):
    """What two convolutions make of an image, added to it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), nn.Conv2d(64, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 1))

    def forward(self, x):
        return x + self.inner(x)


encoder = nn.Sequential(
    nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), Residual(), Residual(), nn.ReLU(),
    nn.Conv2d(64, 16, 1))
decoder = nn.Sequential(
    nn.Conv2d(16, 64, 3, padding=1), Residual(), Residual(), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
    nn.ConvTranspose2d(32, 1, 4, 2, 1))
# A code is dead below this many of the outputs of a batch, as with codebook_restart = 0.1.
dead = max(1, round(0.1 * a.batch * 49 / 512))
quantize = VectorQuantize(
    dim=16, codebook_size=512, decay=0.99, commitment_weight=0.25, accept_image_fmap=True, threshold_ema_dead_code=dead)
model = nn.ModuleList([encoder, decoder, quantize])
if a.channels_last:
    encoder, decoder = [part.to(memory_format=torch.channels_last) for part in (encoder, decoder)]
if a.compile:
    encoder, decoder = torch.compile(encoder), torch.compile(decoder)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
data = torch.rand(4096, 1, 28, 28)


def step(first):
    x = torch.bernoulli(data[torch.arange(first, first + a.batch) % len(data)])
    z = encoder(x)
    codes, _, commitment = quantize(z)
    # Sums over the example, as elbo has them: its commitment is a mean over all numbers here.
    distortion = F.binary_cross_entropy_with_logits(decoder(codes), x, reduction="sum") / a.batch
    loss = distortion + commitment * z[0].numel()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


for at in range(5):
    step(at * a.batch)
times = []
for _ in range(a.rounds):
    begun = time.perf_counter()
    for at in range(a.steps):
        step(at * a.batch)
    times.append((time.perf_counter() - begun) / a.steps * 1e3)
print(json.dumps({
    "name": "vq", "batch": a.batch, "threads": a.threads, "torch": torch.__version__, "compile": a.compile,
    "channels_last": a.channels_last, "ms_per_step": statistics.median(times), "fastest": min(times)}))
