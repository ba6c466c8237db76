#!/usr/bin/env python3
"""Time one training step of the recipe `text` in PyTorch eager: forward, backward, clipping, Adam.

  python benches/torch_text_step.py --threads 2
  elbo bench step --recipe text --data lines.txt --adapter cpu --set data.length=63

with `lines.txt` from `python benches/torch_text_step.py --lines lines.txt`: random lines of 63 characters out of 94. The last line
is JSON with the median milliseconds a step over the rounds.
"""
import argparse
import json
import os
import random
import statistics
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--batch", type=int, default=64)
arguments.add_argument("--length", type=int, default=64, help="tokens of an example, its end among them")
arguments.add_argument("--units", type=int, default=256)
arguments.add_argument("--steps", type=int, default=10)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--lines", help="write random lines to this file, and stop")
a = arguments.parse_args()

if a.lines:
    draw = random.Random(0)
    with open(a.lines, "w") as out:
        for _ in range(2000):
            out.write("".join(chr(33 + draw.randrange(94)) for _ in range(a.length - 1)) + "\n")
    raise SystemExit

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(a.threads)
V, E, Z, H, B, T = 97, 64, 32, a.units, a.batch, a.length
net = nn.ModuleDict(dict(
    enc_emb=nn.Embedding(V, E), enc=nn.GRU(E, H, batch_first=True), stats=nn.Linear(H, 2 * Z),
    dec_emb=nn.Embedding(V, E), begin=nn.Linear(Z, H), dec=nn.GRU(E + Z, H, batch_first=True), out=nn.Linear(H, V)))
opt = torch.optim.Adam(net.parameters(), 1e-3)
data = torch.randint(3, V, (2000, T))
data[:, -1] = 1


def step():
    x = data[torch.randint(0, len(data), (B,))]
    h, _ = net["enc"](net["enc_emb"](x))
    mu, lv = net["stats"](h[torch.arange(B), (x != 0).sum(1) - 1]).chunk(2, 1)
    z = mu + torch.exp(0.5 * lv) * torch.randn_like(mu)
    before = F.pad(x, (1, 0))[:, :-1]
    before = torch.where((torch.rand(B, T) < 0.4) & (before != 0), 2, before)
    h = torch.cat([net["dec_emb"](before), z[:, None].expand(-1, T, -1)], 2)
    h, _ = net["dec"](h, torch.tanh(net["begin"](z))[None])
    rec = F.cross_entropy(net["out"](h).flatten(0, 1), x.flatten(), reduction="sum", ignore_index=0) / B
    kl = (0.5 * (mu * mu + lv.exp() - 1 - lv)).mean(0).clamp(min=0.25).sum()
    opt.zero_grad()
    (rec + kl).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
    return rec.item() + kl.item()


for _ in range(3):
    step()
times = []
for _ in range(a.rounds):
    begun = time.perf_counter()
    for _ in range(a.steps):
        step()
    times.append(1e3 * (time.perf_counter() - begun) / a.steps)
print(json.dumps({"name": f"torch {torch.__version__} eager", "batch": B, "threads": a.threads,
                  "ms_per_step": statistics.median(times), "ms_min": min(times), "ms_max": max(times)}))
