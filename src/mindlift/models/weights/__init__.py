"""Files of weights, whoever wrote them, as NumPy arrays; and the strict way from their names to a network's."""
