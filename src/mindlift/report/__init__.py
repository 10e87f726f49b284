"""The report page of one or several runs, and their conversion to TensorBoard and CSV. Imports no mindspore."""
