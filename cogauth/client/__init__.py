"""Clients of deployed APIs: sign-in, tokens, calls and users."""
