"""The embedded local AWS: ministack, which refuses what AWS refuses, and serves its owner alone.

- ``process.py`` starts it as a child process, finds it again, ends it.
- ``server.py`` is that process: ministack, with functions of ours in the place of some of its own.
- ``hooks.py`` puts them there.
- ``gate.py`` is who may come in.
- ``gateway.py`` is how deployed REST APIs answer.
- ``cognito.py`` is how user pools answer.
"""
