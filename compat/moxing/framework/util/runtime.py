"""`moxing.framework.util.runtime`."""

from src.model_utils.moxing_shim.runtime import MoxTimeoutError, mox_timeout, reset_logger

__all__ = ["MoxTimeoutError", "mox_timeout", "reset_logger"]
