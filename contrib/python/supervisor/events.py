"""The kinds of events, as classes that inherit from each other as the kinds do."""


class Event:
    """Any event."""


class ProcessStateEvent(Event):
    """A program has changed its state."""


class ProcessCommunicationEvent(Event):
    """A program has sent something between its two marks."""

    BEGIN_TOKEN = b"<!--XSUPERVISOR:BEGIN-->"
    END_TOKEN = b"<!--XSUPERVISOR:END-->"


class ProcessLogEvent(Event):
    """A program has written output."""

    channel = None


class RemoteCommunicationEvent(Event):
    """A client has sent something to all listeners."""


class SupervisorStateChangeEvent(Event):
    """The daemon has changed its state."""


class TickEvent(Event):
    """Time has passed; period is in seconds."""

    period = None


class ProcessGroupEvent(Event):
    """A group has come or gone."""


def _kind(name, base, **members):
    return type(name, (base,), dict(members, __module__=__name__))


ProcessStateStoppedEvent = _kind("ProcessStateStoppedEvent", ProcessStateEvent)
ProcessStateExitedEvent = _kind("ProcessStateExitedEvent", ProcessStateEvent)
ProcessStateStartingOrBackoffEvent = _kind("ProcessStateStartingOrBackoffEvent", ProcessStateEvent)
ProcessStateStartingEvent = _kind("ProcessStateStartingEvent", ProcessStateStartingOrBackoffEvent)
ProcessStateBackoffEvent = _kind("ProcessStateBackoffEvent", ProcessStateStartingOrBackoffEvent)
ProcessStateStoppingEvent = _kind("ProcessStateStoppingEvent", ProcessStateEvent)
ProcessStateRunningEvent = _kind("ProcessStateRunningEvent", ProcessStateEvent)
ProcessStateFatalEvent = _kind("ProcessStateFatalEvent", ProcessStateEvent)
ProcessStateUnknownEvent = _kind("ProcessStateUnknownEvent", ProcessStateEvent)
ProcessCommunicationStdoutEvent = _kind("ProcessCommunicationStdoutEvent", ProcessCommunicationEvent, channel="stdout")
ProcessCommunicationStderrEvent = _kind("ProcessCommunicationStderrEvent", ProcessCommunicationEvent, channel="stderr")
ProcessLogStdoutEvent = _kind("ProcessLogStdoutEvent", ProcessLogEvent, channel="stdout")
ProcessLogStderrEvent = _kind("ProcessLogStderrEvent", ProcessLogEvent, channel="stderr")
SupervisorRunningEvent = _kind("SupervisorRunningEvent", SupervisorStateChangeEvent)
SupervisorStoppingEvent = _kind("SupervisorStoppingEvent", SupervisorStateChangeEvent)
Tick5Event = _kind("Tick5Event", TickEvent, period=5)
Tick60Event = _kind("Tick60Event", TickEvent, period=60)
Tick3600Event = _kind("Tick3600Event", TickEvent, period=3600)
ProcessGroupAddedEvent = _kind("ProcessGroupAddedEvent", ProcessGroupEvent)
ProcessGroupRemovedEvent = _kind("ProcessGroupRemovedEvent", ProcessGroupEvent)

TICK_EVENTS = [Tick5Event, Tick60Event, Tick3600Event]


class EventTypes:
    """Names, as events= and the header of an event have them."""

    EVENT = Event
    PROCESS_STATE = ProcessStateEvent
    PROCESS_STATE_STOPPED = ProcessStateStoppedEvent
    PROCESS_STATE_EXITED = ProcessStateExitedEvent
    PROCESS_STATE_STARTING = ProcessStateStartingEvent
    PROCESS_STATE_STOPPING = ProcessStateStoppingEvent
    PROCESS_STATE_BACKOFF = ProcessStateBackoffEvent
    PROCESS_STATE_FATAL = ProcessStateFatalEvent
    PROCESS_STATE_RUNNING = ProcessStateRunningEvent
    PROCESS_STATE_UNKNOWN = ProcessStateUnknownEvent
    PROCESS_COMMUNICATION = ProcessCommunicationEvent
    PROCESS_COMMUNICATION_STDOUT = ProcessCommunicationStdoutEvent
    PROCESS_COMMUNICATION_STDERR = ProcessCommunicationStderrEvent
    PROCESS_LOG = ProcessLogEvent
    PROCESS_LOG_STDOUT = ProcessLogStdoutEvent
    PROCESS_LOG_STDERR = ProcessLogStderrEvent
    REMOTE_COMMUNICATION = RemoteCommunicationEvent
    SUPERVISOR_STATE_CHANGE = SupervisorStateChangeEvent
    SUPERVISOR_STATE_CHANGE_RUNNING = SupervisorRunningEvent
    SUPERVISOR_STATE_CHANGE_STOPPING = SupervisorStoppingEvent
    TICK = TickEvent
    TICK_5 = Tick5Event
    TICK_60 = Tick60Event
    TICK_3600 = Tick3600Event
    PROCESS_GROUP = ProcessGroupEvent
    PROCESS_GROUP_ADDED = ProcessGroupAddedEvent
    PROCESS_GROUP_REMOVED = ProcessGroupRemovedEvent


def getEventNameByType(requested):
    """The name of a class of events, or None."""
    return next((name for name, kind in vars(EventTypes).items() if kind is requested), None)


def register(name, event):
    """Add a name."""
    setattr(EventTypes, name, event)
