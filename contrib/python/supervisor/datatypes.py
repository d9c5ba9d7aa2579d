"""Readers for options of listeners that look like values of the configuration file."""


class SuffixMultiplier:
    """Reads a whole number with one of several endings of equal length, each of which multiplies it."""

    def __init__(self, d, default=1):
        self._d = d
        self._default = default
        self._keysz = len(next(iter(d), ""))
        if any(len(key) != self._keysz for key in d):
            raise ValueError("the endings differ in length")

    def __call__(self, v):
        v = v.lower()
        for ending, factor in self._d.items():
            if self._keysz and v.endswith(ending):
                return int(v[: -self._keysz]) * factor
        return int(v) * self._default


byte_size = SuffixMultiplier({"kb": 1024, "mb": 1024 ** 2, "gb": 1024 ** 3})


def boolean(s):
    """true, yes, on, 1 and their opposites."""
    word = str(s).lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError("not a valid boolean value: %r" % s)


def integer(value):
    return int(value)


def list_of_strings(arg):
    """Words separated by commas."""
    return [word.strip() for word in arg.split(",")] if arg else []
