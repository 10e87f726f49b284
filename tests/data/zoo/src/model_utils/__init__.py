"""What differs between machines."""
