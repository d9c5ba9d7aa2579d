#!/usr/bin/env python3
"""Writes a line to standard error for every program that changes its state.

[eventlistener:watch]
command=/path/to/watch.py
events=PROCESS_STATE
"""

import sys

from supervisor import childutils


def main():
    while True:
        try:
            headers, payload = childutils.listener.wait()
        except EOFError:
            return
        fields, _ = childutils.eventdata(payload)
        print("%(groupname)s:%(processname)s was %(from_state)s" % fields, headers["eventname"], file=sys.stderr, flush=True)
        childutils.listener.ok()


if __name__ == "__main__":
    main()
