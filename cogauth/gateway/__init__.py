"""REST APIs of API Gateway.

- ``rest_apis.py`` reads them as they stand: stages, methods, authorizers, where a request leads.
- ``deployed.py`` reads what a stage serves, and what differs from what stands.
- ``cors.py`` is which pages may call them.
"""
