#!/usr/bin/env python3
"""How long a step of N nodes takes, from a measured step of one and what a network is said to do: docs/PERFORMANCE.md.

Every node computes as many examples as it did alone. Gradients of P parameters are exchanged after that: in each of two
exchanges a node sends N - 1 messages, 4 P / N bytes each, one after the other. Nothing is overlapped, links are never shared.
"""

import argparse

NODES = (2, 8, 32, 128, 512, 1000)
# Name, bytes a second of a link, seconds of a message.
NETWORKS = (
    ("10 Gbit/s, 30 us", 10e9 / 8, 30e-6),
    ("100 Gbit/s, 5 us", 100e9 / 8, 5e-6),
    ("400 Gbit/s, 2 us", 400e9 / 8, 2e-6),
)


def exchange(parameters, nodes, rate, latency):
    """Seconds of the exchange of a step."""
    return 2 * (nodes - 1) * (latency + 4 * parameters / nodes / rate)


def main():
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("--parameters", type=int, required=True, help="of the model")
    told.add_argument("--ms", type=float, required=True, help="a step of one node, measured")
    told.add_argument("--copies", type=float, default=0.0, help="what copies of the exchange take on a node, in ms, measured")
    told = told.parse_args()
    print("| nodes | " + " | ".join(name for name, _, _ in NETWORKS) + " |")
    print("|---:|" + "---:|" * len(NETWORKS))
    for nodes in NODES:
        cells = []
        for _, rate, latency in NETWORKS:
            step = told.ms + told.copies + 1e3 * exchange(told.parameters, nodes, rate, latency)
            cells.append(f"{step:.1f} ms, {100 * told.ms / step:.0f} %")
        print(f"| {nodes} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
