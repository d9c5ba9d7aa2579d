"""Names that older scripts take from here."""

from supervisor.states import ProcessStates, getProcessStateDescription  # noqa: F401
