"""How names of programs are put together and taken apart. The daemon's options are not here."""


def make_namespec(group_name, process_name):
    """GROUP:NAME, or NAME where the two are equal."""
    if group_name == process_name:
        return process_name
    return "%s:%s" % (group_name, process_name)


def split_namespec(namespec):
    """The group and the name; the name is None for all of a group, "GROUP:*" or "GROUP:"."""
    group, colon, name = namespec.partition(":")
    if not colon:
        return namespec, namespec
    return group, None if name in ("", "*") else name
