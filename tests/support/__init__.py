"""What the tests share: programs as users start them, object stores, made-up data, a terminal, faults."""
