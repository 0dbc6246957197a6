"""``verify``: whether the guard lets in whom it should, and nobody else.

- ``targets.py`` finds the API, the stage and the methods that are meant.
- ``throwaway.py`` makes a user for a moment, and deletes it.
- ``guard.py`` calls one method in each way, ``run.py`` does so for all; each check is a row.
"""
