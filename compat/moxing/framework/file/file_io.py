"""`moxing.framework.file.file_io` is the shim's module itself, so that assigned names have their effect."""

import sys

from src.model_utils.moxing_shim import file_io

sys.modules[__name__] = file_io
