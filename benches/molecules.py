#!/usr/bin/env python3
"""Molecules of a model: how many lines of SMILES are valid, different from each other, and none of those trained on.

    molecules.py drawn.txt --known molecules.smi          # RDKit: pip install rdkit

Prints one line of JSON: a line is valid where RDKit makes a molecule of it, the valences of its atoms included; unique is the share of
different molecules among the valid ones, new the share of these that are in no line of `--known`, all by canonical SMILES.
"""
import argparse, json
from rdkit import Chem, RDLogger


def canonical(line):
    # An empty line is a molecule without atoms to RDKit.
    molecule = Chem.MolFromSmiles(line) if line else None
    return None if molecule is None else Chem.MolToSmiles(molecule)


def read(path):
    return [(line.split() or [""])[0] for line in open(path, encoding="utf-8").read().splitlines()]


parser = argparse.ArgumentParser()
parser.add_argument("drawn")
parser.add_argument("--known")
args = parser.parse_args()
RDLogger.DisableLog("rdApp.*")
lines = read(args.drawn)
valid = [text for text in map(canonical, lines) if text is not None]
unique = set(valid)
result = {"samples": len(lines), "valid": len(valid) / len(lines), "unique": len(unique) / max(1, len(valid))}
if args.known:
    result["new"] = len(unique - {canonical(line) for line in read(args.known)}) / max(1, len(unique))
print(json.dumps(result))
