"""REST APIs of API Gateway; all here reads.

- ``rest_apis.py`` reads them as they stand: stages, methods, authorizers.
- ``routing.py`` says which method a request reaches.
- ``export.py`` asks what a stage serves, ``deployed.py`` reads the answer, and ``pending.py`` says
  what a deployment would change.
"""
