#!/usr/bin/env python3
"""Milliseconds of a training step of the network of `--recipe nvae` in PyTorch: torch_nvae_step.py [STEPS [THREADS [GROUPS,GROUPS]]]

The same layers, groups of latents, terms, Adam and clipped gradients as the recipe, on random pictures of 28x28 that are binarised anew in
every step; GROUPS are those at 14x14 and at 7x7. Compare with `elbo bench step --recipe nvae --steps 10` in alternation.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
fine, coarse = map(int, sys.argv[3].split(",")) if len(sys.argv) > 3 else (6, 4)
B, C = 64, 32
torch.manual_seed(0)


class Excite(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(C, 4), nn.Linear(4, C)

    def forward(self, x):
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return x * gate[..., None, None]


class Cell(nn.Module):
    """Residual cells: a bottleneck on the way up, a depthwise convolution of more channels on the way down."""

    def __init__(self, down):
        super().__init__()
        wide = 64 if down else 16
        middle = nn.Conv2d(wide, wide, 5, padding=2, groups=wide) if down else nn.Conv2d(wide, wide, 3, padding=1)
        self.layers = nn.Sequential(nn.SiLU(), nn.Conv2d(C, wide, 1), nn.SiLU(), middle, nn.SiLU(), nn.Conv2d(wide, C, 1), Excite())

    def forward(self, x):
        return x + self.layers(x)


class Group(nn.Module):
    def __init__(self, latent, highest, side):
        super().__init__()
        self.posterior = nn.Conv2d(C if highest else 2 * C, 2 * latent, 3, padding=1)
        self.prior = None if highest else nn.Conv2d(C, 2 * latent, 1)
        self.latents, self.cell = nn.Conv2d(latent, C, 1), Cell(True)
        self.place = nn.Parameter(0.02 * torch.randn(C, side, side)) if highest else None

    def forward(self, h, e):
        told = self.posterior(F.silu(e if h is None else torch.cat([h, e], 1)))
        if h is None:
            mean, lv = told.chunk(2, 1)
            kl = 0.5 * (lv.exp() + mean * mean - 1 - lv)
        else:
            m, b = self.prior(F.silu(h)).chunk(2, 1)
            d, a = told.chunk(2, 1)
            mean, lv = m + d, b + a
            kl = 0.5 * (a.exp() + d * d * (-b).exp() - 1 - a)
        z = mean + torch.exp(0.5 * lv) * torch.randn_like(mean)
        told = self.latents(z)
        h = told + self.place if h is None else h + told
        return self.cell(h), kl.sum()


class Hierarchy(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.shrink = nn.Conv2d(1, C, 4, 2, 1), nn.Conv2d(C, C, 2, 2)
        self.up = nn.ModuleList(Cell(False) for _ in range(fine + coarse))
        self.groups = nn.ModuleList(
            [Group(2, False, 14) for _ in range(fine)] + [Group(4, at + 1 == coarse, 7) for at in range(coarse)])
        self.grown, self.out = Cell(True), nn.ConvTranspose2d(C, 1, 4, 2, 1)

    def forward(self, x):
        h, found = self.stem(x), []
        for at, cell in enumerate(self.up):
            h = cell(self.shrink(h) if at == fine else h)
            found.append(h)
        h, rate = None, 0.0
        for at in reversed(range(fine + coarse)):
            h, kl = self.groups[at](h, found[at])
            rate = rate + kl
            if at == fine:
                h = self.grown(F.interpolate(h, scale_factor=2, mode="nearest"))
        return F.binary_cross_entropy_with_logits(self.out(F.silu(h)), x, reduction="sum") + rate


net = Hierarchy()
opt = torch.optim.Adam(net.parameters(), 1e-3)
data = torch.rand(B * 8, 1, 28, 28)


def step(at):
    x = torch.bernoulli(data[at % 8 * B:][:B])
    loss = net(x) / B
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 20)
    opt.step()
    return loss.item()


step(0)
times = []
for at in range(steps):
    begun = time.perf_counter()
    step(at)
    times.append(1e3 * (time.perf_counter() - begun))
times.sort()
print(json.dumps({"name": "torch nvae step", "batch": B, "groups": [fine, coarse], "parameters": sum(p.numel() for p in net.parameters()),
                  "threads": torch.get_num_threads(), "ms_per_step": round(times[len(times) // 2], 2)}))
