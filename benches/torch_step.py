#!/usr/bin/env python3
"""Time one training step of the network of a recipe in PyTorch: forward, backward, Adam.

  python benches/torch_step.py --recipe conv --threads 2
  elbo bench step --recipe conv --adapter cpu

  python benches/torch_step.py --device cuda --mode graph
  elbo bench step

The data sit on the device as one tensor, of which each step picks its batch; products in f32, without TF32. The last line
is JSON with the median milliseconds a step over the rounds.
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
arguments.add_argument("--recipe", default="classic", choices=["classic", "conv", "residual", "colour"])
arguments.add_argument("--device", default="cpu", help="cpu or cuda")
arguments.add_argument("--mode", default="eager", choices=["eager", "fused", "compile", "graph"],
                       help="fused: the fused Adam too; compile: torch.compile the loss; graph: replay a CUDA graph")
arguments.add_argument("--side", type=int, default=28)
arguments.add_argument("--channels", type=int, default=1)
arguments.add_argument("--batch", type=int, default=128)
arguments.add_argument("--steps", type=int, default=20)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--channels-last", action="store_true")
arguments.add_argument("--compile", action="store_const", const="compile", dest="mode", help="the same as --mode compile")
a = arguments.parse_args()
torch.manual_seed(0)
torch.set_num_threads(a.threads)
torch.set_float32_matmul_precision("highest")
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True
device = torch.device(a.device)

quarter, c = a.side // 4, a.channels
values = c * a.side**2
unit, z = {"classic": (nn.ReLU, 20), "conv": (nn.ReLU, 32), "residual": (nn.SiLU, 32), "colour": (nn.SiLU, 64)}[a.recipe]


class Residual(nn.Module):
    """What two convolutions make of an image, added to it."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(
            unit(), nn.Conv2d(width, width, 3, padding=1), unit(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x):
        return x + self.inner(x)


if a.recipe == "classic":
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(values, 400), unit(), nn.Linear(400, 2 * z))
    decoder = nn.Sequential(nn.Linear(z, 400), unit(), nn.Linear(400, values), nn.Unflatten(1, (c, a.side, a.side)))
elif a.recipe == "residual":
    encoder = nn.Sequential(
        nn.Conv2d(c, 16, 3, 2, 1), Residual(16), unit(), nn.Conv2d(16, 32, 3, 2, 1), Residual(32), unit(),
        nn.Flatten(), nn.Linear(32 * quarter**2, 450), unit(), nn.Linear(450, 2 * z),
    )
    decoder = nn.Sequential(
        nn.Linear(z, 450), unit(), nn.Linear(450, 32 * quarter**2), nn.Unflatten(1, (32, quarter, quarter)),
        Residual(32), unit(), nn.ConvTranspose2d(32, 16, 4, 2, 1), Residual(16), unit(), nn.ConvTranspose2d(16, c, 4, 2, 1),
    )
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
model = nn.ModuleList([encoder, decoder]).to(device)
examples = torch.rand(max(8192, a.batch) if a.side > 28 else 60000, c, a.side, a.side, device=device)
if a.channels_last:
    model, examples = model.to(memory_format=torch.channels_last), examples.to(memory_format=torch.channels_last)
graph = a.mode == "graph"
optimiser = torch.optim.Adam(model.parameters(), 1e-3, fused=a.mode != "eager", capturable=graph)
x = examples[: a.batch].clone()


def loss(x):
    shown = torch.bernoulli(x) if a.recipe in ("conv", "residual") else x
    mean, log_variance = encoder(shown).chunk(2, 1)
    drawn = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
    out = decoder(drawn)
    if a.recipe == "colour":
        distortion = (out - shown).square().sum() * 50
    else:
        distortion = F.binary_cross_entropy_with_logits(out, shown, reduction="sum")
    rate = -0.5 * torch.sum(1 + log_variance - mean * mean - log_variance.exp())
    return (distortion + rate) / a.batch


if a.mode == "compile":
    loss = torch.compile(loss)


def step(x):
    optimiser.zero_grad(set_to_none=not graph)
    loss(x).backward()
    optimiser.step()


if graph:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(x)
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        step(x)


def run(order, at):
    first = at * a.batch % (len(examples) - a.batch + 1)
    batch = examples[order[first : first + a.batch]]
    if graph:
        x.copy_(batch)
        recorded.replay()
    else:
        step(batch)


def wait():
    if device.type == "cuda":
        torch.cuda.synchronize()


for at in range(3):
    run(torch.arange(len(examples), device=device), at)
rounds = []
for _ in range(a.rounds):
    order = torch.randperm(len(examples), device=device)
    wait()
    begun = time.perf_counter()
    for at in range(a.steps):
        run(order, at)
    wait()
    rounds.append(1000 * (time.perf_counter() - begun) / a.steps)
print(json.dumps({
    "name": f"torch {torch.__version__} {a.mode}, {a.recipe}{', channels last' if a.channels_last else ''}",
    "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    "batch": a.batch, "threads": a.threads, "ms_per_step": statistics.median(rounds), "rounds": rounds,
}))
