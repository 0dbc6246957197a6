"""``attach`` and ``detach``: methods of any REST API behind the stack's user pool, and back.

- ``model.py`` is an API as it stands, and what would be done to its methods.
- ``attach.py`` and ``detach.py`` plan, and then do it, by ``work.py``.
- ``warnings.py`` says beforehand what will not work, ``guards.py`` afterwards which are gone.
"""
