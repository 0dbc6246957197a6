"""The stack in a browser: a small server on this machine, for one person's page."""
