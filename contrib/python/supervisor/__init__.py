"""What event listeners and clients of the XML-RPC interface import from Supervisor, as part of upkeep.

There is no daemon in this package, and no module of its inside: supervisor.childutils, supervisor.xmlrpc,
supervisor.events, supervisor.states, and of supervisor.options, supervisor.datatypes and supervisor.compat
what belongs to those.
"""
