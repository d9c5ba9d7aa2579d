# Prints what the reference language makes of each template of format.json's first column.
# Run: python3 format.py < format.json
import json
import sys

VALUES = {"s": "abc", "n": 7, "m": -42, "e": "\u00e9\u65e5", "empty": "", "pct": "50%d", "a(b)": "nested"}
rows = []
for row in json.load(sys.stdin):
    try:
        rows.append([row[0], row[0] % VALUES, ""])
    except KeyError as why:
        rows.append([row[0], "", "key " + why.args[0]])
    except Exception as why:
        rows.append([row[0], "", str(why)])
print("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]")
