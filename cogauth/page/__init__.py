"""The stack in a browser."""
