#!/usr/bin/env python3
"""Melodies of a small language as MIDI files, and what becomes of its rules in files that a model wrote.

    melodies.py make songs 2000         # eight bars each: a major key, four phrases A A B A of walks along its scale
    melodies.py check drawn             # needs mido: pip install mido

`check` prints one line of JSON: of all files the share that mido reads, of these the share whose notes lie in one major scale, notes
of a file, and the share of notes that begin on a multiple of half a beat.
"""
import argparse, json, pathlib, random

SCALE = [0, 2, 4, 5, 7, 9, 11]
TICKS = 480


def number(value):
    """A number of a MIDI file: seven bits to a byte, the highest first, each but the last marked."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def phrase(dice):
    """Two bars of quarters and eighths: steps of the scale and their lengths in eighths."""
    step, left, notes = dice.choice([0, 2, 4]), 16, []
    while left:
        length = min(left, dice.choice([1, 1, 2, 2, 2, 4]))
        notes.append((step, length))
        step = max(-3, min(9, step + dice.choice([-2, -1, -1, 1, 1, 2])))
        left -= length
    return notes


def melody(dice):
    key, (a, b) = dice.randrange(55, 67), (phrase(dice), phrase(dice))
    track = bytearray(b"\0\xff\x51\x03\x07\xa1\x20")
    for step, length in a + a + b + a[:-1] + [(0, a[-1][1])]:
        pitch = key + 12 * (step // 7) + SCALE[step % 7]
        track += b"\0" + bytes([0x90, pitch, 80]) + number(length * TICKS // 2) + bytes([0x80, pitch, 0])
    track += b"\0\xff\x2f\0"
    head = b"MThd" + (6).to_bytes(4, "big") + (0).to_bytes(2, "big") + (1).to_bytes(2, "big") + TICKS.to_bytes(2, "big")
    return head + b"MTrk" + len(track).to_bytes(4, "big") + bytes(track)


def check(folder):
    import mido

    paths = sorted(pathlib.Path(folder).glob("*.mid"))
    read, in_key, all_notes, on_beat = 0, 0, 0, 0
    for path in paths:
        try:
            file = mido.MidiFile(path)
        except (OSError, EOFError, ValueError):
            continue
        read += 1
        now, pitches = 0, set()
        for message in mido.merge_tracks(file.tracks):
            now += message.time
            if message.type == "note_on" and message.velocity > 0:
                pitches.add(message.note % 12)
                all_notes += 1
                on_beat += now % (file.ticks_per_beat // 2) == 0
        in_key += any(pitches <= {(key + step) % 12 for step in SCALE} for key in range(12))
    counts = {"files": len(paths), "read": read / max(1, len(paths)), "in_a_key": in_key / max(1, read)}
    print(json.dumps(counts | {"notes": all_notes / max(1, read), "on_half_beats": on_beat / max(1, all_notes)}))


parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
make = commands.add_parser("make")
make.add_argument("folder")
make.add_argument("count", type=int)
commands.add_parser("check").add_argument("folder")
args = parser.parse_args()
if args.command == "make":
    folder, dice = pathlib.Path(args.folder), random.Random(0)
    folder.mkdir(parents=True)
    for at in range(args.count):
        (folder / f"{at:05}.mid").write_bytes(melody(dice))
else:
    check(args.folder)
