"""``attach`` and ``detach``: methods of any REST API behind the stack's user pool, and back."""
