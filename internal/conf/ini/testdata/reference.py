"""Reads a JSON list of INI texts and prints what the original's parser makes of each."""

import io
import json
import sys

from supervisor.options import UnhosedConfigParser

answers = []
for text in json.load(sys.stdin):
    parser = UnhosedConfigParser()
    try:
        parser.read_file(io.StringIO(text, newline=None), "x.conf")
    except Exception as why:
        answers.append({"Sections": None, "Error": str(why)})
    else:
        answers.append({"Sections": {s: dict(parser.items(s)) for s in parser.sections()}, "Error": ""})
json.dump(answers, sys.stdout)
