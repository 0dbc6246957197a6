"""``verify``: whether the guard lets in whom it should, and nobody else.

- ``targets.py`` finds the API, the stage and the methods that are meant.
- ``guard.py`` calls one method in each way; each check is a row.
- ``run.py`` does so for all, with a user that it makes for a moment, and deletes.
"""
