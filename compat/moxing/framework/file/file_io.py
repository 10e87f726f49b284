"""`moxing.framework.file.file_io` is the shim's module itself, so that assigned names have their effect."""

import sys

from mindlift.storage.moxing import file_io

sys.modules[__name__] = file_io
