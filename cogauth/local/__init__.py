"""The embedded local AWS: ministack, which refuses what AWS refuses, and serves its owner alone."""
