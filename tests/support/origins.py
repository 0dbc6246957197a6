"""Origins whose pages may read answers."""

ONE = ("https://app.example",)
SEVERAL = ("http://localhost:3000", "https://app.example", "https://www.app.example:8443")
