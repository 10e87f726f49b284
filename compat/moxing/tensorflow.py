"""`import moxing.tensorflow as mox`: the file API, and nothing of TensorFlow."""

from moxing.framework import file

__all__ = ["file"]
