"""Which files of an output are complete, and how they get to the bucket and back."""
