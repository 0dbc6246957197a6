"""Whether it works: a test login, the guard by real calls, and why a call is refused."""
