"""What calls deployed APIs, as a client does.

- ``transport.py`` sends requests; ``signin.py`` is the one to ``POST /signin``.
- ``tokens.py`` reads and checks tokens, ``token_store.py`` keeps them, ``sessions.py`` renews them.
- ``calls.py`` calls a method of an API, ``users.py`` looks after the pool's users.
"""
