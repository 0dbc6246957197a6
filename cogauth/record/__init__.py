"""What is on disk.

- ``state.py`` is the state file, ``forms.py`` what each of its values must look like.
- ``files.py`` opens and writes only what is ours alone, ``lock.py`` lets one writer at a time.
"""
