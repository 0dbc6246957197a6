"""``verify``: whether the guard lets in whom it should, and nobody else.

- ``targets.py`` finds the API, the stage and the methods that are meant.
- ``throwaway.py`` makes a user for a moment, and deletes it.
- ``run.py`` makes the calls, a row for each.
"""
