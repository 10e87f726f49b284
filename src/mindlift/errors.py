"""Errors that a user sees as one line. Each is also the builtin that callers expect.

A message answers: what, which value, what was allowed, what next. `exit_code` is 2 for a mistake of
the user's and 1 for a failure of the machine, the network or another process.
"""


class MindLiftError(Exception):
    """Base of all errors that are shown as one line without a traceback."""

    exit_code = 1


class ConfigError(MindLiftError, ValueError):
    """An option, a recipe or a combination of them that can't be used."""

    exit_code = 2


class DataError(MindLiftError, ValueError):
    """The data set is missing, damaged or does not fit the options."""

    exit_code = 2


class CheckpointError(MindLiftError, ValueError):
    """A checkpoint that is missing, damaged or belongs to another network."""

    exit_code = 2


class RankError(MindLiftError, ValueError):
    """Rank variables that are half set or contradict each other."""

    exit_code = 2


class DeviceError(MindLiftError, RuntimeError):
    """A device that this machine or this MindSpore build does not have."""

    exit_code = 2


class StorageError(MindLiftError, OSError):
    """A folder can't be written: read-only, full, or gone."""

    exit_code = 1


class PathError(MindLiftError, OSError):
    """A path that the system does not look up: in a folder of another user, or with too long a name."""

    exit_code = 2


class StageError(MindLiftError, RuntimeError):
    """Data could not be brought to where the job reads it."""


class TransferError(MindLiftError, OSError):
    """Bytes did not arrive: the network, the store, or an object that is not what it was."""


class AccessError(TransferError, PermissionError):
    """The store refuses the credentials, or there are none."""

    exit_code = 2


class PeerError(MindLiftError, RuntimeError):
    """Another rank failed or did not answer before the deadline."""


class ExportError(MindLiftError, RuntimeError):
    """A model could not be exported, or an exported one does not compute what the network does."""


class PartialError(MindLiftError, RuntimeError):
    """Part of the work could not be done; the rest is done and written."""
