"""Who this process is, and where its data comes from: on ModelArts, or on a machine of one's own."""

from .config import config

if config.enable_modelarts:
    from .moxing_adapter import get_device_id, get_rank_id, get_rank_size, moxing_wrapper
else:
    from .local_adapter import get_device_id, get_rank_id, get_rank_size, moxing_wrapper

__all__ = ["get_device_id", "get_rank_id", "get_rank_size", "moxing_wrapper"]
