"""The states of programs, of the daemon and of event listeners, by name and number."""


class ProcessStates:
    STOPPED = 0
    STARTING = 10
    RUNNING = 20
    BACKOFF = 30
    STOPPING = 40
    EXITED = 100
    FATAL = 200
    UNKNOWN = 1000


class SupervisorStates:
    FATAL = 2
    RUNNING = 1
    RESTARTING = 0
    SHUTDOWN = -1


class EventListenerStates:
    READY = 10
    BUSY = 20
    ACKNOWLEDGED = 30
    UNKNOWN = 40


STOPPED_STATES = (ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL, ProcessStates.UNKNOWN)
RUNNING_STATES = (ProcessStates.RUNNING, ProcessStates.BACKOFF, ProcessStates.STARTING)
SIGNALLABLE_STATES = (ProcessStates.RUNNING, ProcessStates.STARTING, ProcessStates.STOPPING)


def _name(states, code):
    return next((name for name, value in vars(states).items() if name.isupper() and value == code), None)


def getProcessStateDescription(code):
    """The name of a program's state, or None."""
    return _name(ProcessStates, code)


def getSupervisorStateDescription(code):
    """The name of a daemon's state, or None."""
    return _name(SupervisorStates, code)


def getEventListenerStateDescription(code):
    """The name of a listener's state, or None."""
    return _name(EventListenerStates, code)
