"""Vision models with MindSpore, trained here or as jobs of ModelArts and OpenI."""

__version__ = "0.2.0"
