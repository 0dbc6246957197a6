"""AWS as it behaves.

- ``errors.py`` puts its errors into the user's words.
- ``moods.py`` names the refusals that pass by themselves, and ``waiting.py`` waits them out.
- ``environment.py`` reads what its tools read of the environment.
"""
