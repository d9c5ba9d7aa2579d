# Reads texts, a JSON list on standard input, with the original's parser, and prints for each what it says: a JSON list of
# {"tree": …} or {"error": TEXT, "line": N}. Values are as they are without interpolation; "expanded" has those with it.
import io
import json
import sys

import configobj


def tree(section, failures):
    out = []
    for key in section.scalars + section.sections:
        try:
            value = section[key]
        except Exception as e:
            failures.append(str(e))
            value = None
        if isinstance(value, configobj.Section):
            value = tree(value, failures)
        out.append([key, value])
    return {"entries": out}


answers = []
for text in json.load(sys.stdin):
    data = text.encode()
    try:
        plain = configobj.ConfigObj(io.BytesIO(data), interpolation=False)
    except Exception as e:
        errors = getattr(e, "errors", None) or [e]
        answers.append({"error": str(e), "line": getattr(errors[0], "line_number", 0) or 0})
        continue
    failures = []
    expanded = tree(configobj.ConfigObj(io.BytesIO(data)), failures)
    answers.append({"tree": tree(plain, []), "expanded": expanded})
json.dump(answers, sys.stdout)
