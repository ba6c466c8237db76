#!/usr/bin/env python3
"""What a trained model compresses pictures to, beside programs that know nothing of them.

    python3 benches/compress.py lossless RUN [--data SRC] [--part test] [--elbo target/release/elbo]
    python3 benches/compress.py lossy RUN [--data SRC] [--part test] [--steps 0.1,0.2,0.5,1,2]

`lossless` compresses a part, gives it back, and prints bits for an example: of the whole file, of -ELBO by `elbo eval` on
the same part, and of gzip, xz, bz2 and PNG. These are given the best form that there is: pictures of two values are packed, eight
pixels to a byte; all pictures go into one stream, and for PNG into one sheet of a hundred in a row, which costs one header. Of PNG
the sum over single pictures is printed, too. Bits that were binarised are the same for all: those that elbo gives back.

`lossy` prints rate and PSNR for each step, and beside each JPEG: the sheet of all pictures, by Pillow, at the quality whose rate is the
nearest, at the first one with as high a PSNR, and at its lowest; `--steps codes` is for a VQ-VAE, which has no step. PSNR is that of the
mean squared error over all pictures, whose values reach from 0 to 255.
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import math
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image

ROW = 100


def call(args, *words):
    command = [args.elbo, *words, "--adapter", "cpu", "--json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def chosen(args):
    return [*(["--data", args.data] if args.data else []), *(["--part", args.part] if args.part else [])]


def sheet(pictures):
    """All pictures [n, c, h, w] in rows of a hundred, as one of Pillow's."""
    count, channels, height, width = pictures.shape
    rows = -(-count // ROW)
    whole = np.zeros((rows * ROW, channels, height, width), np.uint8)
    whole[:count] = pictures
    whole = whole.reshape(rows, ROW, channels, height, width).transpose(0, 3, 1, 4, 2)
    whole = whole.reshape(rows * height, ROW * width, channels)
    return Image.fromarray(whole[:, :, 0] if channels == 1 else whole)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return len(file.getvalue())


def one(picture):
    return Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))


def lossless(args, folder):
    said = call(args, "compress", args.run, *chosen(args), "--out", str(folder / "x.elbo"))
    call(args, "decompress", args.run, str(folder / "x.elbo"), "--out", str(folder / "x.npy"))
    pictures = np.load(folder / "x.npy")
    if pictures.dtype != np.uint8:
        pictures = np.round(255 * pictures).astype(np.uint8)
    bits = set(np.unique(pictures)) <= {0, 255}
    stream = (np.packbits(pictures > 0) if bits else pictures).tobytes()
    whole = sheet(pictures)
    count = len(pictures)
    part = said["part"] if said["part"] != "whole" else "test"
    bound = call(args, "eval", args.run, *(["--data", args.data] if args.data else []), "--part", part)
    print(f"{count} pictures, {'two values' if bits else '256 levels'}; bits for a picture (a value)")
    rows = [
        (f"-ELBO, {part} part", bound["neg_elbo"] / math.log(2)),
        ("elbo, the whole file", said["bits_per_example"]),
        ("  of it to begin with", said["begun_bits"] / count),
        ("xz", 8 * len(lzma.compress(stream, preset=9 | lzma.PRESET_EXTREME)) / count),
        ("bz2", 8 * len(bz2.compress(stream, 9)) / count),
        ("gzip", 8 * len(gzip.compress(stream, 9)) / count),
        ("PNG, one sheet", 8 * png(whole.convert("1") if bits else whole) / count),
        ("PNG, one by one", 8 * sum(png(one(x).convert("1") if bits else one(x)) for x in pictures) / count),
    ]
    for name, rate in rows:
        print(f"{name:24} {rate:10.2f} {rate / pictures[0].size:10.4f}")


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def lossy(args, folder):
    rows = []
    for step in args.steps.split(","):
        flags = [] if step == "codes" else ["--step", step]
        said = call(args, "compress", args.run, *chosen(args), "--lossy", *flags, "--out", str(folder / "x.elbo"))
        rows.append((step, said))
    # The originals: of the first steps of a model that loses nothing they would be the same.
    names = call(args, "reconstruct", args.run, *chosen_part(args), "-n", str(min(rows[0][1]["examples"], 10000)),
                 "--out", str(folder / "pairs.npy"))
    assert names["files"]
    pictures = np.round(255 * np.load(folder / "pairs.npy")[0]).astype(np.uint8)
    whole = sheet(pictures)
    pixels = pictures[0][0].size
    grid = np.asarray(whole, np.float64)
    used = np.asarray(sheet(np.full_like(pictures, 1)), bool)
    found = []
    for quality in range(1, 96):
        file = jpeg(whole, quality)
        again = np.asarray(Image.open(io.BytesIO(file)), np.float64)
        error = ((again - grid) ** 2)[used].mean()
        found.append((8 * len(file) / len(pictures) / pixels, 10 * math.log10(255**2 / error), quality))
    print(f"{'step':>6} {'bits a pixel':>14} {'PSNR':>8}   JPEG at the nearest rate: bits a pixel, PSNR, quality; its rate for that PSNR")
    for step, said in rows:
        rate = said["bits_per_example"] / pixels
        other = min(found, key=lambda at: abs(at[0] - rate))
        equal = next((at for at in found if at[1] >= said["psnr"]), found[-1])
        print(f"{step:>6} {rate:14.4f} {said['psnr']:8.2f}   {other[0]:.4f} {other[1]:.2f} {other[2]}; {equal[0]:.4f}")
    print(f"JPEG at its lowest: {found[0][0]:.4f} bits a pixel, {found[0][1]:.2f} dB")


def chosen_part(args):
    data = ["--data", args.data] if args.data else []
    return [*data, "--part", args.part or "test"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["lossless", "lossy"])
    parser.add_argument("run")
    parser.add_argument("--data")
    parser.add_argument("--part", default="test")
    parser.add_argument("--steps", default="0.1,0.2,0.5,1,2")
    parser.add_argument("--elbo", default="target/release/elbo")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"lossless": lossless, "lossy": lossy}[args.what](args, pathlib.Path(folder))


if __name__ == "__main__":
    main()
