#!/usr/bin/env python3
"""Draws a folder of colour pictures: shapes of one colour before a ground of two, a folder for each kind of shape.

    python3 benches/pictures.py FOLDER [--count 6000] [--side 32]

Disc, square, triangle, cross, star and ring, of any size, place, angle and colours, each with a rim, 32 by 32 pixels. Everything is
invented, edges are smooth, and the same call draws the same pictures (with the same versions of NumPy and Pillow).
For `benches/sharpness.py`.
"""

import argparse
import colorsys
import math
import pathlib

import numpy as np
from PIL import Image, ImageDraw

# Drawn so many times as large, then averaged.
FINE = 4


def corners(kind, angle):
    """Outlines of a shape of radius 1, the first of which is filled."""

    def at(radii, first=0.0):
        turn = [angle + first + 2 * math.pi * i / len(radii) for i in range(len(radii))]
        return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, turn)]

    if kind == "cross":
        c, s = math.cos(angle), math.sin(angle)
        arm = [(1, .3), (.3, .3), (.3, 1), (-.3, 1), (-.3, .3), (-1, .3), (-1, -.3), (-.3, -.3), (-.3, -1), (.3, -1), (.3, -.3), (1, -.3)]
        return [(c * x - s * y, s * x + c * y) for x, y in arm]
    return at({"disc": [1] * 48, "ring": [1] * 48, "square": [1] * 4, "triangle": [1] * 3, "star": [1, 0.45] * 5}[kind])


KINDS = ("disc", "square", "triangle", "cross", "star", "ring")


def colour(rng, lightness):
    return tuple(int(255 * part) for part in colorsys.hls_to_rgb(rng.uniform(), lightness, rng.uniform(0.5, 1)))


def ground(rng, side):
    """From one colour to another in some direction, [side, side, 3]."""
    ends = np.array([colour(rng, rng.uniform(0.15, 0.45)) for _ in range(2)], float)
    y, x = np.mgrid[:side, :side] / (side - 1) - 0.5
    angle = rng.uniform(0, 2 * math.pi)
    along = (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2) + 0.5
    return ends[0] + along[..., None] * (ends[1] - ends[0])


def picture(rng, kind, side):
    large = side * FINE
    image = Image.fromarray(ground(rng, large).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    radius = rng.uniform(0.22, 0.36) * large
    centre = rng.uniform(radius, large - radius, 2)
    rim, inner = colour(rng, rng.uniform(0.75, 0.95)), colour(rng, rng.uniform(0.5, 0.7))
    angle = rng.uniform(0, 2 * math.pi)

    def shape(scale, fill):
        draw.polygon([tuple(centre + scale * radius * np.array(p)) for p in corners(kind, angle)], fill=fill)

    if kind == "ring":
        hole = image.copy()
        shape(1, rim)
        shape(0.85, inner)
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse([*(centre - 0.5 * radius), *(centre + 0.5 * radius)], fill=255)
        image.paste(hole, mask=mask)
    else:
        shape(1, rim)
        shape(0.8, inner)
    return image.resize((side, side), Image.Resampling.BOX)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--side", type=int, default=32)
    args = parser.parse_args()
    for at in range(args.count):
        kind = KINDS[at % len(KINDS)]
        (args.folder / kind).mkdir(parents=True, exist_ok=True)
        picture(np.random.default_rng([7, at]), kind, args.side).save(args.folder / kind / f"{at:05}.png")


if __name__ == "__main__":
    main()
