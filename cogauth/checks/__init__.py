"""Whether it works.

- ``login.py`` signs in and tries the guarded method.
- ``verify/`` checks the guard by real calls.
- ``explain/`` says why a call is refused.
"""
