"""AWS as it behaves.

- ``clients.py`` makes the clients of one account and region; ``credentials.py`` is what botocore
  asks or raises to sign for them, ``environment.py`` what AWS's tools read of the environment.
- ``answers.py`` reads what AWS answers; ``errors.py`` puts its errors into the user's words.
- ``transient.py`` names the refusals that pass by themselves, and ``waiting.py`` waits them out.
- ``parallel.py`` makes calls that only read, all at once.
"""
