"""``verify``: whether the guard lets in whom it should, and nobody else."""
