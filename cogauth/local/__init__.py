"""The embedded local AWS: ministack, which refuses what AWS refuses, and serves its owner alone.

- ``process.py`` starts and ends it: its server's process (``child.py``), the folder of its data
  (``folder.py``), and the record in there (``record.py``).
- ``server.py`` is that process: ministack, with functions of ours in the place of some of its own.
- ``hooks.py`` puts them there, and sees that ministack still has what they stand for.
- ``gate/`` is who may come in.
- ``gateway.py`` is how deployed REST APIs answer, by what was deployed (``deployments.py``), with
  their mappings (``mappings.py``) and templates (``templates.py``).
- ``control.py`` is how their control plane answers.
- ``cognito/`` is how user pools answer.
- ``permissions.py`` is whom a function's policy lets invoke it.
"""
