"""Reads a JSON list of configuration paths and prints what the original makes of each.

One JSON object per file: {"error": text} or the values that matter. Run with a fixed environment.
"""

import contextlib
import io
import json
import os
import sys

from supervisor import options as original
from supervisor.datatypes import Automatic, RestartUnconditionally, RestartWhenExitUnexpected


class Refused(Exception):
    pass


def word(value):
    if value is Automatic:
        return "auto"
    if value is RestartUnconditionally:
        return "true"
    if value is RestartWhenExitUnexpected:
        return "unexpected"
    if value is False:
        return "false"
    return value


def process(p):
    out = {}
    for key in (
        "name command directory umask priority autostart startsecs startretries stopwaitsecs stopasgroup"
        " killasgroup redirect_stderr uid serverurl environment exitcodes"
    ).split():
        out[key] = getattr(p, key)
    out["autorestart"] = word(p.autorestart)
    out["stopsignal"] = int(p.stopsignal)
    for c in ("stdout", "stderr"):
        out[c] = {
            "logfile": word(getattr(p, c + "_logfile")) or "",
            "maxbytes": getattr(p, c + "_logfile_maxbytes"),
            "backups": getattr(p, c + "_logfile_backups"),
            "capture": getattr(p, c + "_capture_maxbytes"),
            "events": getattr(p, c + "_events_enabled"),
            "syslog": getattr(p, c + "_syslog"),
        }
    return out


def group(g):
    out = {"name": g.name, "priority": g.priority, "processes": [process(p) for p in g.process_configs]}
    if hasattr(g, "pool_events"):
        names = {v: k for k, v in vars(original_events().EventTypes).items() if isinstance(v, type)}
        out["events"] = sorted(names[e] for e in g.pool_events)
        out["buffer"] = g.buffer_size
    if hasattr(g, "socket_config"):
        s = g.socket_config
        out["socket"] = s.url
        out["backlog"] = s.get_backlog() or 0
        if s.url.startswith("unix:"):
            out["mode"] = s.get_mode()
            out["owner"] = list(s.get_owner() or [])
    return out


def original_events():
    from supervisor import events

    return events


def server(s):
    out = {k: None if s.get(k) == "" and k != "host" else s.get(k) for k in ("name", "section", "username", "password", "host", "port", "file", "chmod")}
    out["chown"] = list(s.get("chown", ()))
    return out


def load(path):
    o = original.ServerOptions()

    def refuse(message):
        raise Refused(str(message))

    o.usage = refuse
    with contextlib.redirect_stderr(io.StringIO()):
        o.realize(["-c", path], doc="", progname="supervisord")
    out = {
        k: getattr(o, k)
        for k in "logfile logfile_maxbytes logfile_backups loglevel pidfile umask nodaemon silent minfds minprocs"
        " nocleanup childlogdir user uid gid directory strip_ansi identifier serverurl".split()
    }
    out["messages"] = (
        [["critical", m] for m in o.parse_criticals]
        + [["warn", m] for m in o.parse_warnings]
        + [["info", m] for m in o.parse_infos]
    )
    out["servers"] = [server(s) for s in o.server_configs]
    out["groups"] = [group(g) for g in o.process_group_configs]
    out["rpc"] = [f[0] for f in o.rpcinterface_factories]
    return out


answers = []
for path in json.load(sys.stdin):
    os.chdir(os.path.dirname(path))
    try:
        answers.append(load(os.path.basename(path)))
    except Refused as why:
        answers.append({"error": str(why)})
    except Exception as why:
        answers.append({"error": "%s: %s" % (type(why).__name__, why)})
json.dump(answers, sys.stdout)
