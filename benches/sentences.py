#!/usr/bin/env python3
"""Sentences of Markdown files, a line each, without code and tables: `sentences.py docs/*.md *.md > sentences.txt`."""
import re
import sys

seen = set()
text = "".join(open(path, encoding="utf-8").read() for path in sys.argv[1:])
for line in re.split(r"(?<=[.!?:])\s+", re.sub(r"```.*?```", "", text, flags=re.S).replace("\n", " ")):
    line = line.strip()
    if len(line) >= 8 and "|" not in line and line not in seen:
        seen.add(line)
        print(line)
