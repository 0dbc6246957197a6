"""How fast cogauth is, compared with the article's way, on a simulated AWS: see README.md."""
