"""`make matrix`: the same checks in environments from MindSpore 2.0.0 to 2.10.0, and one table of what they gave."""
