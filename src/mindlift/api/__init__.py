"""What `import mindlift` offers, and what its programs call: configurations in, results out.

Nothing in this package reads a command line or ends the process; that is cli's part.
"""
