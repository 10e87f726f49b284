"""A first hour on a real card: every part of the project once, and one file to send back. See docs/ascend.md."""
