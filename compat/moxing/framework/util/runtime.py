"""`moxing.framework.util.runtime`."""

from mindlift.storage.moxing.runtime import MoxTimeoutError, mox_timeout, reset_logger

__all__ = ["MoxTimeoutError", "mox_timeout", "reset_logger"]
