"""How fast cogauth is, beside the article's way, on AWS as it is played here: see README.md."""
