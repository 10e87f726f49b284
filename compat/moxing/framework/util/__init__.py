"""`moxing.framework.util`."""
