"""Checks: a test login, real calls to guarded methods, and why a call is refused."""
