"""The embedded local AWS: ministack, which refuses what AWS refuses and serves only its owner."""
