"""What calls deployed APIs, as a client does.

- ``transport.py`` sends requests.
- ``tokens.py`` keeps and checks tokens, ``sessions.py`` renews them.
- ``calls.py`` calls a method of an API, ``users.py`` looks after the pool's users.
"""
